"""``python -m tests.crash.campaign``: hundreds of runs while everything that can die, stall or be lost does.

Part A kills one process at each fault point, with runs of each kind of step under way. Part B strikes at random while
runs are started. Then everything heals; all runs must end, every invariant and every audit chain must hold, and what
was counted outside must agree with what is recorded. Exit code 1 otherwise.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from django import setup

COMBINATIONS = [(store, broker) for store in ("sqlite", "postgresql") for broker in ("orm", "redis")]


@dataclass(frozen=True, slots=True)
class Plan:
    """What one campaign is to do; ``seconds`` without starting, settling and checking."""

    store: str
    broker: str
    seconds: float
    runs: int
    seed: int


def main() -> int:
    options = _options()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kolosal.settings")
    os.environ["KOLOSAL_FUNCTIONS"] = "tests.scripted,tests.crash.effects"
    setup()
    from rich.console import Console

    from tests.crash import report
    from tests.crash.experiment import carry_out

    console = Console()
    console.width = max(console.width, 140)  # for the table of four
    combinations = _combinations(options)
    console.print(f"seed {options.seed}")
    done = []
    for store, broker in combinations:
        share = len(combinations)
        plan = Plan(store, broker, options.seconds / share, options.runs // share, options.seed)
        done.append(carry_out(plan, console))
    console.print(report.table(done))
    if options.report:
        report.write(done, options.seed)
    broken = [line for one in done for line in one.broken]
    for line in broken:
        console.print(f"broken: {line}", soft_wrap=True, markup=False, style="red")
    console.print(f"{len(broken)} broken; seed {options.seed}")
    return 1 if broken else 0


def _combinations(options: argparse.Namespace) -> list[tuple[str, str]]:
    if options.all:
        return COMBINATIONS
    return [COMBINATIONS[0], COMBINATIONS[-1]] if options.two else [(options.store, options.broker)]


def _options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.campaign", description=__doc__)
    parser.add_argument("--store", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--broker", choices=["orm", "redis"], default="orm")
    parser.add_argument("--all", action="store_true", help="all four combinations, which share time and runs")
    parser.add_argument("--two", action="store_true", help="SQLite with its own queue, then PostgreSQL with Redis")
    parser.add_argument("--seconds", type=float, default=180.0, help="of striking, both parts together")
    parser.add_argument("--runs", type=int, default=600, help="started during part B")
    parser.add_argument("--seed", type=int, default=time.time_ns() // 1_000_000 % 1_000_000_000)
    parser.add_argument("--report", action="store_true", help="write the figures into docs/reliability.md")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
