"""``python -m benchmarks``: measure on SQLite and, where ``TEST_POSTGRESQL_URL`` names one, on PostgreSQL (with Redis).

Prints a table and writes ``benchmarks.json`` under the data folder. Figures of a noisy machine are compared with the
cost of one committed INSERT in the same process.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

REPEATS = int(os.environ.get("BENCH_REPEATS", "5"))
RUNS = int(os.environ.get("BENCH_RUNS", "50"))


def main() -> None:
    console = Console()
    stores: dict[str, dict[str, str]] = {"SQLite, ORM broker": {}}
    if url := os.environ.get("TEST_POSTGRESQL_URL"):
        redis = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/9")
        stores["PostgreSQL, Redis"] = {"DATABASE_URL": url, "KOLOSAL_BROKER_URL": redis}
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    figures: dict[str, Any] = {"machine": machine}
    for name, environment in stores.items():
        with console.status(f"Measuring on {name} …"), tempfile.TemporaryDirectory() as folder:
            common = {"KOLOSAL_DATA_DIR": folder, "KOLOSAL_PORT": "8199", **environment}
            figures[name] = _run("benchmarks.steps", REPEATS, common)
            figures[name] |= _run("benchmarks.blocks", REPEATS, common) | _run("benchmarks.latency", RUNS, common)
    console.print(_table(figures, list(stores)))
    path = Path(os.environ.get("KOLOSAL_DATA_DIR", "data")) / "benchmarks.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=2))
    console.print(f"written to {path}")


def _run(module: str, times: int, environment: dict[str, str]) -> dict[str, float]:
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", module, str(times)],
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "kolosal.settings"} | environment,
        stdout=subprocess.PIPE,
        check=True,
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _table(figures: dict[str, Any], stores: list[str]) -> Table:
    table = Table("figure", *stores)
    for figure in figures[stores[0]]:
        table.add_row(figure, *(f"{figures[store][figure]:.2f}" for store in stores))
    return table


main()
