"""What must hold when everything has come to rest."""

import time

from workflows import audit, invariants
from workflows.models import Run


def broken_invariants(seconds: float = 15.0) -> list[str]:
    """Every invariant that is broken, and every audit chain. A sweep gets so long to put away what is left over."""
    until = time.monotonic() + seconds
    while (broken := [str(one) for one in invariants.broken(settled=True)]) and time.monotonic() < until:
        time.sleep(0.5)
    return broken + broken_chains()


def broken_chains() -> list[str]:
    """By the rule of `audit.first_broken`, and against the head on the run's row."""
    found = []
    for run in Run.objects.only("event_seq", "event_head"):
        newest = run.events.order_by("seq").last()
        if (number := audit.first_broken(run.pk)) is not None:
            found.append(f"run {run.pk}: its audit chain breaks at event {number}")
        elif newest is None or (newest.seq, newest.hash) != (run.event_seq, run.event_head):
            found.append(f"run {run.pk}: its audit chain does not end where the run says")
    if (number := audit.first_broken(None)) is not None:
        found.append(f"the site's audit chain breaks at event {number}")
    return found
