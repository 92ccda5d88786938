"""What the steps of a run logged, in the order of time."""

from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import nlargest
from typing import Any

from workflows.admin.base import readable
from workflows.models import Run

STEPS = 2000
"""Steps whose lines are looked at, the newest."""

LINES = 500
LONGEST = 2000  # characters of a line


@dataclass(frozen=True, slots=True)
class Line:
    """``at`` is in UTC."""

    at: datetime
    path: str
    level: str
    message: str


def lines_of(run: Run) -> list[Line]:
    """The newest lines of the newest steps, oldest first; those of discarded results too."""
    rows = run.steps.exclude(logs=[]).order_by("-pk").values_list("path", "logs")[:STEPS]
    lines = (_line(path, line) for path, logs in rows for line in logs)
    return sorted(nlargest(LINES, lines, key=_time), key=_time)


def _line(path: str, line: dict[str, Any]) -> Line:
    return Line(datetime.fromtimestamp(line["at"], UTC), path, line["level"], readable(line["message"], LONGEST))


def _time(line: Line) -> datetime:
    return line.at
