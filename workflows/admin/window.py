"""The newest rows, by time and by number: what the first page's figures are drawn from, however many rows there are."""

import uuid
from datetime import datetime, timedelta

from django.db.models import QuerySet

from workflows.models import Run, StepResult
from workflows.states import RUN_ENDED

A_DAY = timedelta(days=1)
RUNS = 20_000
TIMED_RUNS = 2_000
TIMED_STEPS = 3_000
COUNTED = 10_000
"""Beyond it a count says `10,000+`."""


def runs_since(moment: datetime) -> QuerySet[Run]:
    """Runs created since, the newest `RUNS` of them: a range of the primary key."""
    before = Run.objects.order_by("-pk").values_list("pk", flat=True)[RUNS : RUNS + 1].first()
    return Run.objects.filter(pk__gte=first_id(moment), **({"pk__gt": before} if before else {}))


def timed_runs(moment: datetime) -> QuerySet[Run]:
    """The newest of those created since that have begun and ended, `TIMED_RUNS` at most."""
    ended = Run.objects.filter(pk__gte=first_id(moment), status__in=RUN_ENDED, started_at__isnull=False)
    return ended.order_by("-pk")[:TIMED_RUNS]


def timed_steps() -> QuerySet[StepResult]:
    """The newest results of steps that call functions, `TIMED_STEPS` at most."""
    return StepResult.objects.filter(kind="function", superseded=False).order_by("-pk")[:TIMED_STEPS]


def first_id(moment: datetime) -> uuid.UUID:
    """The least id of a run created at ``moment``: they are UUIDs of version 7, which begin with the time."""
    return uuid.UUID(int=int(moment.timestamp() * 1000) << 80)


def bounded(rows: QuerySet[Run], most: int = COUNTED) -> str:
    """How many rows there are, for people: `312`, or `10,000+` where more than ``most`` would have to be counted."""
    number = rows.order_by().values("pk")[: most + 1].count()
    return f"{number:,}" if number <= most else f"{most:,}+"
