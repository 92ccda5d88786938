"""Runs that may be stuck, and why: whose worker is gone, that nobody takes, between attempts, waiting the longest."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet

from workflows.models import Run, StepResult
from workflows.states import RunStatus, StepStatus
from workflows.why import why

OF_EACH = 2
SHOWN = 8
LOOKED_AT = 200  # runs, the oldest that go on
SOON = timedelta(seconds=30)
"""A run that has been in line for less is not told of."""

KINDS = {"worker gone": "failed", "in line": "queued", "tried again": "retrying", "waiting": "waiting"}


@dataclass(frozen=True, slots=True)
class Stuck:
    """``told`` is the kind of trouble, ``why`` the sentence that the run's page has, too."""

    run: Run
    told: str
    why: str

    @property
    def colour(self) -> str:
        """The status in whose colour it is told."""
        return KINDS[self.told]


def stuck(now: datetime) -> list[Stuck]:
    """The worst kind first, of each the oldest; a bounded number of cheap queries."""
    found: dict[uuid.UUID, Stuck] = {}
    for told, rows in _kinds(now):
        for run in rows.select_related("workflow", "worker").defer("input")[:OF_EACH]:
            if run.pk not in found and len(found) < SHOWN:
                found[run.pk] = Stuck(run, told, why(run, now))
    return list(found.values())


def _kinds(now: datetime) -> Iterator[tuple[str, QuerySet[Run]]]:
    rows = (
        Run.objects.lease_expired(now).order_by("pk"),
        Run.objects.due(now - SOON).filter(status=RunStatus.QUEUED).order_by("due_at"),
        Run.objects.filter(pk__in=_retrying()).order_by("pk"),
        Run.objects.filter(status=RunStatus.WAITING).order_by("pk"),
    )
    return zip(KINDS, rows, strict=True)


def _retrying() -> list[uuid.UUID]:
    """Of the oldest runs that go on, those with a step between two attempts."""
    ids = [run for status in (RunStatus.RUNNING, RunStatus.WAITING) for run in _oldest(status)]
    rows = StepResult.objects.filter(Q(status=StepStatus.RETRYING), run__in=ids, superseded=False)
    return list(rows.order_by().values_list("run_id", flat=True))


def _oldest(status: str) -> QuerySet[Run, uuid.UUID]:
    return Run.objects.filter(status=status).order_by("pk").values_list("pk", flat=True)[:LOOKED_AT]
