"""What the branches of one held run share: its unwritten change, the sign to stop, and what they wait for."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from workflows.held import HeldRun
from workflows.ledger import Ledger, Written
from workflows.models import RunRequest

PARK_FROM = 5.0  # waits of at least so many seconds hold nothing
LARGEST_CHANGE = 100  # events that gather at most before they are written

Ending = Callable[[HeldRun], None]


class LetGo(Exception):
    """The run waits without a holder, or is to be let go before the next attempt: each branch ends where it is."""


@dataclass(slots=True)
class Wait:
    """A branch that waits: until ``due``, or for a request that ``takes`` tells to be its own."""

    path: str
    due: datetime | None
    counts: bool  # towards the deadline
    takes: Callable[[RunRequest], bool]
    came: "asyncio.Future[RunRequest | None]"
    given: int | None = None  # key of the request that came


def nothing(request: RunRequest) -> bool:
    """For waits that only time ends."""
    return False


class Control:
    """Belongs to one task of a run and the branches below it."""

    def __init__(self, held: HeldRun, ledger: Ledger) -> None:
        self.held = held
        self.halting: Ending | None = None
        self.parked: list[Wait] = []
        """What the run waits for, once nothing else of it goes on."""
        self.branches = 1
        """How many are under way or wait for something from outside: not those that wait for branches of their own."""
        self._ledger = ledger
        self._written: Written | None = None
        self._halted = asyncio.Event()
        self._waits: dict[str, Wait] = {}
        self._taken: set[int] = set()

    async def commit(self) -> None:
        """Until everything that was changed so far is written, by whichever branch. Raises `LeaseLost`.

        What branches change while one commit is under way is written together in the next.
        """
        if self._written is not None and not self._written.is_settled:
            await self._written.wait()
        change = self.held.take()
        if change is not None:
            self._written = self._ledger.submit(change)
        if self._written is not None:
            await self._written.wait()

    async def breathe(self) -> None:
        """Between steps: those that wait for nothing, such as skipped ones, keep nobody from the loop."""
        if self.held.change is not None and len(self.held.change.events) >= LARGEST_CHANGE:
            await self.commit()
            self.let_go_if_stopped()

    # --- Stopping ----------------------------------------------------------------------------------------------------

    def halt(self, ending: Ending) -> None:
        """Let the attempts under way end, and have ``ending`` written before another begins."""
        self.halting = self.halting or ending
        self._halted.set()
        self._stop_waits()

    def let_go_if_stopped(self) -> None:
        if self.halting is not None or self.parked:
            raise LetGo

    async def unless_halted(self, waiting: Coroutine[Any, Any, Any]) -> None:
        """Wait, but no longer than until the run is to be let go."""
        halted = asyncio.create_task(self._halted.wait())
        waited = asyncio.create_task(waiting)
        try:
            await asyncio.wait({halted, waited}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            halted.cancel()
            waited.cancel()
        self.let_go_if_stopped()

    # --- Branches and their waits ------------------------------------------------------------------------------------

    async def wait(
        self,
        path: str,
        due: datetime | None = None,
        takes: Callable[[RunRequest], bool] = nothing,
        *,
        counts: bool = True,
    ) -> RunRequest | None:
        """The request that was waited for, or None when it is ``due``. Raises `LetGo` if the whole run waits."""
        self.let_go_if_stopped()
        wait = Wait(path, due, counts, takes, asyncio.get_running_loop().create_future())
        self._waits[path] = wait
        self.park_if_all_wait()
        try:
            async with asyncio.timeout(None if due is None else max(0.0, _seconds_until(due))):
                return await wait.came
        except TimeoutError:
            return None if wait.came.cancelled() else wait.came.result()  # it may just have come
        except asyncio.CancelledError:
            if wait.given is not None:
                self._taken.discard(wait.given)  # others may wait for it, or will
            raise
        finally:
            del self._waits[path]

    def deliver(self, request: RunRequest) -> None:
        """Give the request to the branch that waits for it, if one does."""
        if request.pk in self._taken:
            return
        for wait in self._waits.values():
            if not wait.came.done() and wait.takes(request):
                self._taken.add(request.pk)
                wait.given = request.pk
                wait.came.set_result(request)
                return

    def take(self, requests: list[RunRequest], takes: Callable[[RunRequest], bool]) -> RunRequest | None:
        """The first of the requests that no other branch has."""
        for request in requests:
            if request.pk not in self._taken and takes(request):
                self._taken.add(request.pk)
                return request
        return None

    def park_if_all_wait(self) -> None:
        """Let go of the run once every branch waits, unless one goes on soon."""
        waits = list(self._waits.values())
        if self.parked or len(waits) < self.branches or any(wait.came.done() for wait in waits):
            return
        if all(wait.due is None or _seconds_until(wait.due) >= PARK_FROM for wait in waits):
            self.parked = waits
            self._stop_waits()

    def _stop_waits(self) -> None:
        for wait in self._waits.values():
            if not wait.came.done():
                wait.came.set_exception(LetGo())


def _seconds_until(due: datetime) -> float:
    return (due - timezone.now()).total_seconds()
