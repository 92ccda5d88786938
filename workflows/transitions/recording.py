"""What every transition adds to the held run's change: an event, and the counters."""

from typing import Any

from django.utils import timezone

from workflows.audit import make_event
from workflows.held import HeldRun


def event(run: HeldRun, type: str, path: str = "", by: str = "", **data: Any) -> None:
    """``by``: who caused it, if not whoever writes the run."""
    change = run.open()
    event = make_event(run.head, run.id, run.seq + 1, type, timezone.now(), by or run.actor, path, data)
    change.events.append(event)
    run.seq, run.head = event.seq, event.hash


def count(run: HeldRun) -> None:
    """Those counters that have moved."""
    run.open().run |= dict(run.counts.items() - run.counted.items())
    run.counted = dict(run.counts)
