"""DBOS: a workflow of 100 no-op steps, and 500 of 3 steps put into a queue at once; in one process, as it works."""

import json
import os
import statistics
import sys
import tempfile
import time

from dbos import DBOS

STEPS = 100
AT_ONCE = 500


@DBOS.step()
def step() -> str:
    return "x"


@DBOS.workflow()
def workflow(steps: int) -> None:
    for _ in range(steps):
        step()


def main() -> None:
    times, store = int(sys.argv[1]), sys.argv[2]
    with tempfile.TemporaryDirectory() as folder:
        url = os.environ["PEERS_POSTGRESQL_URL"] if store == "PostgreSQL" else f"sqlite:///{folder}/dbos.sqlite3"
        DBOS(config={"name": "bench", "system_database_url": url, "log_level": "ERROR"})
        DBOS.launch()
        DBOS.register_queue("bench", polling_interval_sec=0.01)
        workflow(STEPS)
        taken = []
        for _ in range(times):
            started = time.perf_counter()
            workflow(STEPS)
            taken.append((time.perf_counter() - started) * 1000 / STEPS)
        started = time.perf_counter()
        handles = [DBOS.enqueue_workflow("bench", workflow, 3) for _ in range(AT_ONCE)]
        for handle in handles:
            handle.get_result()
        rate = AT_ONCE / (time.perf_counter() - started)
        print(json.dumps({f"{store} step_ms": statistics.median(taken), f"{store} runs_per_s": rate}))
        DBOS.destroy()


main()
