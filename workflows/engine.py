"""The engine: one asyncio loop that claims runs, advances each of them step by step, and gives up what it may not hold.

Every run is one task. What a step came to is turned into a change by :mod:`workflows.transitions` and written by the
loop's `Ledger` at each step boundary: the end of one step and the start of the next in one commit.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone

from agents import catalog
from agents.functions.base import AgentSpec, Function
from workflows import claims, execution, transitions
from workflows.changes import Change, write_texts
from workflows.claims import Claimed, Identity
from workflows.definitions.models import Definition, Step
from workflows.errors import LeaseLost, RunDeadlineExceeded
from workflows.execution import Ready, World
from workflows.helper_processes import HelperPool
from workflows.ledger import Ledger
from workflows.models import RunRequest, StreamText, Worker
from workflows.outcomes import ErrorRecord, Failed, Skipped, Succeeded
from workflows.scope import Scope
from workflows.states import STEP_ENDED, STEP_FAILED, StepStatus
from workflows.transitions import HeldRun

logger = logging.getLogger(__name__)
Resolved = tuple[AgentSpec, Function]

LOOK_EVERY = 0.2  # seconds between looks for due runs, while there is room and runs are under way
RENEW_EVERY = 1.0
LEASE_MARGIN = 3.0  # seconds before the lease's end at which work stops that could not renew
PARK_FROM = 5.0  # waits of at least so many seconds hold nothing
WRITE_TEXT_EVERY = 0.05
KEEP_TEXT = 1.0  # seconds after a step's end, so that whoever follows it has read it


@dataclass(slots=True)
class ActiveRun:
    """A run in this loop."""

    held: HeldRun
    definition: Definition
    scope: Scope = field(init=False)
    task: asyncio.Task[None] | None = None
    # Why its task is being cancelled: what is to be written then. None: the lease is lost, nothing may be written.
    ending: Callable[[HeldRun], None] | None = None
    ended: bool = False

    def interrupt(self, ending: Callable[[HeldRun], None] | None) -> None:
        if self.task is not None and not self.task.done() and not self.ended:
            self.ended = True
            self.ending = ending
            self.task.cancel()


class _Parked(Exception):
    """The run waits without a holder; its task ends."""


@dataclass(slots=True)
class _Stream:
    """Text that a running attempt has written and that is not stored yet."""

    run_id: uuid.UUID
    path: str
    attempt: int
    offset: int = 0
    pieces: list[str] = field(default_factory=list)

    def write(self, text: str) -> None:
        self.pieces.append(text)

    def take(self) -> dict[str, Any] | None:
        if not self.pieces:
            return None
        text, self.pieces = "".join(self.pieces), []
        row = {"run": self.run_id, "path": self.path, "attempt": self.attempt, "offset": self.offset, "text": text}
        self.offset += len(text)
        return row


class Engine:
    """Carries out runs in one event loop, ``capacity`` at once.

    ``on_written`` is called, in the ledger's thread, with each change that was written.
    """

    def __init__(
        self,
        kind: Worker.Kind,
        *,
        capacity: int,
        callables: Mapping[str, Callable[..., Any]] | None = None,
        on_written: Callable[[Change], None] = lambda _: None,
    ) -> None:
        self.kind = kind
        self.who = Identity.new(kind)
        self.stopping = False
        self._capacity = capacity
        self._active: dict[uuid.UUID, ActiveRun] = {}
        self._streams: dict[tuple[uuid.UUID, str], _Stream] = {}
        self._read_texts: list[tuple[float, uuid.UUID, str]] = []  # when streamed text may go, by run and path
        self._resolved: dict[tuple[str, str], tuple[float, Resolved]] = {}
        self._lease_until = 0.0  # by this process's own clock
        self._look = asyncio.Event()
        self._ledger = Ledger(on_written)
        self._helpers = HelperPool(settings.HELPERS)
        self.world = World(self._resolve, self._helpers, settings.EXPRESSION_SECONDS, callables or {})
        self._chores: set[asyncio.Task[None]] = set()

    # --- The loop ----------------------------------------------------------------------------------------------------

    async def work(self, seconds: float, most: int | None = None) -> None:
        """Claim and carry out due runs until none is left, claiming none after ``seconds``.

        Returns at once if ``most`` other loops of this cluster are at work.
        """
        until = time.monotonic() + seconds
        try:
            if await self._ledger.call(claims.enter, self.who, most):
                self._leased()
                await self._work_until(until)
                await self.leave()
        finally:
            await self.close()

    async def _work_until(self, until: float) -> None:
        while True:
            if not self.stopping and time.monotonic() < until:
                await self._claim()
            if not self._active:
                return
            await self._wait_for_room()

    async def take(self, run_ids: Sequence[uuid.UUID]) -> None:
        """Claim these runs, as far as there is room and nobody else was faster."""
        if not self.stopping and self._room() > 0:
            if time.monotonic() > self._lease_until:
                self.who = Identity.new(self.kind)
                await self._ledger.call(claims.enter, self.who)
                self._leased()
            await self._claim(run_ids)

    async def finish(self, grace: float) -> None:
        """Claim nothing more; let attempts end for ``grace`` seconds, then give their runs back."""
        self.stopping = True
        await self._settled(grace)
        for run in self._active.values():
            run.interrupt(lambda held: transitions.release(held, "the worker stops"))
        await self._settled(5)

    async def leave(self) -> None:
        """Let the lease end now."""
        await self._ledger.call(claims.leave, self.who)

    async def close(self) -> None:
        """End everything that belongs to this loop: tasks, helper processes, the database thread."""
        for task in self._chores:
            task.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)
        await self._helpers.close()
        await self._delete_texts(everything=True)
        await self._ledger.close()

    async def wait(self) -> None:
        """Until no run is under way."""
        await self._settled(None)

    def _room(self) -> int:
        return self._capacity - len(self._active)

    async def _claim(self, run_ids: Sequence[uuid.UUID] | None = None) -> None:
        try:
            claimed = await self._ledger.call(claims.claim, self.who, self._room(), run_ids) if self._room() else []
        except DatabaseError as error:
            logger.error("Due runs can't be claimed, will be tried again: %s", error)
            return
        for one in claimed:
            self._begin(one)

    async def _wait_for_room(self) -> None:
        self._look.clear()
        try:
            async with asyncio.timeout(LOOK_EVERY):
                await self._look.wait()
        except TimeoutError:
            pass

    async def _settled(self, seconds: float | None) -> None:
        tasks = [run.task for run in self._active.values() if run.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)

    def _begin(self, claimed: Claimed) -> None:
        run = ActiveRun(claimed.held, claimed.definition)
        self._active[run.held.id] = run
        run.task = asyncio.create_task(self._carry_out(run, claimed), name=f"run {run.held.id}")
        if not self._chores:
            self._chores = {
                asyncio.create_task(chore) for chore in (self._renew(), self._watch_lease(), self._write_texts())
            }

    # --- One run -----------------------------------------------------------------------------------------------------

    async def _carry_out(self, run: ActiveRun, claimed: Claimed) -> None:
        try:
            run.scope = _scope(claimed)
            try:
                async with asyncio.timeout(_seconds_until(run.held.deadline_at)):
                    await self._advance(run)
            except TimeoutError:
                if run.ended:  # its end is being written already
                    return
                limit = run.definition.max_execution_time_seconds
                error = RunDeadlineExceeded(f"the run took longer than max_execution_time_seconds ({limit:g} s)")
                await self._end(run, lambda held: transitions.time_out(held, execution.record_error(error)))
            except asyncio.CancelledError:
                if run.ending is None:
                    return
                await self._end(run, run.ending)
            except _Parked:
                pass
        except LeaseLost:
            logger.warning("Run %s is held by another worker now; its work here stops.", run.held.id)
        except Exception as error:
            await self._give_up(run, error)
        finally:
            self._forget(run)

    async def _give_up(self, run: ActiveRun, error: Exception) -> None:
        """A defect of ours must not leave a run that nobody carries on: it fails, and says why."""
        logger.exception("Run %s can't be carried on", run.held.id)
        record = execution.record_error(error)
        try:
            await self._end(run, lambda held: transitions.fail(held, record))
        except Exception:
            logger.exception("Run %s can't even be failed; its lease will expire", run.held.id)

    async def _end(self, run: ActiveRun, ending: Callable[[HeldRun], None]) -> None:
        run.ended = True
        self._last_texts(run)
        ending(run.held)
        await self._ledger.commit(run.held.take())

    def _forget(self, run: ActiveRun) -> None:
        self._active.pop(run.held.id, None)
        for key in [key for key in self._streams if key[0] == run.held.id]:
            self._finish_stream(key)
        self._look.set()

    async def _advance(self, run: ActiveRun) -> None:
        """The steps that have not ended, in order; then the run's end."""
        held, definition = run.held, run.definition
        for step in definition.steps:
            if step.step_id in run.scope.steps:
                continue
            if self.stopping:
                transitions.release(held, "the worker stops")
                break
            error = await self._step(run, step)
            if error is not None and definition.stop_on_failure and not step.continue_on_failure:
                message = f"step {step.step_id} failed: {error.message}"
                transitions.fail(held, ErrorRecord(error.code, message))
                break
        else:
            last = definition.steps[-1].step_id
            transitions.complete(held, None if definition.save_intermediate_results else last)
        run.ended = True
        await self._ledger.commit(held.take())

    async def _step(self, run: ActiveRun, step: Step) -> ErrorRecord | None:
        """Carry out one step. Returns the error it failed with."""
        held, path = run.held, step.step_id
        begun = held.step(path).status != StepStatus.PENDING
        ready = await execution.prepare(step, run.scope, self.world, begun=begun)
        columns = _columns(step, ready)
        if isinstance(ready, Skipped):
            transitions.skip_step(held, path, ready, columns)
            return self._record(run, step, ready)
        if isinstance(ready, Failed):
            transitions.fail_step(held, path, ready, columns)
            return self._record(run, step, ready)
        outcome = await self._attempts(run, step, ready, columns)
        if isinstance(outcome, Failed) and step.fallback is not None:
            outcome = await self._fall_back(run, step, outcome)
        self._last_texts(run)
        if isinstance(outcome, Succeeded):
            transitions.complete_step(held, path, outcome)
        else:
            transitions.fail_step(held, path, outcome)
        return self._record(run, step, outcome)

    async def _attempts(self, run: ActiveRun, step: Step, ready: Ready, columns: dict[str, Any]) -> Succeeded | Failed:
        held, path = run.held, step.step_id
        await self._pause(run, path, _retry_due(held, path))
        while True:
            transitions.start_step(held, path, columns)
            await self._ledger.commit(held.take())
            outcome = await execution.attempt(
                run.definition, step, ready, run.scope, self.world, **self._call_options(run, path)
            )
            if isinstance(outcome, Succeeded):
                return outcome
            failed_attempts = held.step(path).failed_attempts
            judged = execution.judge(run.definition.retry_for(step), step, outcome, failed_attempts)
            if isinstance(judged, Failed):
                return judged
            self._last_texts(run)
            transitions.retry_step(held, path, judged)
            due = timezone.now() + timedelta(seconds=judged.delay)
            await self._pause(run, path, due)

    async def _fall_back(self, run: ActiveRun, step: Step, failed: Failed) -> Succeeded | Failed:
        """The fallback's result in place of the failure; both errors if it fails too."""
        outcome = await execution.fall_back(
            run.definition, step, run.scope, self.world, **self._call_options(run, step.step_id)
        )
        if isinstance(outcome, Succeeded):
            return outcome
        message = f"{failed.error.message}; the fallback failed too: {outcome.error.message}"
        return Failed(ErrorRecord(failed.error.code, message, failed.error.trace), outcome.footprint)

    async def _pause(self, run: ActiveRun, path: str, due: datetime | None) -> None:
        """Wait for a retry: short waits here, long ones without holding the run."""
        delay = (due - timezone.now()).total_seconds() if due else 0
        if due is None or delay <= 0:
            return
        if delay >= PARK_FROM:
            transitions.park(run.held, due, f"{path} is tried again")
            run.ended = True
            await self._ledger.commit(run.held.take())
            raise _Parked
        await self._ledger.commit(run.held.take())
        await asyncio.sleep(delay)

    def _record(self, run: ActiveRun, step: Step, outcome: Succeeded | Failed | Skipped) -> ErrorRecord | None:
        """Tell the scope how a step ended."""
        held = run.held.step(step.step_id)
        error = outcome.error if isinstance(outcome, Failed) else None
        record = _step_record(
            outcome.result if isinstance(outcome, Succeeded) else None,
            held.status,
            error.message if error else None,
            held.attempt,
            held.duration_ms,
        )
        run.scope.add(step.step_id, record, outcome.sizes if isinstance(outcome, Succeeded) else None)
        return error

    async def _resolve(self, agent: str, function: str) -> Resolved:
        """An agent by name or UUID, and its function; what was found stays good for a second."""
        good_until, found = self._resolved.get((agent, function), (0.0, None))
        if found is None or good_until < time.monotonic():
            found = await self._ledger.call(_look_up, agent, function)
            self._resolved[agent, function] = time.monotonic() + 1, found
        return found

    # --- Streamed text -----------------------------------------------------------------------------------------------

    def _call_options(self, run: ActiveRun, path: str) -> dict[str, Any]:
        key = (run.held.id, path)
        stream = self._streams[key] = _Stream(*key, attempt=run.held.step(path).attempt)
        return {"idempotency_key": run.held.idempotency_key(path), "on_token": stream.write}

    def _last_texts(self, run: ActiveRun) -> None:
        """Put the text that is not stored yet into the change that ends the attempt."""
        for key, stream in [item for item in self._streams.items() if item[0][0] == run.held.id]:
            if row := stream.take():
                run.held.open().texts.append(row)
            self._finish_stream(key)

    def _finish_stream(self, key: tuple[uuid.UUID, str]) -> None:
        if self._streams.pop(key).offset:
            self._read_texts.append((time.monotonic() + KEEP_TEXT, *key))

    async def _write_texts(self) -> None:
        while True:
            await asyncio.sleep(WRITE_TEXT_EVERY)
            rows = [row for stream in self._streams.values() if (row := stream.take())]
            try:
                if rows:
                    await self._ledger.call(write_texts, rows)
                await self._delete_texts()
            except DatabaseError as error:
                logger.warning("Streamed text could not be stored: %s", error)

    async def _delete_texts(self, everything: bool = False) -> None:
        now = time.monotonic()
        old = [(run_id, path) for due, run_id, path in self._read_texts if everything or due < now]
        if old:
            self._read_texts = [] if everything else [item for item in self._read_texts if item[0] >= now]
            await self._ledger.call(_delete_texts, old)

    # --- The lease ---------------------------------------------------------------------------------------------------

    def _leased(self, since: float | None = None) -> None:
        self._lease_until = (since or time.monotonic()) + settings.LEASE_SECONDS - LEASE_MARGIN

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_EVERY)
            if not self._active:
                continue
            try:
                await self._renew_once()
            except DatabaseError as error:
                logger.warning("The lease can't be renewed: %s", error)

    async def _renew_once(self) -> None:
        asked = time.monotonic()
        if not await self._ledger.call(claims.renew, self.who):
            await self._lease_lost("it expired before it was renewed")
            return
        self._leased(asked)
        for request in await self._ledger.call(claims.requests_for, self.who):
            self._obey(request)

    async def _watch_lease(self) -> None:
        while True:
            await asyncio.sleep(RENEW_EVERY / 4)
            if self._active and time.monotonic() > self._lease_until:
                await self._lease_lost("it could not be renewed in time")

    async def _lease_lost(self, why: str) -> None:
        logger.error("Worker %s lost its lease: %s. It stops the work on %d runs.", self.who, why, len(self._active))
        self._lease_until = float("inf")  # said once
        for run in list(self._active.values()):
            run.interrupt(None)
        await self._settled(None)
        self.who = Identity.new(self.kind)
        await self._ledger.call(claims.enter, self.who)
        self._leased()

    def _obey(self, request: RunRequest) -> None:
        run = self._active.get(request.run_id)
        if run is not None and request.verb == RunRequest.Verb.CANCEL:
            run.interrupt(lambda held: transitions.cancel(held, request.actor, request.pk))


def _look_up(agent: str, function: str) -> Resolved:
    spec = catalog.agent(agent)
    return spec, catalog.function(spec, function)


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
    """When a step that was between attempts is to be tried again."""
    step = held.step(path)
    if step.status != StepStatus.RETRYING or not step.attempts:
        return None
    last = step.attempts[-1]
    return datetime.fromisoformat(last["ended_at"]) + timedelta(seconds=last.get("retry_in", 0))


def _seconds_until(deadline: datetime | None) -> float | None:
    return None if deadline is None else (deadline - timezone.now()).total_seconds()


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _delete_texts(ended: list[tuple[uuid.UUID, str]]) -> None:
    for run_id, path in ended:
        StreamText.objects.filter(run_id=run_id, path=path).delete()
