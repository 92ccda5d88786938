"""Where the time of a run went, drawn as one bar with words."""

from dataclasses import dataclass
from datetime import datetime

from workflows.admin.base import duration
from workflows.models import Run
from workflows.time_split import Part, time_split

MOST_STEPS = 10_000
"""Of runs with more steps the page says nothing here, since all their rows would be read; the API does."""

WORDS = {
    Part.FUNCTIONS: ("functions", "completed"),
    Part.RETRIES: ("retries", "retrying"),
    Part.CHILDREN: ("other runs", "running"),
    Part.PAUSED: ("paused", "paused"),
    Part.LINE: ("in line", "queued"),
    Part.PEOPLE: ("waiting for people", "waiting"),
    Part.EVENTS: ("waiting for events", "warning"),
    Part.TIME: ("waiting for a time", "skipped"),
    Part.OVERHEAD: ("overhead", "cancelled"),
}
"""What a part is called, and the status whose colour it has."""


@dataclass(frozen=True, slots=True)
class DrawnPart:
    """``x`` and ``width`` in per cent of the whole."""

    words: str
    colour: str
    length: str
    x: float
    width: float


def parts_of(run: Run, now: datetime) -> list[DrawnPart]:
    """The parts that have any time, of a run that has ended and is not too long; else nothing."""
    if not run.has_ended or run.known_steps > MOST_STEPS:
        return []
    split = time_split(run, now)
    found, x = [], 0.0
    for part, milliseconds in split.parts.items():
        width = 100 * milliseconds / split.total_ms if split.total_ms else 0.0
        if milliseconds:
            found.append(DrawnPart(*WORDS[part], duration(milliseconds), round(x, 3), round(width, 3)))
        x += width
    return found
