"""The one thread of a loop that talks to the database, so that the loop itself never waits for it.

Changes that come in while a commit is under way are written together in the next one (group commit).
"""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db import InterfaceError, OperationalError, connection

from workflows import changes
from workflows.changes import Change
from workflows.errors import LeaseLost
from workflows.outages import Outage

logger = logging.getLogger(__name__)
Value = TypeVar("Value")

LARGEST_GROUP = 200
SHORTEST_PAUSE = 0.02
LONGEST_PAUSE = 1.0  # seconds between tries while the database does not answer


class Written:
    """A change on its way to the database: any number of tasks may wait for it, and none of them calls it off."""

    def __init__(self) -> None:
        self._settled = asyncio.Event()
        self._error: BaseException | None = None

    @property
    def is_settled(self) -> bool:
        return self._settled.is_set()

    async def wait(self) -> None:
        """Until it is written. Raises `LeaseLost` if it is not, as the run is held by others."""
        await self._settled.wait()
        if self._error is not None:
            raise self._error

    def settle(self, _: Any, error: BaseException | None) -> None:
        self._error = error
        self._settled.set()


class _Answer:
    """What a call of a function comes to."""

    def __init__(self) -> None:
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def settle(self, value: Any, error: BaseException | None) -> None:
        if self.future.done():  # cancelled meanwhile
            return
        if error is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(value)


@dataclass(slots=True)
class _Job:
    asked: Written | _Answer
    change: Change | None = None
    call: Callable[[], Any] | None = None


class Ledger:
    """Belongs to one event loop. Jobs are done in the order in which they were asked for."""

    def __init__(self, on_written: Callable[[Change], None] = lambda _: None) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_written = on_written
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="ledger", daemon=True)
        self._closing = False
        self._no_writes = Outage(
            logger, "The database does not take writes; trying until it does", "The database takes writes again."
        )
        self._no_answer = Outage(
            logger, "The database does not answer, and is asked until it does", "The database answers again."
        )
        self._thread.start()

    async def commit(self, change: Change | None) -> None:
        """Write a change; it waits as long as the database is away. Raises `LeaseLost`."""
        if change is not None:
            await self.submit(change).wait()

    def submit(self, change: Change) -> Written:
        """`commit`, in the order of the calls of this function."""
        written = Written()
        self._jobs.put(_Job(written, change=change))
        return written

    async def call(self, function: Callable[..., Value], *arguments: Any) -> Value:
        """Call a function that uses the database. Raises whatever it raises."""
        answer = _Answer()
        self._jobs.put(_Job(answer, call=lambda: function(*arguments)))
        value: Value = await answer.future
        return value

    async def insist(self, function: Callable[..., Value], *arguments: Any) -> Value:
        """`call`, tried again as long as the database is away."""
        while True:
            try:
                value = await self.call(function, *arguments)
            except (OperationalError, InterfaceError) as error:
                self._no_answer.goes_on(error)
                await asyncio.sleep(LONGEST_PAUSE / 4)
            else:
                self._no_answer.is_over()
                return value

    async def close(self) -> None:
        """Wait for what was asked for, then close the connection."""
        self._closing = True
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    # --- In the thread ---

    def _serve(self) -> None:
        try:
            while (job := self._jobs.get()) is not None:
                group, following = self._group(job)
                if group:
                    self._write(group)
                if following is not None and following.call is not None:
                    self._answer([(following, *_outcome(following.call))])
        finally:
            connection.close()

    def _group(self, job: _Job) -> tuple[list[_Job], _Job | None]:
        """The changes at the head of the queue, and the call that follows them, if one does."""
        group: list[_Job] = []
        following: _Job | None = job
        while following is not None and following.change is not None:
            group.append(following)
            if len(group) == LARGEST_GROUP:
                return group, None
            try:
                following = self._jobs.get_nowait()
            except queue.Empty:
                return group, None
        if following is None:
            self._jobs.put(None)  # the sign to end: seen again after this group
        return group, following

    def _write(self, group: list[_Job]) -> None:
        try:
            lost = self._persistently([job.change for job in group if job.change is not None])
        except Exception as error:
            if len(group) == 1:
                self._answer([(group[0], None, error)])
                return
            for job in group:  # one of them can't be written: the others must not suffer
                self._write([job])
            return
        answers: list[tuple[_Job, Any, BaseException | None]] = []
        for job in group:
            assert job.change is not None
            if job.change.run_id in lost:
                answers.append((job, None, LeaseLost(f"run {job.change.run_id} is held by another worker")))
            else:
                self._tell(job.change)
                answers.append((job, None, None))
        self._answer(answers)

    def _tell(self, change: Change) -> None:
        try:
            self._on_written(change)
        except Exception:
            logger.exception("A listener failed; what was written stays written")

    def _persistently(self, group: list[Change]) -> set[Any]:
        pause, since = SHORTEST_PAUSE, time.monotonic()
        while True:
            try:
                lost = changes.write(group)
            except (OperationalError, InterfaceError) as error:
                if self._closing and time.monotonic() - since > 5:
                    raise
                self._no_writes.goes_on(error)
                connection.close()
                time.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                self._no_writes.is_over()
                return lost

    def _answer(self, answers: list[tuple[_Job, Any, BaseException | None]]) -> None:
        self._loop.call_soon_threadsafe(_settle, answers)


def _outcome(call: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    try:
        return call(), None
    except (OperationalError, InterfaceError) as error:
        connection.close()  # the next call gets a fresh one
        return None, error
    except Exception as error:
        return None, error


def _settle(answers: list[tuple[_Job, Any, BaseException | None]]) -> None:
    for job, value, error in answers:
        job.asked.settle(value, error)
