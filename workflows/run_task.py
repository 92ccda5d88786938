"""One run in a loop: from its claim until it ends or is let go."""

import asyncio
import logging
from datetime import datetime
from functools import partial

from structlog.contextvars import bind_contextvars, clear_contextvars

from workflows import claims, execution, requests, transitions
from workflows.attempts import Means
from workflows.claims import Claimed
from workflows.control import Control, Ending, LetGo, Wait
from workflows.errors import LeaseLost, RunDeadlineExceeded
from workflows.held import HeldRun
from workflows.models import RunRequest
from workflows.outcomes import ErrorRecord
from workflows.recall import scope_of
from workflows.walk import RunFailed, Walk
from workflows.workers import Identity

logger = logging.getLogger(__name__)


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
        self._control = Control(claimed.held, means.ledger)
        self._begun = False
        self._ending: Ending | None = None
        self._interrupted = False
        self._final = False  # its last change is on the way: too late to interrupt

    def halt(self, ending: Ending) -> None:
        """Let the attempts that are under way end, then write ``ending`` before another begins."""
        self._control.halt(ending)

    def deliver(self, request: RunRequest) -> None:
        """Give the request to the step that waits for it, if one does."""
        self._control.deliver(request)

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
        # Whoever happened to begin this task, such as a request that offered another run, is not what it tells of.
        clear_contextvars()
        bind_contextvars(run_id=str(self.held.id), worker=str(self.who))
        try:
            await self._work()
        except LeaseLost as error:
            if await self._is_held():  # what one branch could not write hides behind what others wrote after it
                await self._rescue(error)
            else:
                logger.warning("Run %s is held by another worker now; its work here stops.", self.held.id)
        except Exception as error:
            await self._rescue(error)

    async def _work(self) -> None:
        ending: Ending | None
        try:
            if self._interrupted:
                raise asyncio.CancelledError
            self._begun = True
            async with asyncio.timeout_at(self._deadline):
                ending = await self._advance()
        except TimeoutError:
            ending = partial(transitions.time_out, error=self._deadline_exceeded())
        except asyncio.CancelledError:
            ending = self._ending
        if ending is not None:
            await self._end(ending)

    async def _is_held(self) -> bool:
        """Whether the run is still this task's, by what is stored."""
        if not self._means.lease.covers(self.who):
            return False
        stored = await self._means.ledger.insist(claims.reload, self.who, self.held.id)
        return stored is not None and stored.epoch == self.held.epoch

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

    async def _advance(self) -> Ending:
        """The steps that have not ended. Returns what follows for the run."""
        walk = Walk(self._claimed, self._control, self.who, self._means)
        try:
            failure = await walk.steps(self._definition.steps, scope_of(self._claimed.row))
        except LetGo:
            return self._control.halting or partial(_park, waits=self._control.parked)
        except RunFailed as failed:
            return partial(transitions.fail, error=failed.record)
        if failure is not None:
            return partial(transitions.fail, error=failure.told)
        last = self._definition.steps[-1].step_id
        return partial(transitions.complete, keep_only=None if self._definition.save_intermediate_results else last)

    async def _end(self, ending: Ending) -> None:
        """Write the last change of this task."""
        self._final = True
        self.held.open().texts += self._means.texts.end(self.held.id)
        ending(self.held)
        await self._control.commit()
        if self.held.is_open:  # let go, not ended: what was asked of its holder meanwhile is nobody's business else
            await self._means.ledger.insist(requests.settle, self.held.id)
        if self.held.has_family:
            await self._means.ledger.insist(requests.pass_on, self.held.id)

    def _deadline_exceeded(self) -> ErrorRecord:
        limit = self._definition.max_execution_time_seconds
        error = RunDeadlineExceeded(f"the run took longer than max_execution_time_seconds ({limit:g} s)")
        return execution.record_error(error)


def _park(held: HeldRun, waits: list[Wait]) -> None:
    """Nothing of the run goes on before what its branches wait for has come."""
    due: datetime | None = min((wait.due for wait in waits if wait.due is not None), default=None)
    paths = ", ".join(wait.path for wait in waits[:3]) + (", …" if len(waits) > 3 else "")
    transitions.park(held, due, f"it waits at {paths}", counts=any(wait.counts for wait in waits))
