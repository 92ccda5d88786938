"""What failed lately: the newest failed runs with the step that did it, and the steps that fail most."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import QuerySet

from workflows.admin.home_figures import FAILED, SHOWN, Times
from workflows.models import Run, StepResult
from workflows.states import STEP_FAILED


@dataclass(frozen=True, slots=True)
class Failure:
    """A run that failed, and the path of the step that failed last in it; empty if none did."""

    run: Run
    path: str


def newest(number: int = SHOWN) -> list[Failure]:
    """Runs that failed or took too long, the newest first."""
    # One query a status, each from the end of an index; one for both would read all that came between.
    rows = [run for status in FAILED for run in _of_status(status)[:number]]
    return told(sorted(rows, key=lambda run: run.pk, reverse=True)[:number])


def told(runs: Sequence[Run]) -> list[Failure]:
    """The runs, each with its failed step."""
    paths = _failed_steps([run.pk for run in runs])
    return [Failure(run, paths.get(run.pk, "")) for run in runs]


def most_failing(times: Iterable[Times]) -> list[Times]:
    """Steps by the share of their newest executions that failed."""
    failing = [step for step in times if step.failed]
    return sorted(failing, key=lambda step: (-step.failed_percent, -step.failed))[:SHOWN]


def _of_status(status: str) -> QuerySet[Run]:
    return Run.objects.filter(status=status).select_related("workflow").defer("input").order_by("-pk")


def _failed_steps(ids: list[uuid.UUID]) -> dict[uuid.UUID, str]:
    rows = StepResult.objects.filter(run__in=ids, superseded=False, status__in=STEP_FAILED)
    return dict(rows.order_by("ended_seq").values_list("run_id", "path"))
