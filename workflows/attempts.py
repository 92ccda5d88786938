"""One function step of a held run: prepared, attempted, judged and written, until it has ended."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from structlog.contextvars import bind_contextvars, unbind_contextvars

from workflows import cached_results, execution, faults, transitions
from workflows.attempt_texts import AttemptTexts
from workflows.control import Control
from workflows.definitions.models import BaseStep, Definition, FunctionStep
from workflows.errors import LeaseLost
from workflows.execution import Ready, World
from workflows.held import HeldRun
from workflows.lease import Lease
from workflows.ledger import Ledger
from workflows.models.run import next_attempt_at
from workflows.outcomes import ErrorRecord, Failed, Skipped, Succeeded
from workflows.scope import Scope
from workflows.slots import Place, Slots
from workflows.states import StepStatus
from workflows.workers import Identity


@dataclass(slots=True)
class Means:
    """What a run needs of its loop. ``offer``: have the loop look after a run that it made."""

    ledger: Ledger
    world: World
    texts: AttemptTexts
    slots: Slots
    lease: Lease
    offer: Callable[[Any], None]


class Attempts:
    """Carries out the function steps of one held run."""

    def __init__(
        self, definition: Definition, control: Control, who: Identity, means: Means, *, profile: bool = False
    ) -> None:
        self._definition = definition
        self._profile = profile
        self._control = control
        self._held = control.held
        self._who = who
        self._means = means

    async def carry_out(self, step: FunctionStep, scope: Scope, path: str) -> Succeeded | Failed | Skipped:
        """Until the step has ended; returns how. Its end is to be written with what follows."""
        bind_contextvars(step=path)
        try:
            return await self._carry_out(step, scope, path)
        finally:
            unbind_contextvars("step", "attempt")

    async def _carry_out(self, step: FunctionStep, scope: Scope, path: str) -> Succeeded | Failed | Skipped:
        held = self._held
        begun = held.step(path).status != StepStatus.PENDING
        model = self._definition.model_for(step)
        ready = await execution.prepare(step, scope, self._means.world, begun=begun, model=model)
        columns = _columns(step, ready)
        if not isinstance(ready, Ready):
            transitions.skip_or_fail(held, path, ready, columns)
            return ready
        if reused := await self._reused(step, scope, path, ready):
            transitions.reuse_step(held, path, reused, columns)
            return reused
        outcome = await self._attempts(step, scope, path, ready, columns)
        if isinstance(outcome, Failed) and step.fallback is not None:
            outcome = await self._fall_back(step, scope, path, outcome)
        held.open().texts += self._means.texts.end(held.id, path)
        if isinstance(outcome, Succeeded):
            transitions.complete_step(held, path, outcome)
        else:
            transitions.fail_step(held, path, outcome)
        return outcome

    async def _reused(self, step: FunctionStep, scope: Scope, path: str, ready: Ready) -> Succeeded | None:
        """An earlier result in place of attempts. Not where a `retry` discarded one: it wants a new one."""
        if not ready.digest or self._held.step(path).discards:
            return None
        found = await self._means.ledger.insist(cached_results.find, ready.digest)
        if found is None:
            return None
        return await execution.reuse(self._definition, step, ready, found, scope, self._means.world, path)

    async def _attempts(
        self, step: FunctionStep, scope: Scope, path: str, ready: Ready, columns: dict[str, Any]
    ) -> Succeeded | Failed:
        held = self._held
        while True:
            await self._until(path, _retry_due(held, path))
            outcome = await self._attempt(step, scope, path, ready, columns)
            if isinstance(outcome, Succeeded):
                return outcome
            failed_attempts = held.step(path).failed_attempts
            judged = execution.judge(self._definition.retry_for(step), step, outcome, failed_attempts)
            if isinstance(judged, Failed):
                return judged
            held.open().texts += self._means.texts.end(held.id, path)
            transitions.retry_step(held, path, judged)

    async def _attempt(
        self, step: FunctionStep, scope: Scope, path: str, ready: Ready, columns: dict[str, Any]
    ) -> Succeeded | Failed:
        """One attempt, in one of the jobs that the agent may have at once."""
        place = self._means.slots.join(ready.agent)
        try:
            waited = 0.0 if await place.ask() else await self._wait_in_line(place, path, ready, columns)
            transitions.start_step(self._held, path, columns, waited)
            await self._control.commit()
            faults.point("before-step")
            bind_contextvars(attempt=self._held.step(path).attempt)
            outcome = await execution.attempt(
                self._definition, step, ready, scope, self._means.world, **self._call_options(path)
            )
            faults.point("after-effect")
            return outcome
        finally:
            place.leave()

    async def _wait_in_line(self, place: Place, path: str, ready: Ready, columns: dict[str, Any]) -> float:
        """Until the place is granted; returns the seconds."""
        began = time.monotonic()
        transitions.queue_step(self._held, path, columns, ready.agent.max_concurrent_jobs or 0)
        await self._control.commit()
        await self._control.unless_halted(place.granted.wait())
        return time.monotonic() - began

    async def _fall_back(self, step: FunctionStep, scope: Scope, path: str, failed: Failed) -> Succeeded | Failed:
        """The fallback's result in place of the failure; both errors if it fails too."""
        outcome = await execution.fall_back(
            self._definition, step, scope, self._means.world, **self._call_options(path)
        )
        if isinstance(outcome, Succeeded):
            return outcome
        message = f"{failed.error.message}; the fallback failed too: {outcome.error.message}"
        return Failed(ErrorRecord(failed.error.code, message, failed.error.trace), outcome.footprint)

    async def _until(self, path: str, due: datetime | None) -> None:
        """Wait for a retry."""
        if due is None:
            self._control.let_go_if_stopped()
            return
        await self._control.commit()
        await self._control.wait(path, due)

    def _call_options(self, path: str) -> dict[str, Any]:
        text = self._means.texts.begin(self._held, path, self._held.step(path).attempt)
        return {
            "path": path,
            "idempotency_key": self._held.idempotency_key(path),
            "on_token": text.write,
            "require_lease": self._require_lease,
            "room": self._held.room,
            "profile": self._profile,
        }

    def _require_lease(self) -> None:
        if not self._means.lease.covers(self._who):
            raise LeaseLost(f"the lease of {self._who} has expired")


def described(step: BaseStep) -> dict[str, Any]:
    """Columns of the result of any step."""
    return {"step_id": step.step_id, "name": step.name, "kind": step.kind}


def _columns(step: FunctionStep, ready: Ready | Skipped | Failed) -> dict[str, Any]:
    columns = described(step) | {"agent": step.agent_id, "function": step.function_name}
    if isinstance(ready, Ready):
        columns |= {"agent": ready.agent.name, "parameters": ready.stored}
    return columns


def _retry_due(held: HeldRun, path: str) -> datetime | None:
    """When a step that is between attempts is to be tried again."""
    step = held.step(path)
    if step.status != StepStatus.RETRYING or not step.attempts:
        return None
    return next_attempt_at(step.attempts)
