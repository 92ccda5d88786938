"""How long the steps of a workflow took over its newest runs, as plain data. Bounded: so many days, runs and steps."""

import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from statistics import median

from workflows.definitions.models import CONTAINERS
from workflows.models import Run, StepResult, Workflow
from workflows.states import STEP_FAILED, StepStatus

DAYS = 7
MOST_RUNS = 1_000
MOST_STEPS = 15_000
"""Steps that are read: all runs together. Fewer runs are looked at where they have many steps."""

MOST_DOTS = 40


@dataclass(frozen=True, slots=True)
class Dot:
    """The slowest time of a step in one run, or in a few runs that follow one another."""

    run: uuid.UUID
    at: datetime
    milliseconds: float
    failed: bool


@dataclass(frozen=True, slots=True)
class StepTimes:
    """Executions of a step, those of all iterations together; times in milliseconds, ``share`` of all steps' time."""

    path: str
    kind: str
    count: int
    median: float
    p95: float
    failures: int
    retries: int
    share: float
    slowest: Dot
    dots: list[Dot]  # oldest first


@dataclass(frozen=True, slots=True)
class WorkflowTimes:
    """``since``: the oldest run that is looked at, ``runs`` of them."""

    runs: int
    since: datetime | None
    steps: list[StepTimes]  # those that take most of the time first


def workflow_times(workflow: Workflow, now: datetime) -> WorkflowTimes:
    """What the steps took in runs of the last days, at most so many runs, and at most so many steps of them."""
    created = _runs(workflow, now)
    rows = StepResult.objects.filter(run__in=list(created), superseded=False, started_at__isnull=False)
    rows = rows.exclude(kind__in=CONTAINERS).exclude(status=StepStatus.SKIPPED).order_by()
    columns = ("path", "kind", "run_id", "duration_ms", "status", "attempt")
    found: dict[str, list[tuple[Dot, int]]] = {}
    kinds: dict[str, str] = {}
    for path, kind, run_id, milliseconds, status, attempt in rows.values_list(*columns)[:MOST_STEPS]:
        folded = folded_path(path)
        kinds[folded] = kind
        dot = Dot(run_id, created[run_id], milliseconds, status in STEP_FAILED)
        found.setdefault(folded, []).append((dot, attempt))
    whole = sum(dot.milliseconds for dots in found.values() for dot, _ in dots) or 1
    steps = [_step(path, kinds[path], dots, whole) for path, dots in found.items()]
    return WorkflowTimes(len(created), min(created.values(), default=None), sorted(steps, key=lambda step: -step.share))


def folded_path(path: str) -> str:
    """The path without the numbers of iterations: ``chapters[].improve`` of ``chapters[2].improve``."""
    return re.sub(r"\[[0-9]+\]", "[]", path)


def quantile(rising: Sequence[float], share: float) -> float:
    """The smallest of the numbers that at least this share of them do not exceed (nearest rank)."""
    return rising[max(0, ceil(share * len(rising)) - 1)]


def _runs(workflow: Workflow, now: datetime) -> dict[uuid.UUID, datetime]:
    """Newest runs that have ended → when they were created: as many as have no more steps than are read."""
    first = uuid.UUID(int=int((now - timedelta(days=DAYS)).timestamp() * 1000) << 80)  # ids sort by time
    newest = Run.objects.filter(workflow=workflow, pk__gte=first).order_by("-pk")
    found: dict[uuid.UUID, datetime] = {}
    steps = 0
    for pk, created_at, ended_at, planned in newest.values_list("pk", "created_at", "ended_at", "planned_steps")[
        :MOST_RUNS
    ]:
        steps += planned
        if found and steps > MOST_STEPS:
            break
        if ended_at is not None:
            found[pk] = created_at
    return found


def _step(path: str, kind: str, executions: list[tuple[Dot, int]], whole: float) -> StepTimes:
    dots = sorted((dot for dot, _ in executions), key=lambda dot: dot.at)
    lengths = sorted(dot.milliseconds for dot in dots)
    return StepTimes(
        path=path,
        kind=kind,
        count=len(dots),
        median=median(lengths),
        p95=quantile(lengths, 0.95),
        failures=sum(dot.failed for dot in dots),
        retries=sum(max(0, attempt - 1) for _, attempt in executions),
        share=sum(lengths) / whole,
        slowest=max(dots, key=lambda dot: dot.milliseconds),
        dots=list(_thinned(dots)),
    )


def _thinned(dots: Sequence[Dot]) -> Iterator[Dot]:
    """At most so many: the slowest of each few that follow one another."""
    together = -(-len(dots) // MOST_DOTS)
    for first in range(0, len(dots), together):
        yield max(dots[first : first + together], key=lambda dot: dot.milliseconds)
