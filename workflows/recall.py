"""What steps that have ended told the scope, told again from their rows: for a run that goes on, and for its context
at any step. Nothing is decided here.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from django.conf import settings

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
)
from workflows.models import Run, StepResult
from workflows.scope import Additions, Scope
from workflows.states import STEP_ENDED, STEP_FAILED, StepStatus

TOLD = STEP_ENDED - {StepStatus.CANCELLED}
"""How steps end that tell the scope of it. A cancelled one does not: its branch was stopped within it."""

MERGED = frozenset({"function", "workflow", "approval", "wait_for"})
"""Kinds of steps whose result is merged into the context."""

TOLD = STEP_ENDED - {StepStatus.CANCELLED}
"""What has ended by itself. What a failure beside it cut off tells nothing, as it told nothing when it happened."""


class Reached(Exception):
    """The walk has come to the path where it was to stop; ``scope`` is what the step there sees."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope


class Recall:
    """``rows``: path → result, of one run. With ``until``, the walk raises `Reached` at that path."""

    def __init__(self, rows: Mapping[str, StepResult], until: str | None = None) -> None:
        self._rows = rows
        self._until = until
        self._leaves: Counter[str] = Counter()
        for path, row in rows.items():
            for place in around(path):
                self._leaves[place] += row.kind not in CONTAINERS

    def has_begun(self, path: str) -> bool:
        """Whether an iteration, such as ``loop[3]``, has any step."""
        return path in self._leaves

    def leaves_below(self, path: str) -> int:
        """How many steps inside the block at ``path`` count."""
        return self._leaves[path]

    def steps(self, steps: Steps, scope: Scope, prefix: str) -> None:
        for step in steps:
            self.step(step, scope, prefix + step.step_id)

    def step(self, step: BaseStep, scope: Scope, path: str) -> None:
        """Tell the scope of a step and of those inside it, as far as they have ended."""
        if path == self._until:
            raise Reached(scope)
        row = self._rows.get(path)
        if row is None:
            return
        if not isinstance(step, FunctionStep):
            self._inside(step, row, scope, path)
        if row.status in TOLD:
            scope.add(step.step_id, record_of(row), merged(step, row.status, row.result))
        made = isinstance(step, FunctionStep) and step.generate and row.status == StepStatus.COMPLETED
        if made and row.result is not None:  # else it was dropped with the others at the run's end
            self.steps(generated.read(row.result), scope, f"{path}.")

    def _inside(self, step: BaseStep, row: StepResult, scope: Scope, path: str) -> None:
        decided = row.parameters or {}
        if isinstance(step, If | Switch) and decided.get("branch"):
            self.steps(step.branches[decided["branch"]], scope, f"{path}.")
        elif isinstance(step, While):
            index = 0
            while self.has_begun(f"{path}[{index}]"):
                self.steps(step.steps, scope, f"{path}[{index}].")
                index += 1
        elif isinstance(step, ForEach):
            forks = []
            for index, item in enumerate(decided.get("items", ())):
                if self.has_begun(f"{path}[{index}]"):
                    fork = scope.fork_for(step.as_, item, index)
                    self.steps(step.steps, fork, f"{path}[{index}].")
                    forks.append(fork.take())
            self._join(scope, row, forks, listed=True)
        elif isinstance(step, Parallel):
            forks = []
            for steps in step.parallel.values():
                fork = scope.fork()
                self.steps(steps, fork, f"{path}.")
                forks.append(fork.take())
            self._join(scope, row, forks)

    @staticmethod
    def _join(scope: Scope, row: StepResult, forks: list[Additions], *, listed: bool = False) -> None:
        if row.status in TOLD:
            for fork in forks:
                scope.join(fork, listed=listed)


def around(path: str) -> Iterator[str]:
    """The blocks around a step, and their iterations: ``a`` and ``a[0]`` of ``a[0].b``."""
    for dot, mark in enumerate(path):
        if mark == ".":
            yield path[:dot]
            if path[dot - 1] == "]":
                yield path[: path.rindex("[", 0, dot)]


def recalled(run: Run, until: str | None = None) -> Scope:
    """The scope of a run as it is now, or as the step at the path ``until`` saw it."""
    scope = scope_of(run)
    rows = {row.path: row for row in run.steps.filter(superseded=False).defer("attempts", "logs")}
    try:
        Recall(rows, until).steps(run.definition.steps, scope, "")
    except Reached as reached:
        return reached.scope
    return scope


def scope_of(run: Run) -> Scope:
    """The scope of a run before its first step."""
    started = run.started_at.isoformat() if run.started_at else None
    return Scope(
        run.definition,
        run.input,
        run={"id": str(run.pk), "attempt": run.attempt, "started_at": started},
        version=run.version.number,
        limit=settings.CONTEXT_MAX_BYTES,
    )


def merged(step: BaseStep, status: str, result: Any) -> Mapping[str, Any] | None:
    """What a step that has ended adds to the context; a loop over items its list, under its id.

    Without a ``result`` nothing: it was dropped at the run's end.
    """
    if status != StepStatus.COMPLETED or result is None:
        return None
    if isinstance(step, ForEach):
        return {step.step_id: result}
    return result if step.kind in MERGED and isinstance(result, dict) else None


def record_of(row: StepResult) -> dict[str, Any]:
    """What expressions see under ``steps.<id>``."""
    error = row.error_message if row.status in STEP_FAILED else None
    return record(row.result, row.status, error, row.attempt, row.duration_ms)


def record(result: Any, status: str, error: str | None, attempts: int, duration_ms: float) -> dict[str, Any]:
    return {
        "result": result,
        "status": str(status),
        "error": error,
        "attempts": attempts,
        "duration_ms": round(duration_ms, 3),
    }
