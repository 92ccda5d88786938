"""How long it took until another went on with the runs of a lost worker."""

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from tests.crash.strikes import Lost
from workflows.models import Event

MEANING = {
    "process": "a process was killed, its host lived: from the kill",
    "host": "a whole host was killed: from the kill, its lease included",
    "cut": "a host was cut off or a loop stalled: from that moment, its lease included",
}


@dataclass(frozen=True, slots=True)
class Times:
    """Of the runs taken over after one sort of loss, in seconds."""

    count: int
    median: float
    worst: float


def times(lost: Sequence[Lost]) -> dict[str, Times]:
    """How → its times. A take-over counts for the newest loss of that worker before it."""
    found: dict[str, list[float]] = defaultdict(list)
    for event in Event.objects.filter(type="run_taken_over"):
        at = event.at.timestamp()
        before = [loss for loss in lost if loss.name == event.data["lost"] and loss.at <= at]
        if before:
            last = max(before, key=lambda loss: loss.at)
            found[last.how].append(at - last.at)
    return {how: Times(len(all_), statistics.median(all_), max(all_)) for how, all_ in found.items()}
