"""What a `retry` of an ended run keeps, what it discards, and which blocks go on with what they had decided."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field

from workflows import generated
from workflows.definitions.models import (
    CONTAINERS,
    BaseStep,
    ForEach,
    FunctionStep,
    If,
    Parallel,
    Steps,
    Switch,
    While,
    walk,
)
from workflows.definitions.problems import did_you_mean
from workflows.errors import StepNotFound
from workflows.models import Run, StepResult
from workflows.recall import around
from workflows.states import STEP_FAILED, StepStatus

FINISHED = frozenset({StepStatus.COMPLETED, StepStatus.SKIPPED})
PATHS_TOLD = 5


@dataclass(frozen=True, slots=True)
class Plan:
    """``start_at``: path of the first step that is executed again. ``discarded``: paths of superseded results.

    ``reopened``: the blocks around those, which go on with what they had decided.
    """

    start_at: str
    discarded: list[str]
    reopened: list[str]
    kept: list[StepResult]


def plan(run: Run, start_at: str | None) -> Plan:
    """From the first unfinished step, or from ``start_at``. Raises `StepNotFound`."""
    rows = {row.path: row for row in run.steps.filter(superseded=False).defer("logs")}
    review = _Review(run, rows, start_at)
    steps = run.definition.steps
    if not review.of(steps, ""):
        review.again(steps[-1].step_id)
    if start_at is not None and not review.reached:
        raise _not_there(start_at, review.first, rows, steps)
    return Plan(
        start_at or review.first,
        [path for path in rows if path in review.discarded],
        [path for path in rows if path in review.reopened],
        [row for path, row in rows.items() if path not in review.discarded],
    )


def _not_there(start_at: str, first: str, rows: Collection[str], steps: Steps) -> StepNotFound:
    if start_at in rows or start_at in {step.step_id for step in steps}:
        before = f"{first!r}, which stands before it, is not finished"
        return StepNotFound(f"step {start_at!r} can't be begun with: {before}")
    ids = {step.step_id for step in walk(steps)}
    if executed := [path for path in rows if _id_of(path) == start_at]:
        told = ", ".join(repr(path) for path in executed[:PATHS_TOLD])
        return StepNotFound(f"step {start_at!r} was executed as {told}: name one of them")
    if _id_of(start_at) in ids:
        return StepNotFound(f"the run has not come to {start_at!r}, and goes on with {first!r}")
    return StepNotFound(f"the run has no step {start_at[:100]!r}{did_you_mean(start_at, {*rows, *ids})}")


def _id_of(path: str) -> str:
    """The last step's id: ``b`` of ``a[0].b`` and of ``a[0].b[1]``."""
    return path.rpartition(".")[2].partition("[")[0]


@dataclass(slots=True)
class _Review:
    """Goes over the steps as the walk does. In a list of steps all that follows one to be executed again is discarded.

    Branches of `parallel` and items of `for_each` see nothing of one another: each keeps what it has finished.
    """

    run: Run
    rows: dict[str, StepResult]
    start_at: str | None
    first: str = ""
    reached: bool = False
    discarded: set[str] = field(default_factory=set)
    reopened: set[str] = field(default_factory=set)
    inside: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Path of a block or iteration → paths of the rows inside it."""

    def __post_init__(self) -> None:
        for path in self.rows:
            for place in around(path):
                self.inside[place].append(path)

    def of(self, steps: Steps, prefix: str) -> bool:
        """Whether any of the steps is executed again."""
        found = False
        for step in steps:
            path = prefix + step.step_id
            if found:
                self._discard(path)
            else:
                found = self._is_again(step, path)
        return found

    def again(self, path: str) -> bool:
        """This step, and all inside it, is executed again."""
        self.reached |= path == self.start_at
        self.first = self.first or path
        self._discard(path)
        return True

    def _is_again(self, step: BaseStep, path: str) -> bool:
        row = self.rows.get(path)
        if row is None or path == self.start_at:
            return self.again(path)
        finished = self._is_finished(step, row)
        if finished and not self._starts_inside(path) and not isinstance(step, FunctionStep):
            return False
        if isinstance(step, FunctionStep):
            return self._generated(step, row) if finished else self.again(path)
        if row.parameters is not None and (self._inside(step, row) or (not finished and self._was_cut_off(step, row))):
            self.first = self.first or path
            self.reopened.add(path)
            return True
        return False if finished else self.again(path)

    def _generated(self, step: FunctionStep, row: StepResult) -> bool:
        if not step.generate or row.status != StepStatus.COMPLETED or row.result is None:
            return False
        made = generated.read(row.result)
        if step.continue_on_failure and not self._starts_inside(row.path):
            made = self._until_failure(made, f"{row.path}.")
        return self.of(made, f"{row.path}.")

    def _until_failure(self, steps: Steps, prefix: str) -> Steps:
        """The steps before the one whose failure ended the list, and was tolerated."""
        for index, step in enumerate(steps):
            row = self.rows.get(prefix + step.step_id)
            if row is not None and row.status in STEP_FAILED and not self._is_finished(step, row):
                return steps if self._failed_with_run(row) else steps[:index]
        return steps

    def _inside(self, step: BaseStep, row: StepResult) -> bool:
        """Whether any step inside the block is executed again."""
        path, decided = row.path, row.parameters or {}
        match step:
            case If() | Switch():
                return bool(decided["branch"]) and self.of(step.branches[decided["branch"]], f"{path}.")
            case Parallel():
                found = [self.of(steps, f"{path}.") for steps in step.parallel.values()]
                return any(found)
            case ForEach():
                found = [self._iteration(step.steps, f"{path}[{index}]") for index in range(len(decided["items"]))]
                return any(found)
            case While():
                return self._iterations(step, path)
        return False

    def _iterations(self, step: While, path: str) -> bool:
        index, found = 0, False
        while (here := f"{path}[{index}]") in self.inside:
            if found:
                self._discard(here)
            else:
                found = self._iteration(step.steps, here)
            index += 1
        return found

    def _iteration(self, steps: Steps, path: str) -> bool:
        return self.again(path) if path == self.start_at else self.of(steps, f"{path}.")

    def _discard(self, path: str) -> None:
        self.discarded.update(self.inside.get(path, ()))
        if path in self.rows:
            self.discarded.add(path)

    def _starts_inside(self, path: str) -> bool:
        return self.start_at is not None and self.start_at.startswith((f"{path}.", f"{path}["))

    def _is_finished(self, step: BaseStep, row: StepResult) -> bool:
        """Whether a `retry` keeps the result: completed, skipped, or failed in a way that the run went on after."""
        if row.status in FINISHED:
            return True
        tolerated = step.continue_on_failure or not self.run.definition.stop_on_failure
        return row.status in STEP_FAILED and tolerated and not self._failed_with_run(row)

    def _was_cut_off(self, step: BaseStep, row: StepResult) -> bool:
        """Whether a block, all inside which is finished, ended for a reason that is none of its own."""
        return step.kind in CONTAINERS and (row.status == StepStatus.CANCELLED or self._failed_with_run(row))

    def _failed_with_run(self, row: StepResult) -> bool:
        return (row.error_code, row.error_message) == (self.run.error_code, self.run.error_message)
