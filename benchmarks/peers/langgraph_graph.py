"""LangGraph: a graph of 100 no-op nodes, checkpointed with ``durability="sync"``."""

import json
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph

STEPS = 100


class State(TypedDict):
    text: str


def step_ms(saver: Any, times: int) -> float:
    graph = StateGraph(State)
    names = [f"s{number}" for number in range(STEPS)]
    for name in names:
        graph.add_node(name, lambda state: {"text": "x"})
    for before, after in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(before, after)
    compiled = graph.compile(checkpointer=saver)
    taken = []
    for number in range(times + 1):
        config = {"configurable": {"thread_id": f"{time.time()}-{number}"}, "recursion_limit": STEPS + 10}
        started = time.perf_counter()
        compiled.invoke({"text": ""}, config, durability="sync")
        taken.append((time.perf_counter() - started) * 1000 / STEPS)
    return statistics.median(taken[1:])


def main() -> None:
    from langgraph.checkpoint.postgres import PostgresSaver
    from langgraph.checkpoint.sqlite import SqliteSaver

    times = int(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        file = sqlite3.connect(f"{folder}/checkpoints.sqlite3", check_same_thread=False)
        file.execute("PRAGMA journal_mode = WAL")
        file.execute("PRAGMA synchronous = FULL")
        figures = {"SQLite step_ms": step_ms(SqliteSaver(file), times)}
    if url := os.environ.get("PEERS_POSTGRESQL_URL"):
        with PostgresSaver.from_conn_string(url) as saver:
            saver.setup()
            figures["PostgreSQL step_ms"] = step_ms(saver, times)
    print(json.dumps(figures))


main()
