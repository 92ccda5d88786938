"""What the page *Check runs* shows: whether a run is stuck, doubled, or at odds with its events."""

from dataclasses import dataclass
from itertools import islice

from workflows import invariants
from workflows.examination import Broken
from workflows.models import Run

NEWEST = 1000
SHOWN = 100
"""Findings that the page shows; with so many, the check stops there."""


@dataclass(frozen=True, slots=True)
class CheckPage:
    checked: int
    broken: list[Broken]

    @property
    def is_cut(self) -> bool:
        return len(self.broken) == SHOWN


def check() -> CheckPage:
    """Look at the newest runs and at all that have not ended."""
    newest = Run.objects.order_by("-pk").values_list("pk", flat=True)[:NEWEST]
    ids = {*newest, *Run.objects.active().values_list("pk", flat=True)}
    return CheckPage(len(ids), list(islice(invariants.broken(run_ids=ids), SHOWN)))
