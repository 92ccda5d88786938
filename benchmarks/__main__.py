"""``python -m benchmarks``: measure on SQLite and, where ``TEST_POSTGRESQL_URL`` names one, on PostgreSQL (and Redis).

On PostgreSQL a database of its own is made, and dropped at the end. Prints a table and writes ``benchmarks.json`` and
``benchmarks.svg`` under the data folder. ``--compare FILE`` puts an earlier ``benchmarks.json`` beside it.

Machines are noisy, so figures are also given as a ratio to a limit that is measured before and after each of them: a
fixed piece of work in Python, and three committed INSERTs.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import scratch
from benchmarks.figures import FIGURES, Figure

DATABASE = "kolosal_bench"
MODULES = ("steps", "blocks", "submitted", "requests")
Measured = dict[str, dict[str, float]]  # store → figure → value


def main() -> None:
    asked = _arguments()
    console = Console(record=True, width=150)
    measured: Measured = {}
    for store, environment in _stores().items():
        with tempfile.TemporaryDirectory() as folder, _database(environment) as database:
            common = {"KOLOSAL_DATA_DIR": folder, "KOLOSAL_PORT": "8199", **environment, **database}
            modules = MODULES if store != "SQLite NORMAL" else ("steps",)
            for module in [module for module in modules if module in asked.only]:
                with console.status(f"Measuring {module} on {store} …"):
                    measured.setdefault(store, {}).update(_run(module, asked.times, common))
    earlier = json.loads(Path(asked.compare).read_text())["measured"] if asked.compare else {}
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    console.print(machine)
    for store, figures in measured.items():
        console.print(_table(store, figures, earlier.get(store, {})))
    written = Path(os.environ.get("KOLOSAL_DATA_DIR", "data"))
    written.mkdir(parents=True, exist_ok=True)
    (written / "benchmarks.json").write_text(json.dumps({"machine": machine, "measured": measured}, indent=2))
    plot = console.export_svg(title="Kolosal Workflows")
    # Its fonts would come from another site.
    (written / "benchmarks.svg").write_text(re.sub(r"@font-face \{.*?\}", "", plot, flags=re.DOTALL))
    console.print(f"written to {written}/benchmarks.json and benchmarks.svg")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--times", type=int, default=5, help="how often each is measured; medians are shown")
    parser.add_argument("--only", nargs="+", choices=MODULES, default=MODULES)
    parser.add_argument("--compare", metavar="FILE", help="an earlier benchmarks.json")
    return parser.parse_args()


def _stores() -> dict[str, dict[str, str]]:
    stores: dict[str, dict[str, str]] = {"SQLite": {}, "SQLite NORMAL": {"KOLOSAL_SQLITE_SYNCHRONOUS": "NORMAL"}}
    if url := os.environ.get("TEST_POSTGRESQL_URL"):
        redis = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/9")
        stores["PostgreSQL, Redis"] = {"DATABASE_URL": url, "KOLOSAL_BROKER_URL": redis}
    return stores


@contextmanager
def _database(environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """A fresh one on the server; nothing for SQLite, whose file lies in the folder."""
    if "DATABASE_URL" not in environment:
        yield {}
        return
    with scratch.database(environment["DATABASE_URL"], DATABASE) as url:
        yield {"DATABASE_URL": url}


def _run(module: str, times: int, environment: dict[str, str]) -> dict[str, float]:
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", f"benchmarks.{module}", str(times)],
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "kolosal.settings"} | environment,
        stdout=subprocess.PIPE,
        check=True,
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _table(store: str, figures: dict[str, float], earlier: dict[str, float]) -> Table:
    table = Table(
        "figure", "measured", "goal", "of the goal", "", "× limit", *(["earlier", "change"] if earlier else [])
    )
    table.title = store
    for figure in FIGURES:
        if figure.name in figures:
            table.add_row(*_row(figure, store, figures, earlier))
    return table


def _row(figure: Figure, store: str, figures: dict[str, float], earlier: dict[str, float]) -> list[str]:
    goal, share = figure.goal(store), figure.share(store, figures)
    row = [
        figure.meaning,
        figure.shown(figures[figure.name]),
        "" if goal is None else figure.shown(goal),
        "" if share is None else f"{share:.0%}",
        "" if share is None else f"[{'green' if share <= 1 else 'red'}]{'█' * min(30, round(share * 10))}[/]",
        figure.written_ratio(figures),
    ]
    if earlier:
        change = figure.change(figures, earlier)
        colour = "red" if change is not None and abs(change) > 0.15 else "green"
        row += [figure.written_ratio(earlier), "" if change is None else f"[{colour}]{change:+.0%}[/]"]
    return row


main()
