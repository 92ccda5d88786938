"""``python -m benchmarks.peers``: the same work on LangGraph, DBOS, Celery and django-q2 alone.

Each gets an environment of its own under ``.venv-peers``, made at the first use. ``TEST_POSTGRESQL_URL`` and
``TEST_REDIS_URL`` name the servers; a database ``kolosal_peers`` is made, and dropped at the end.
"""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from rich.console import Console
from rich.table import Table

from benchmarks import scratch

HERE = Path(__file__).parent
ENVIRONMENTS = Path(".venv-peers")
TIMES = os.environ.get("BENCH_TIMES", "5")
DATABASE = "kolosal_peers"
LANGGRAPH = ("langgraph~=1.2.0", "langgraph-checkpoint-sqlite", "langgraph-checkpoint-postgres", "psycopg[binary]")
PEERS = (  # name, script, its arguments, what it needs
    ("LangGraph 1.2", "langgraph_graph.py", (), LANGGRAPH),
    ("DBOS 3.4", "dbos_queue.py", ("SQLite",), ("dbos~=3.4.0",)),
    ("DBOS 3.4", "dbos_queue.py", ("PostgreSQL",), ("dbos~=3.4.0",)),
    ("Celery 5.7", "celery_chain.py", (), ("celery[redis]~=5.7.0",)),
    ("django-q2 1.11", "django_q_chain.py", (), ("django-q2~=1.11.0", "redis")),
)


def main() -> None:
    console = Console()
    url = os.environ.get("TEST_POSTGRESQL_URL")
    redis = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/9")
    if not url:
        raise SystemExit("TEST_POSTGRESQL_URL should name a PostgreSQL server, as postgres://user@host/database")
    table = Table("system", "figure", "measured")
    with scratch.database(url, DATABASE) as database:
        environment = {
            "PEERS_POSTGRESQL_URL": urlunsplit(urlsplit(database)._replace(query="")),
            "PEERS_REDIS_URL": redis,
            "PYTHONPATH": str(HERE),
        }
        for name, script, arguments, packages in PEERS:
            with console.status(f"Measuring {name} …"):
                python = _environment(script.removesuffix(".py"), packages)
                figures = _run(python, script, arguments, environment)
            for figure, value in figures.items():
                table.add_row(name, figure, f"{value:,.2f}")
    console.print(table)


def _environment(name: str, packages: tuple[str, ...]) -> str:
    folder = ENVIRONMENTS / name
    python = str((folder / "bin" / "python").absolute())
    if not (folder / "made").exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)  # noqa: S603
        (folder / "made").touch()
    return python


def _run(python: str, script: str, arguments: tuple[str, ...], environment: dict[str, str]) -> dict[str, float]:
    done = subprocess.run(  # noqa: S603
        [python, str(HERE / script), TIMES, *arguments],
        env={name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"} | environment,
        stdout=subprocess.PIPE,
        stderr=sys.stderr,
        check=True,
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


main()
