"""Figures of the first page: what goes on now, how the last day went, how long workflows and steps take."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Min
from django.db.models.functions import TruncHour

from workflows.admin import window
from workflows.admin.base import duration
from workflows.models import Run, Workflow
from workflows.states import STEP_FAILED, RunStatus

HOURS = 24
SHOWN = 6
"""Rows of each table."""
FAILED = (RunStatus.FAILED, RunStatus.TIMED_OUT)
STANDING = (RunStatus.RUNNING, RunStatus.WAITING, RunStatus.PAUSED)


# --- Now -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """Runs that are due and that nobody has taken."""

    number: str
    oldest: str  # how long the first of them has waited; empty if there is none


def line(moment: datetime) -> Line:
    due = Run.objects.due(moment)
    since = due.order_by().aggregate(since=Min("due_at"))["since"]
    return Line(window.bounded(due), _waited(_milliseconds(since, moment)) if since else "")


def _waited(milliseconds: float) -> str:
    """To the second up to ten minutes, then to the minute."""
    return duration(milliseconds if milliseconds < 600_000 else round(milliseconds / 60_000) * 60_000)


def standing() -> list[tuple[str, str]]:
    """Status → number of runs, of those that have begun and not ended."""
    return [(status.value, window.bounded(Run.objects.filter(status=status))) for status in STANDING]


# --- The last day ----------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Hour:
    """Runs created in an hour, by what has come of them."""

    begins: datetime
    completed: int = 0
    failed: int = 0
    others: int = 0  # cancelled, or not ended

    @property
    def total(self) -> int:
        return self.completed + self.failed + self.others

    def add(self, status: str, number: int) -> None:
        if status == RunStatus.COMPLETED:
            self.completed += number
        elif status in FAILED:
            self.failed += number
        else:
            self.others += number


@dataclass(frozen=True, slots=True)
class Day:
    """Runs created in this hour and the 23 before it. ``is_cut``: only the newest `window.RUNS` are told of."""

    hours: list[Hour]

    @property
    def total(self) -> int:
        return sum(hour.total for hour in self.hours)

    @property
    def failed(self) -> int:
        return sum(hour.failed for hour in self.hours)

    @property
    def is_cut(self) -> bool:
        return self.total >= window.RUNS

    @property
    def success(self) -> float | None:
        """Percent of those that completed or failed; a cancelled one did neither."""
        completed = sum(hour.completed for hour in self.hours)
        return 100 * completed / (completed + self.failed) if completed + self.failed else None


def day(moment: datetime) -> Day:
    newest = moment.replace(minute=0, second=0, microsecond=0)
    hours = {begins: Hour(begins) for begins in (newest - timedelta(hours=ago) for ago in range(HOURS - 1, -1, -1))}
    rows = window.runs_since(min(hours)).order_by().annotate(hour=TruncHour("created_at"))
    for begins, status, number in rows.values_list("hour", "status").annotate(number=Count("pk")):
        if begins in hours:
            hours[begins].add(status, number)
    return Day(list(hours.values()))


# --- How long it takes -----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Times:
    """Of the newest runs of a workflow, or executions of one of its steps: how long they took, how many failed."""

    workflow: Workflow
    step: str = ""
    taken: list[float] = field(default_factory=list)  # milliseconds
    failed: int = 0

    @property
    def number(self) -> int:
        return len(self.taken)

    @property
    def median(self) -> float:
        return self._quantile(0.5)

    @property
    def p95(self) -> float:
        return self._quantile(0.95)

    @property
    def told(self) -> tuple[str, str]:
        """Median and p95 in words."""
        return duration(self.median), duration(self.p95)

    @property
    def failed_percent(self) -> float:
        return 100 * self.failed / self.number

    def _quantile(self, share: float) -> float:
        """The least time that so large a share of them did not exceed."""
        return sorted(self.taken)[max(0, -(-round(share * 100) * self.number // 100) - 1)]


def workflow_times(moment: datetime) -> list[Times]:
    """Workflows by how often they ran, of the newest runs of a day."""
    rows = window.timed_runs(moment - window.A_DAY).values_list("workflow_id", "status", "started_at", "ended_at")
    times = _gathered(((pk, ""), status in FAILED, _milliseconds(began, ended)) for pk, status, began, ended in rows)
    return sorted(times, key=lambda times: (-times.number, times.workflow.name))


def step_times() -> list[Times]:
    """Steps of the newest results, in no order."""
    rows = window.timed_steps().values_list("run__workflow_id", "step_id", "status", "duration_ms", "ended_at")
    ended = ((workflow, step, status, ms) for workflow, step, status, ms, at in rows if at is not None)
    return _gathered(((workflow, step), status in STEP_FAILED, ms) for workflow, step, status, ms in ended)


def slowest(times: Iterable[Times]) -> list[Times]:
    return sorted(times, key=lambda step: -step.p95)[:SHOWN]


def _gathered(rows: Iterable[tuple[tuple[int, str], bool, float]]) -> list[Times]:
    taken: dict[tuple[int, str], list[float]] = defaultdict(list)
    failed: dict[tuple[int, str], int] = defaultdict(int)
    for key, has_failed, milliseconds in rows:
        taken[key].append(milliseconds)
        failed[key] += has_failed
    workflows = Workflow.objects.in_bulk({workflow for workflow, _ in taken})
    return [Times(workflows[pk], step, taken[pk, step], failed[pk, step]) for pk, step in taken]


def _milliseconds(began: Any, ended: Any) -> float:
    milliseconds: float = (ended - began).total_seconds() * 1000
    return milliseconds
