"""The steps of one held run in the order that its definition gives: sequences, branches and loops, at any depth.

The walk begins anew at each claim. What has ended is recalled from its rows, what a block has decided stands in the
row of the block, so that nothing finished is done again and nothing decided is decided again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.conf import settings

from workflows import execution, generated, transitions
from workflows.attempts import Attempts, Means, described
from workflows.claims import Claimed
from workflows.control import Control, LetGo
from workflows.definitions.models import (
    CONTAINERS,
    DEFAULT_CASE,
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
from workflows.errors import (
    ContextTooLarge,
    ExpressionError,
    IllegalTransition,
    LeaseLost,
    LoopLimitExceeded,
    TooManySteps,
    WorkflowError,
)
from workflows.expressions.functions import as_text
from workflows.models.fields import dumps
from workflows.outcomes import ErrorRecord, Failed, Skipped, Succeeded
from workflows.recall import Recall, merged, record, record_of
from workflows.scope import Additions, Scope
from workflows.states import STEP_ENDED, STEP_FAILED, StepStatus
from workflows.waits import Waits
from workflows.workers import Identity

Decision = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Failure:
    """An error that is not tolerated, and the step that it comes from."""

    path: str
    error: ErrorRecord

    @property
    def told(self) -> ErrorRecord:
        """The error as the blocks around the step, and the run, bear it."""
        return ErrorRecord(self.error.code, f"step {self.path} failed: {self.error.message}")


class RunFailed(Exception):
    """The run can't go on, whatever its definition tolerates."""

    def __init__(self, error: WorkflowError) -> None:
        self.record = execution.record_error(error)


class Walk:
    def __init__(self, claimed: Claimed, control: Control, who: Identity, means: Means) -> None:
        self._definition = claimed.definition
        self._control = control
        self._held = control.held
        self._world = means.world
        self._rows = {row.path: row for row in claimed.steps}
        self._recall = Recall(self._rows)
        self._attempts = Attempts(claimed.definition, control, who, means, profile=claimed.row.profile)
        self._waits = Waits(claimed, control, means)
        self._held.counts["planned_steps"] = self._definition.total_steps

    async def steps(self, steps: Steps, scope: Scope, prefix: str = "") -> Failure | None:
        """Carry out steps in order. Returns the failure that ends them."""
        for step in steps:
            await self._control.breathe()
            failure = await self._step(step, scope, prefix + step.step_id)
            if failure and self._definition.stop_on_failure and not step.continue_on_failure:
                return failure
        return None

    async def _step(self, step: BaseStep, scope: Scope, path: str) -> Failure | None:
        held = self._held.step(path, step.kind)
        if held.status in STEP_ENDED:
            failure = self._recalled(step, scope, path)
        else:
            self._require_room(path)
            failure = await self._carry_out(step, scope, path)
        if failure is None and isinstance(step, FunctionStep) and step.generate:
            failure = await self._generated(step, scope, path)
        return failure

    async def _carry_out(self, step: BaseStep, scope: Scope, path: str) -> Failure | None:
        if step.kind in CONTAINERS:
            return await self._container(step, scope, path)
        if isinstance(step, FunctionStep):
            return self._record(step, scope, path, await self._attempts.carry_out(step, scope, path))
        return self._record(step, scope, path, await self._waits.carry_out(step, scope, path))

    def _recalled(self, step: BaseStep, scope: Scope, path: str) -> Failure | None:
        """A step that ended before this claim; steps that it generated may not have ended."""
        row = self._rows[path]
        if isinstance(step, FunctionStep):
            scope.add(step.step_id, record_of(row), merged(step, row.status, row.result))
        else:
            self._recall.step(step, scope, path)
            self._plan(self._recall.leaves_below(path) - _leaves([step]) if step.kind in CONTAINERS else 0)
        if row.status in STEP_FAILED:
            return Failure(path, ErrorRecord(row.error_code, row.error_message))
        return None

    async def _generated(self, step: FunctionStep, scope: Scope, path: str) -> Failure | None:
        made = scope.steps[step.step_id]
        if made["status"] != StepStatus.COMPLETED:
            return None
        steps = generated.read(made["result"])
        self._plan(_leaves(steps))
        return await self.steps(steps, scope, f"{path}.")

    def _record(self, step: BaseStep, scope: Scope, path: str, outcome: Succeeded | Failed | Skipped) -> Failure | None:
        """Tell the scope how a step has ended."""
        held = self._held.step(path)
        result = outcome.result if isinstance(outcome, Succeeded) else None
        error = outcome.error if isinstance(outcome, Failed) else None
        told = record(result, held.status, error.message if error else None, held.attempt, held.duration_ms)
        sizes = outcome.sizes if isinstance(outcome, Succeeded) else None
        scope.add(step.step_id, told, merged(step, held.status, result), sizes)
        return Failure(path, error) if error else None

    def _require_room(self, path: str) -> None:
        if len(self._held.steps) > settings.MAX_STEPS_PER_RUN:
            limit = f"a run executes at most {settings.MAX_STEPS_PER_RUN:,} steps (KOLOSAL_MAX_STEPS_PER_RUN)"
            raise RunFailed(TooManySteps(f"{limit}, and {path} would be one more"))

    def _plan(self, more: int) -> None:
        """Steps that are known now to follow, or not to."""
        self._held.counts["planned_steps"] += more

    # --- Blocks ------------------------------------------------------------------------------------------------------

    async def _container(self, step: BaseStep, scope: Scope, path: str) -> Failure | None:
        if self._held.step(path).status == StepStatus.PENDING:
            self._control.let_go_if_stopped()
            columns = described(step)
            decision = await execution.decide(step, scope, self._world, lambda: self._decide(step, scope))
            if not isinstance(decision, dict):
                transitions.skip_or_fail(self._held, path, decision, columns)
                self._plan(-_leaves([step]) if isinstance(decision, Skipped) else 0)
                return self._record(step, scope, path, decision)
            transitions.begin_block(self._held, path, columns | {"parameters": decision})
        else:
            decision = self._rows[path].parameters or {}
        outcome, failure = await self._inside(step, scope, path, decision)
        if isinstance(outcome, Succeeded):
            transitions.finish_step(self._held, path, outcome)
        else:
            transitions.fail_step(self._held, path, outcome)
        failed_itself = self._record(step, scope, path, outcome)
        return failure or failed_itself

    async def _decide(self, step: BaseStep, scope: Scope) -> Decision:
        """What stands in the block's row, and is never decided again. Raises `WorkflowError`."""
        match step:
            case If():
                branch = "then" if await execution.holds(step.if_, scope, self._world) else "else"
                return {"branch": branch if step.branches[branch] else None}
            case Switch():
                value = _case(await execution.evaluate(step.switch, scope.names(), self._world))
                return {"branch": value if value in step.cases else DEFAULT_CASE if step.default else None}
            case ForEach():
                return {"items": await self._items(step, scope)}
        return {}

    async def _items(self, step: ForEach, scope: Scope) -> list[Any]:
        items = await execution.evaluate(step.for_each, scope.names(), self._world)
        if not isinstance(items, list):
            raise ExpressionError(f"for_each needs a list, not {dumps(items):.100}: {step.for_each:.200}")
        if len(items) > step.max_iterations:
            told = f"the list has {len(items):,} items, and max_iterations is {step.max_iterations:,}"
            raise LoopLimitExceeded(told)
        if (size := len(dumps(items))) > settings.CONTEXT_MAX_BYTES:
            raise ContextTooLarge(f"the list has {size:,} bytes, past the limit of {settings.CONTEXT_MAX_BYTES:,}")
        return items

    async def _inside(
        self, step: BaseStep, scope: Scope, path: str, decision: Decision
    ) -> tuple[Succeeded | Failed, Failure | None]:
        """The steps of a block, and what the block has come to."""
        result: Any
        try:
            match step:
                case If() | Switch():
                    result, failure = await self._branch(step, scope, path, decision["branch"])
                case While():
                    result, failure = await self._while(step, scope, path)
                case ForEach():
                    result, failure = await self._for_each(step, scope, path, decision["items"])
                case Parallel():
                    result, failure = await self._parallel(step, scope, path)
                case _:
                    raise AssertionError(step.kind)
            if failure is not None:
                return Failed(failure.told), failure
            return _succeeded(step, scope, result), None
        except (LeaseLost, IllegalTransition):  # of the run, whichever step inside met it
            raise
        except WorkflowError as error:
            return Failed(execution.record_error(error)), None

    async def _branch(
        self, step: If | Switch, scope: Scope, path: str, branch: str | None
    ) -> tuple[Decision, Failure | None]:
        steps = step.branches[branch] if branch is not None else ()
        self._plan(_leaves(steps) - _leaves([step]))
        return {"branch": branch}, await self.steps(steps, scope, f"{path}.")

    async def _while(self, step: While, scope: Scope, path: str) -> tuple[Decision, Failure | None]:
        body = _leaves(step.steps)
        self._plan(-body)
        index = 0
        while self._recall.has_begun(f"{path}[{index}]") or await self._goes_on(step, scope, index):
            self._plan(body)
            if failure := await self.steps(step.steps, scope, f"{path}[{index}]."):
                return {}, failure
            index += 1
        return {"iterations": index}, None

    async def _goes_on(self, step: While, scope: Scope, index: int) -> bool:
        self._control.let_go_if_stopped()
        if not await execution.holds(step.while_, scope, self._world):
            return False
        if index == step.max_iterations:
            told = f"the condition still holds after max_iterations ({step.max_iterations:,}): {step.while_:.200}"
            raise LoopLimitExceeded(told)
        return True

    async def _for_each(
        self, step: ForEach, scope: Scope, path: str, items: Sequence[Any]
    ) -> tuple[list[dict[str, Any]], Failure | None]:
        self._plan((len(items) - 1) * _leaves(step.steps))
        joined: dict[int, Additions] = {}

        async def one(index: int) -> Failure | None:
            fork = scope.fork_for(step.as_, items[index], index)
            try:
                return await self.steps(step.steps, fork, f"{path}[{index}].")
            finally:
                joined[index] = fork.take()

        failure = await self._at_once(path, range(len(items)), one, step.max_concurrency)
        ordered = [joined[index] for index in sorted(joined)]
        for additions in ordered:
            scope.join(additions, listed=True)
        return [additions.own for additions in ordered], failure

    async def _parallel(self, step: Parallel, scope: Scope, path: str) -> tuple[Decision, Failure | None]:
        joined: dict[str, Additions] = {}

        async def one(name: str) -> Failure | None:
            fork = scope.fork()
            try:
                return await self.steps(step.parallel[name], fork, f"{path}.")
            finally:
                joined[name] = fork.take()

        failure = await self._at_once(path, step.parallel, one, len(step.parallel))
        for name in step.parallel:
            if name in joined:
                scope.join(joined[name])
        return {name: joined[name].context for name in step.parallel if name in joined}, failure

    async def _at_once(
        self, path: str, keys: Iterable[Any], carry_out: Callable[[Any], Awaitable[Failure | None]], limit: int
    ) -> Failure | None:
        """Branches of the block at ``path``, ``limit`` at once. The first failure cancels those under way.

        Raises `LetGo` once none of them goes on.
        """
        if limit == 1:
            for key in keys:
                if failure := await carry_out(key):
                    return failure
            return None
        failure = await _Branches(self._control, carry_out, limit).join(iter(keys))
        if failure is not None:
            error = ErrorRecord("Cancelled", f"cancelled because step {failure.path} failed")
            await self._waits.cancel_children(path)
            transitions.end_steps(self._held, StepStatus.CANCELLED, error, below=path)
        return failure


class _Branches:
    """Tasks of one block."""

    def __init__(self, control: Control, carry_out: Callable[[Any], Awaitable[Failure | None]], limit: int) -> None:
        self._control = control
        self._carry_out = carry_out
        self._limit = limit
        self._running: set[asyncio.Task[Failure | None]] = set()

    async def join(self, keys: Iterator[Any]) -> Failure | None:
        """Until all have ended, or one has failed."""
        self._control.branches -= 1  # it only waits, for branches of its own
        try:
            return await self._join(keys)
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)
            self._control.branches += 1 - len(self._running)

    async def _join(self, keys: Iterator[Any]) -> Failure | None:
        let_go = False
        while True:
            if not let_go:
                self._start(keys)
            if not self._running:
                break
            self._control.park_if_all_wait()
            done, self._running = await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
            self._control.branches -= len(done)
            errors = [error for task in done if (error := task.exception()) is not None]
            if other := next((error for error in errors if not isinstance(error, LetGo)), None):
                raise other
            let_go |= bool(errors)
            if failure := next((task.result() for task in done if not task.exception() and task.result()), None):
                return failure
        if let_go:
            raise LetGo
        return None

    def _start(self, keys: Iterator[Any]) -> None:
        for key in islice(keys, self._limit - len(self._running)):
            self._running.add(asyncio.create_task(self._one(key)))
            self._control.branches += 1

    async def _one(self, key: Any) -> Failure | None:
        failure = await self._carry_out(key)
        if failure is None:  # others may go on for long; a failure is written with what it leads to
            await self._control.commit()
        return failure


def _succeeded(step: BaseStep, scope: Scope, result: Any) -> Succeeded:
    """A block's outcome. Raises `ContextTooLarge` if a loop's list would not fit into the context."""
    if isinstance(step, ForEach):
        _, sizes = scope.encode({step.step_id: result})
        return Succeeded(result, dumps(result), sizes)
    return Succeeded(result, dumps(result), {})


def _case(value: Any) -> str:
    """The value as cases are written: a whole number without a fraction, 10.0 as 10."""
    return as_text(int(value) if isinstance(value, float) and value.is_integer() else value)


def _leaves(steps: Iterable[BaseStep]) -> int:
    """Steps that count, at any depth."""
    return sum(step.kind not in CONTAINERS for step in walk(steps))
