"""The figures of campaigns, as a table for people and as a section of ``docs/reliability.md``."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime

from django.conf import settings
from rich.table import Table

from tests.crash.experiment import Done
from tests.crash.takeovers import MEANING

BEGIN, END = "<!-- campaign -->", "<!-- end campaign -->"


def rows(done: Sequence[Done]) -> list[list[str]]:
    """A row for each figure: its name, then one cell for each campaign."""
    found = [
        ["runs", *(f"{one.runs:,}" for one in done)],
        ["of them children of others", *(f"{one.children:,}" for one in done)],
        ["steps", *(f"{one.steps:,}" for one in done)],
        ["answers and events given", *(f"{one.given:,}" for one in done)],
        ["effects counted outside", *(f"{one.testimony.effects:,}" for one in done)],
        ["of them repeated after an attempt was cut short", *(f"{one.testimony.repeated:,}" for one in done)],
        ["of them late, by stalled processes", *(f"{one.testimony.late:,}" for one in done)],
        ["fault points × kinds struck", *(f"{one.points[0]} of {one.points[1]}" for one in done)],
        ["strikes in all", *(f"{one.strikes.total():,}" for one in done)],
    ]
    for name in sorted({name for one in done for name in one.strikes}):
        found.append([f"· {name}", *(str(one.strikes[name]) for one in done)])
    found.append(["runs taken over", *(f"{one.takeovers:,}" for one in done)])
    for how, meaning in MEANING.items():
        found.append([f"· {meaning}; median, worst", *(_times(one, how) for one in done)])
    return [
        *found,
        ["all ended after healing", *(f"{one.settled_after:.1f} s" for one in done)],
        ["duration", *(f"{one.seconds:.0f} s" for one in done)],
        ["broken", *(str(len(one.broken)) for one in done)],
    ]


def table(done: Sequence[Done]) -> Table:
    shown = Table("figure", *(_title(one) for one in done))
    for row in rows(done):
        shown.add_row(*row)
    return shown


def write(done: Sequence[Done], seed: int) -> None:
    """Put the figures between the markers of ``docs/reliability.md``."""
    path = settings.BASE_DIR / "docs" / "reliability.md"
    head = ["figure", *(_title(one) for one in done)]
    lines = [" | ".join(["", *row, ""]).strip() for row in [head, ["---"] * len(head), *rows(done)]]
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    text = f"Measured on {datetime.now(UTC):%Y-%m-%d} ({machine}), seed {seed}.\n\n" + "\n".join(lines)
    before, after = path.read_text().split(BEGIN)[0], path.read_text().split(END)[1]
    path.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def _title(one: Done) -> str:
    broker = {"orm": "broker in the database", "redis": "Redis"}[one.plan.broker]
    return f"{ {'sqlite': 'SQLite', 'postgresql': 'PostgreSQL'}[one.plan.store] }, {broker}"


def _times(one: Done, how: str) -> str:
    times = one.times.get(how)
    return "" if times is None else f"{times.count} runs: {times.median:.1f} s, {times.worst:.1f} s"
