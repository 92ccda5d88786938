"""One run in a loop: its steps in order, each prepared, attempted, judged and written, until it ends or is let go."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NoReturn

from django.conf import settings
from django.utils import timezone

from workflows import cached_results, claims, execution, faults, requests, transitions
from workflows.attempt_texts import AttemptTexts
from workflows.claims import Claimed
from workflows.definitions.models import FunctionStep as Step
from workflows.errors import LeaseLost, RunDeadlineExceeded
from workflows.execution import Ready, World
from workflows.held import HeldRun
from workflows.lease import Lease
from workflows.ledger import Ledger
from workflows.outcomes import ErrorRecord, Failed, Skipped, Succeeded
from workflows.scope import Scope
from workflows.slots import Place, Slots
from workflows.states import STEP_ENDED, STEP_FAILED, StepStatus
from workflows.workers import Identity

logger = logging.getLogger(__name__)

PARK_FROM = 5.0  # waits of at least so many seconds hold nothing

Ending = Callable[[HeldRun], None]


@dataclass(slots=True)
class Means:
    """What a run needs of its loop."""

    ledger: Ledger
    world: World
    texts: AttemptTexts
    slots: Slots
    lease: Lease


class _LetGo(Exception):
    """The run waits without a holder, or is to be let go before its next attempt; its task ends."""


class RunTask:
    """Carries out one claimed run, until it ends, waits long, is halted before an attempt, or interrupted in one.

    Whatever happens, nothing of it is left held.
    """

    def __init__(self, claimed: Claimed, who: Identity, means: Means) -> None:
        self.held = claimed.held
        self.who = who
        self.task: asyncio.Task[None] | None = None
        self._claimed = claimed
        self._deadline = asyncio.get_running_loop().time() + claimed.seconds_left
        self._definition = claimed.definition
        self._means = means
        self._begun = False
        self._halting: Ending | None = None
        self._halted = asyncio.Event()
        self._ending: Ending | None = None
        self._interrupted = False
        self._final = False  # its last change is on the way: too late to interrupt

    def halt(self, ending: Ending) -> None:
        """Let the attempt that is under way end, then write ``ending`` before another begins."""
        self._halting = self._halting or ending
        self._halted.set()

    def interrupt(self, ending: Ending | None) -> bool:
        """Stop what is under way and write ``ending``; with None the lease is lost, and nothing may be written.

        False if it was interrupted before, or its last change is on the way.
        """
        if self._interrupted or self._final:
            return False
        self._interrupted, self._ending = True, ending
        if self._begun and self.task is not None:  # else it is seen at the task's first turn
            self.task.cancel()
        return True

    async def carry_out(self) -> None:
        try:
            await self._work()
        except LeaseLost:
            logger.warning("Run %s is held by another worker now; its work here stops.", self.held.id)
        except Exception as error:
            await self._rescue(error)

    async def _work(self) -> None:
        try:
            if self._interrupted:
                raise asyncio.CancelledError
            self._begun = True
            self._scope = _scope(self._claimed)
            async with asyncio.timeout_at(self._deadline):
                await self._advance()
        except TimeoutError:
            if not self._final:
                await self._end(lambda held: transitions.time_out(held, self._deadline_exceeded()))
        except asyncio.CancelledError:
            if self._ending is not None:
                await self._end(self._ending)
        except _LetGo:
            pass

    async def _rescue(self, error: Exception) -> None:
        """A defect must not leave a run that nobody carries on: it fails, and says why.

        What is held here may be ahead of what is stored, so the stored state is failed. If that can't be written
        either, the run is let go as if this worker had died, and others try until it is given up.
        """
        logger.error("Run %s can't be carried on", self.held.id, exc_info=error)
        ledger = self._means.ledger
        try:
            stored = await ledger.insist(claims.reload, self.who, self.held.id)
            if stored is not None:
                transitions.fail(stored, execution.record_error(error))
                await ledger.commit(stored.take())
        except Exception:
            logger.exception("Run %s can't even be failed; it is let go", self.held.id)
            await ledger.insist(claims.disown, self.who, self.held.id)

    async def _end(self, ending: Ending) -> None:
        """Write the last change of this task."""
        self._final = True
        self.held.open().texts += self._means.texts.end(self.held.id)
        ending(self.held)
        await self._commit()
        if self.held.is_open:  # let go, not ended: what was asked of its holder meanwhile is nobody's business else
            await self._means.ledger.insist(requests.settle, self.held.id)

    async def _commit(self) -> None:
        await self._means.ledger.commit(self.held.take())

    def _deadline_exceeded(self) -> ErrorRecord:
        limit = self._definition.max_execution_time_seconds
        error = RunDeadlineExceeded(f"the run took longer than max_execution_time_seconds ({limit:g} s)")
        return execution.record_error(error)

    # --- Its steps ---------------------------------------------------------------------------------------------------

    async def _advance(self) -> None:
        """The steps that have not ended, in order; then the run's end."""
        for step in self._definition.steps:
            if step.step_id in self._scope.steps:
                continue
            await self._let_go_if_halted()
            error = await self._step(step)
            if error is not None and self._definition.stop_on_failure and not step.continue_on_failure:
                record = ErrorRecord(error.code, f"step {step.step_id} failed: {error.message}")
                await self._end(partial(transitions.fail, error=record))
                return
        last = self._definition.steps[-1].step_id
        keep_only = None if self._definition.save_intermediate_results else last
        await self._end(lambda held: transitions.complete(held, keep_only))

    async def _step(self, step: Step) -> ErrorRecord | None:
        """Carry out one step. Returns the error it failed with."""
        held, path = self.held, step.step_id
        begun = held.step(path).status != StepStatus.PENDING
        model = self._definition.model_for(step)
        ready = await execution.prepare(step, self._scope, self._means.world, begun=begun, model=model)
        columns = _columns(step, ready)
        if isinstance(ready, Skipped):
            transitions.skip_step(held, path, ready, columns)
            return self._record(step, ready)
        if isinstance(ready, Failed):
            transitions.fail_step(held, path, ready, columns)
            return self._record(step, ready)
        if reused := await self._reused(step, ready):
            transitions.reuse_step(held, path, reused, columns)
            return self._record(step, reused)
        outcome = await self._attempts(step, ready, columns)
        if isinstance(outcome, Failed) and step.fallback is not None:
            outcome = await self._fall_back(step, outcome)
        held.open().texts += self._means.texts.end(held.id)
        if isinstance(outcome, Succeeded):
            transitions.complete_step(held, path, outcome)
        else:
            transitions.fail_step(held, path, outcome)
        return self._record(step, outcome)

    async def _reused(self, step: Step, ready: Ready) -> Succeeded | None:
        """An earlier result in place of attempts. Not where a `retry` discarded one: it wants a new one."""
        if not ready.digest or self.held.step(step.step_id).discards:
            return None
        found = await self._means.ledger.insist(cached_results.find, ready.digest)
        return await execution.reuse(step, ready, found, self._scope, self._means.world) if found else None

    async def _attempts(self, step: Step, ready: Ready, columns: dict[str, Any]) -> Succeeded | Failed:
        held, path = self.held, step.step_id
        while True:
            await self._pause(path, _retry_due(held, path))
            outcome = await self._attempt(step, ready, columns)
            if isinstance(outcome, Succeeded):
                return outcome
            failed_attempts = held.step(path).failed_attempts
            judged = execution.judge(self._definition.retry_for(step), step, outcome, failed_attempts)
            if isinstance(judged, Failed):
                return judged
            held.open().texts += self._means.texts.end(held.id)
            transitions.retry_step(held, path, judged)

    async def _attempt(self, step: Step, ready: Ready, columns: dict[str, Any]) -> Succeeded | Failed:
        """One attempt, in one of the jobs that the agent may have at once."""
        held, path = self.held, step.step_id
        place = self._means.slots.join(ready.agent)
        try:
            waited = 0.0 if await place.ask() else await self._wait_in_line(place, path, ready, columns)
            transitions.start_step(held, path, columns, waited)
            await self._commit()
            faults.point("before-step")
            outcome = await execution.attempt(
                self._definition, step, ready, self._scope, self._means.world, **self._call_options(path)
            )
            faults.point("after-effect")
            return outcome
        finally:
            place.leave()

    async def _wait_in_line(self, place: Place, path: str, ready: Ready, columns: dict[str, Any]) -> float:
        """Until the place is granted; returns the seconds."""
        began = time.monotonic()
        transitions.queue_step(self.held, path, columns, ready.agent.max_concurrent_jobs or 0)
        await self._commit()
        await self._unless_halted(place.granted.wait())
        return time.monotonic() - began

    async def _fall_back(self, step: Step, failed: Failed) -> Succeeded | Failed:
        """The fallback's result in place of the failure; both errors if it fails too."""
        outcome = await execution.fall_back(
            self._definition, step, self._scope, self._means.world, **self._call_options(step.step_id)
        )
        if isinstance(outcome, Succeeded):
            return outcome
        message = f"{failed.error.message}; the fallback failed too: {outcome.error.message}"
        return Failed(ErrorRecord(failed.error.code, message, failed.error.trace), outcome.footprint)

    async def _pause(self, path: str, due: datetime | None) -> None:
        """Wait for a retry: short waits here, long ones without holding the run."""
        delay = (due - timezone.now()).total_seconds() if due else 0
        if due is None or delay <= 0:
            await self._let_go_if_halted()
        elif delay >= PARK_FROM:
            await self._let_go_if_halted()
            await self._let_go(lambda held: transitions.park(held, due, f"{path} is tried again"))
        else:
            await self._commit()
            await self._unless_halted(asyncio.sleep(delay))

    async def _unless_halted(self, waiting: Coroutine[Any, Any, Any]) -> None:
        """Wait, but no longer than until the run is to be let go."""
        halted = asyncio.create_task(self._halted.wait())
        waited = asyncio.create_task(waiting)
        try:
            await asyncio.wait({halted, waited}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            halted.cancel()
            waited.cancel()
        await self._let_go_if_halted()

    async def _let_go_if_halted(self) -> None:
        if self._halting is not None:
            await self._let_go(self._halting)

    async def _let_go(self, ending: Ending) -> NoReturn:
        await self._end(ending)
        raise _LetGo

    def _call_options(self, path: str) -> dict[str, Any]:
        text = self._means.texts.begin(self.held.id, path, self.held.step(path).attempt)
        return {
            "idempotency_key": self.held.idempotency_key(path),
            "on_token": text.write,
            "require_lease": self._require_lease,
        }

    def _require_lease(self) -> None:
        if not self._means.lease.covers(self.who):
            raise LeaseLost(f"the lease of {self.who} has expired")

    def _record(self, step: Step, outcome: Succeeded | Failed | Skipped) -> ErrorRecord | None:
        """Tell the scope how a step ended."""
        held = self.held.step(step.step_id)
        error = outcome.error if isinstance(outcome, Failed) else None
        record = _step_record(
            outcome.result if isinstance(outcome, Succeeded) else None,
            held.status,
            error.message if error else None,
            held.attempt,
            held.duration_ms,
        )
        self._scope.add(step.step_id, record, outcome.sizes if isinstance(outcome, Succeeded) else None)
        return error


def _scope(claimed: Claimed) -> Scope:
    row = claimed.row
    scope = Scope(
        claimed.definition,
        row.input,
        run={"id": str(row.pk), "attempt": row.attempt, "started_at": _iso(claimed.held.started_at)},
        version=row.version.number,
        limit=settings.CONTEXT_MAX_BYTES,
    )
    for step in claimed.steps:
        if step.status in STEP_ENDED:
            error = step.error_message if step.status in STEP_FAILED else None
            scope.add(step.path, _step_record(step.result, step.status, error, step.attempt, step.duration_ms))
    return scope


def _step_record(
    result: dict[str, Any] | None, status: str, error: str | None, attempts: int, duration_ms: float
) -> dict[str, Any]:
    """What expressions see under ``steps.<id>``."""
    return {
        "result": result,
        "status": str(status),
        "error": error,
        "attempts": attempts,
        "duration_ms": round(duration_ms, 3),
    }


def _columns(step: Step, ready: Ready | Skipped | Failed) -> dict[str, Any]:
    columns: dict[str, Any] = {
        "step_id": step.step_id,
        "name": step.name,
        "agent": step.agent_id,
        "function": step.function_name,
    }
    if isinstance(ready, Ready):
        columns |= {"agent": ready.agent.name, "parameters": ready.stored}
    return columns


def _retry_due(held: HeldRun, path: str) -> datetime | None:
    """When a step that is between attempts is to be tried again."""
    step = held.step(path)
    if step.status != StepStatus.RETRYING or not step.attempts:
        return None
    last = step.attempts[-1]
    return datetime.fromisoformat(last["ended_at"]) + timedelta(seconds=last.get("retry_in", 0))


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
