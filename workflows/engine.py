"""The engine: one asyncio loop that claims runs, carries out many at once, and gives up what it may not hold."""

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from django.conf import settings
from django.db import DatabaseError
from structlog.contextvars import clear_contextvars

from agents import catalog
from agents.functions.base import AgentSpec, Call, Function
from workflows import calling, claims, faults, requests, transitions, workers
from workflows.attempt_texts import AttemptTexts
from workflows.attempts import Means
from workflows.bell import Bell
from workflows.changes import Change
from workflows.claims import Claimed
from workflows.errors import LeaseLost, StepTimeout
from workflows.execution import World
from workflows.held import HeldRun
from workflows.helper_processes import HelperPool
from workflows.lease import Lease
from workflows.ledger import Ledger
from workflows.models import RunRequest, Worker
from workflows.outages import Outage
from workflows.run_task import RunTask
from workflows.slots import Slots

logger = logging.getLogger(__name__)
Resolved = tuple[AgentSpec, Function]

CLAIMED_AT_ONCE = 50  # so that loops share what is due
LOOK_EVERY = 0.2  # seconds between looks for due runs, while there is room
RENEW_EVERY = 1.0
WATCH_EVERY = 0.25
WRITE_TEXT_EVERY = 0.05
TEND_EVERY = 0.05
SWALLOWED = 5.0  # seconds that what was interrupted gets to end


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
        self._kind = kind
        self._capacity = capacity
        self._stopping = False
        self._active: dict[uuid.UUID, RunTask] = {}
        self._offered: set[uuid.UUID] = set()  # runs that only this engine looks after, until they have ended
        self._resolved: dict[tuple[str, str], tuple[float, Resolved]] = {}
        self._one_claim = asyncio.Lock()
        self._no_claims = Outage(
            logger, "The database lets no run be claimed, and is asked until it does", "Due runs are claimed again."
        )
        self._look = asyncio.Event()
        self._bell = Bell(self._look.set)
        self._ledger = Ledger(on_written)
        self._lease = Lease(self._ledger, kind)
        self._texts = AttemptTexts(self._ledger)
        self._helpers = HelperPool(settings.HELPERS)
        self._evaluators = HelperPool(1)
        self._chores: set[asyncio.Task[None]] = set()
        self._callers: set[asyncio.Task[Any]] = set()
        self.world = World(self._resolve, self._helpers, self._evaluators, settings.EXPRESSION_SECONDS, callables or {})
        self._slots = Slots(self._ledger, self._lease)
        self._means = Means(self._ledger, self.world, self._texts, self._slots, self._lease, self._offer)

    # --- What it is asked for ----------------------------------------------------------------------------------------

    async def work(self, seconds: float, most: int | None = None, linger: float = 0.0) -> None:
        """Claim due runs, for ``seconds``, and carry them out, until there has been none for ``linger`` seconds.

        Returns at once if ``most`` other loops of this cluster claim already.
        """
        until = time.monotonic() + seconds
        try:
            if await self._lease.ensure(most):
                await self._work_until(until, linger)
        finally:
            await self._bell.close()
            await self.close()

    async def take(self, run_ids: Collection[uuid.UUID]) -> None:
        """Look after these runs until they have ended, as far as nobody else holds them."""
        self._offered |= set(run_ids)
        await self._claim(run_ids)

    async def wait(self) -> None:
        """Until no run is under way."""
        await self._settled(None)

    async def call(
        self, agent: AgentSpec, function: Function, call: Call, parameters: dict[str, Any], timeout: float
    ) -> dict[str, Any]:
        """One call of a function outside any run, in one of the jobs that its agent may have at once.

        ``timeout`` (seconds) bounds the wait in line and the call, each. Raises what `calling.run_function` raises.
        """
        if agent.max_concurrent_jobs is not None:
            await self._lease.ensure()
        place = self._slots.join(agent)
        caller = asyncio.current_task()
        assert caller is not None
        self._callers.add(caller)
        try:
            if not await place.ask():
                await asyncio.wait_for(place.granted.wait(), timeout)
            result, _ = await calling.run_function(function, call, parameters, timeout, self._helpers)
            return result
        except TimeoutError:
            limit = f"{agent.max_concurrent_jobs} of {agent.max_concurrent_jobs} jobs are taken"
            raise StepTimeout(f"agent {agent.name!r} was busy for {timeout:g} s: {limit}") from None
        finally:
            self._callers.discard(caller)
            place.leave()

    async def finish(self, grace: float) -> None:
        """Claim nothing more; let attempts and calls end for ``grace`` seconds, then give their runs back."""
        self._stopping = True
        self._look.set()
        for run in list(self._active.values()):
            run.halt(_release)
        await self._settled(grace)
        for run in list(self._active.values()):
            run.interrupt(_release)
        for caller in self._callers:
            caller.cancel()
        await self._settled(SWALLOWED)

    async def close(self) -> None:
        """End everything that belongs to this loop: chores, helper processes, the lease, the database thread."""
        for task in self._chores:
            task.cancel()
        await asyncio.gather(*self._chores, return_exceptions=True)
        await self._helpers.close()
        await self._evaluators.close()
        try:
            await self._texts.delete()
            await self._lease.leave()
        except DatabaseError as error:
            logger.warning("The database could not be told that this worker ends: %s", error)
        await self._ledger.close()

    # --- The loop ----------------------------------------------------------------------------------------------------

    async def _work_until(self, until: float, linger: float) -> None:
        draining, worked = False, time.monotonic()
        while True:
            self._look.clear()
            if not draining and time.monotonic() > until:
                draining = await self._ledger.insist(workers.claim_no_more, self._lease.who)
            if not draining:
                await self._claim()
            if self._active:
                worked = time.monotonic()
            elif draining or self._stopping or time.monotonic() >= worked + linger:
                return
            else:
                await self._bell.listen()
            await self._wait_for_room()

    async def _claim(self, run_ids: Collection[uuid.UUID] | None = None) -> None:
        async with self._one_claim:
            room = min(self._capacity - len(self._active), CLAIMED_AT_ONCE)
            if self._stopping or room <= 0:
                return
            self._stop_lost("it could not be renewed in time")  # before a new one takes its place
            try:
                await self._lease.ensure()
                suspects = [run.held.recoveries for run in self._active.values() if run.held.recoveries]
                claimed = await self._ledger.call(claims.claim, self._lease.who, room, run_ids, suspects)
            except LeaseLost as error:
                self._lose(str(error))
            except DatabaseError as error:
                self._no_claims.goes_on(error)
            else:
                self._no_claims.is_over()
                if len(claimed) == room:
                    self._look.set()  # there may be more
                for one in claimed:
                    await self._begin(one)

    async def _begin(self, claimed: Claimed) -> None:
        run_id = claimed.held.id
        if run_id in self._active:  # lost and claimed again before its old task has ended
            await self._ledger.insist(claims.disown, self._lease.who, run_id)
            return
        run = self._active[run_id] = RunTask(claimed, self._lease.who, self._means)
        run.task = asyncio.create_task(run.carry_out(), name=f"run {run_id}")
        run.task.add_done_callback(lambda _: self._forget(run))
        if self._stopping:  # it was being claimed when the stop came
            run.halt(_release)
        if not self._chores:
            self.begin_chores()

    def _forget(self, run: RunTask) -> None:
        if self._active.get(run.held.id) is run:
            del self._active[run.held.id]
        self._texts.end(run.held.id)
        self._look.set()

    async def _wait_for_room(self) -> None:
        """For a run to have ended, a bell, or the time to look in any case."""
        try:
            async with asyncio.timeout(LOOK_EVERY):
                await self._look.wait()
        except TimeoutError:
            pass

    async def _settled(self, seconds: float | None) -> None:
        tasks = [*(run.task for run in self._active.values() if run.task is not None), *self._callers]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)

    async def _resolve(self, agent: str, function: str) -> Resolved:
        """An agent by name or UUID, and its function; what was found stays good for a second."""
        good_until, found = self._resolved.get((agent, function), (0.0, None))
        if found is None or good_until < time.monotonic():
            found = await self._ledger.insist(_look_up, agent, function)
            self._resolved[agent, function] = time.monotonic() + 1, found
        return found

    # --- Chores ------------------------------------------------------------------------------------------------------

    def begin_chores(self) -> None:
        """Begin what goes on beside the runs; done at the first run, if not before."""
        chores = [
            (RENEW_EVERY, self._renew),
            (WATCH_EVERY, self._watch),
            (WRITE_TEXT_EVERY, self._texts.store),
            (TEND_EVERY, self._tend),
            (LOOK_EVERY, self._look_after_offered),
        ]
        if self._kind == Worker.Kind.WEB:
            chores.append((RENEW_EVERY, self.adopt_orphans))
        self._chores = {asyncio.create_task(_repeat(every, chore)) for every, chore in chores}

    async def _renew(self) -> None:
        if not self._active and not self._slots.in_use:
            return
        if not await self._lease.renew():
            self._lose("it expired before it was renewed")
            return
        for request in await self._ledger.call(requests.of_holder, self._lease.who):
            self._obey(request)

    async def _watch(self) -> None:
        self._stop_lost("it could not be renewed in time")

    def _lose(self, why: str) -> None:
        self._lease.lose()
        self._stop_lost(why)

    def _stop_lost(self, why: str) -> None:
        """Stop the work on everything that a lost lease held; nothing of it may be written."""
        lost = [run for run in self._active.values() if not self._lease.covers(run.who) and run.interrupt(None)]
        if lost:
            logger.error("Worker %s lost its lease: %s; the work on %d runs stops.", lost[0].who, why, len(lost))

    def _obey(self, request: RunRequest) -> None:
        """Cancel at once, pause before the next attempt. To resume waits until it is paused: see `requests.settle`."""
        run = self._active.get(request.run_id)
        if run is None:
            return
        if request.verb == RunRequest.Verb.CANCEL:
            faults.point("cancel")
            run.interrupt(lambda held: transitions.cancel(held, request.actor, request.pk))
        elif request.verb == RunRequest.Verb.PAUSE:
            run.halt(lambda held: transitions.pause(held, request.actor, request.pk))
        else:
            run.deliver(request)

    async def _tend(self) -> None:
        try:
            await self._slots.tend()
        except LeaseLost as error:
            self._lose(str(error))

    def _offer(self, run_id: uuid.UUID) -> None:
        """A child run: workers find it, and a loop that is no worker's looks after it with its parent."""
        if self._kind != Worker.Kind.WORKER:
            self._offered.add(run_id)

    async def _look_after_offered(self) -> None:
        """Claim what could not be claimed when it was offered, or was parked since; forget what has ended."""
        waiting = self._offered - self._active.keys()
        if waiting:
            ready, remaining = await self._ledger.call(claims.look_at, waiting)
            self._offered -= waiting - remaining
            if ready:
                await self._claim(ready)

    async def adopt_orphans(self) -> None:
        """Look after runs of web processes that were lost, where no pacemaker does."""
        self._offered |= set(await self._ledger.call(claims.orphans_of_web))


async def _repeat(every: float, chore: Callable[[], Awaitable[None]]) -> None:
    """A chore that fails is tried again."""
    clear_contextvars()  # else it would tell of what happened to begin it for as long as it goes on
    name = chore.__qualname__
    outage = Outage(logger, f"{name} fails, and is tried again", f"{name} works again.")
    while True:
        await asyncio.sleep(every)
        try:
            await chore()
        except Exception as error:
            outage.goes_on(error)
        else:
            outage.is_over()


def _release(held: HeldRun) -> None:
    transitions.release(held, "the worker stops")


def _look_up(agent: str, function: str) -> Resolved:
    spec = catalog.agent(agent)
    return spec, catalog.function(spec, function)
