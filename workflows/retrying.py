"""What a `retry` of an ended run keeps and what it discards."""

from dataclasses import dataclass

from workflows.definitions import Definition
from workflows.definitions.problems import did_you_mean
from workflows.errors import StepNotFound
from workflows.models import Run, StepResult
from workflows.states import STEP_FAILED, StepStatus

FINISHED = frozenset({StepStatus.COMPLETED, StepStatus.SKIPPED})


@dataclass(frozen=True, slots=True)
class Plan:
    """``start_at``: path of the first step that is executed again. ``discarded``: paths of superseded results."""

    start_at: str
    discarded: list[str]
    kept: list[StepResult]


def plan(run: Run, start_at: str | None) -> Plan:
    """From the first unfinished step, or from ``start_at``. Raises `StepNotFound`."""
    results = {row.path: row for row in run.steps.filter(superseded=False).defer("result", "parameters", "logs")}
    order = [step.step_id for step in run.definition.steps]
    first = next((path for path in order if not _is_finished(results.get(path), run)), order[-1])
    begin = first if start_at is None else _place(start_at, first, order)
    again = set(order[order.index(begin) :])
    return Plan(
        begin,
        [path for path in results if path in again],
        [row for path, row in results.items() if path not in again],
    )


def _place(start_at: str, first: str, order: list[str]) -> str:
    if start_at not in order:
        raise StepNotFound(f"the run has no step {start_at[:100]!r}{did_you_mean(start_at, order)}")
    if order.index(start_at) > order.index(first):
        raise StepNotFound(f"step {start_at!r} can't be begun with: {first!r}, which stands before it, is not finished")
    return start_at


def _is_finished(row: StepResult | None, run: Run) -> bool:
    """Whether a `retry` keeps the result: completed, skipped, or failed in a way that the run went on after."""
    if row is None or row.status in FINISHED:
        return row is not None
    ended_with_run = row.ended_seq == run.event_seq - 1
    return row.status in STEP_FAILED and _is_tolerated(run.definition, row.path) and not ended_with_run


def _is_tolerated(definition: Definition, path: str) -> bool:
    step = next(step for step in definition.steps if step.step_id == path)
    return step.continue_on_failure or not definition.stop_on_failure
