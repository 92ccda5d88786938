"""Following runs from a web process: one poller for all its open streams and all its waiting requests.

The poller is a thread that lives while anybody follows. It asks the database once for all of them, every
25 ms, and at once when this process's own engine has written something of theirs.
"""

import asyncio
import logging
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing
from itertools import islice
from typing import Any, TypeVar

from django.db import DatabaseError, connection, connections
from django.db.models import Q

from workflows import engine_thread, results, runs
from workflows.changes import Change
from workflows.models import Event, Run, StreamText
from workflows.states import RUN_ENDED, RunStatus
from workflows.streaming import Piece, Position, StreamItem, Transcript

logger = logging.getLogger(__name__)

POLL_SECONDS = 0.025
REST_SECONDS = 0.002  # between two polls, however often the engine pokes
LINGER_SECONDS = 5.0
BROKEN_SECONDS = 10.0  # without an answer of the database, after which streams are given up
QUERY_RUNS = 100

SETTLED = RUN_ENDED | {RunStatus.WAITING, RunStatus.PAUSED}


class StreamBroken(Exception):
    """The stream can't go on, though the run may: the database does not answer, or the server stops."""


async def events(run_id: uuid.UUID, after: str = "") -> AsyncGenerator[StreamItem, None]:
    """What happens in a run, from its beginning or after a ``Last-Event-ID``, until it has ended.

    Raises `PositionInvalid`, and `StreamBroken`.
    """
    async with aclosing(told(run_id, Transcript(Position.parse(after)))) as items:
        async for item in items:
            yield item


async def told(run_id: uuid.UUID, transcript: Transcript) -> AsyncGenerator[StreamItem, None]:
    """What a transcript tells of a run, until it has ended. Raises `StreamBroken`."""
    loop = asyncio.get_running_loop()
    heard: asyncio.Queue[tuple[list[StreamItem], bool] | StreamBroken] = asyncio.Queue()
    stream = _Stream(run_id, transcript, lambda said: loop.call_soon_threadsafe(heard.put_nowait, said))
    _poller.add(stream)
    try:
        done = False
        while not done:
            said = await heard.get()
            if isinstance(said, StreamBroken):
                raise said
            items, done = said
            for item in items:
                yield item
            stream.wants_more = True  # a slow client is not read for in advance
    finally:
        _poller.remove(stream)


def wait_until_settled(run_id: uuid.UUID, queued_for: float = 30.0) -> str:
    """Block until the run has ended, parks or is paused, or was queued for ``queued_for`` seconds.

    Returns its status then.
    """
    if connection.settings_dict["OPTIONS"].get("pool") and not connection.in_atomic_block:
        connection.close()  # a waiting request must not keep others from the pool
    waiter = _Waiter(run_id, queued_for)
    _poller.add(waiter)
    waiter.settled.wait()
    _poller.remove(waiter)
    return waiter.status


def poke(run_id: uuid.UUID | None = None) -> None:
    """Have the poller look at once, if it follows this run (or anything, without an id)."""
    _poller.poke(run_id)


def stop() -> None:
    """Let go of everybody who follows, and end the poller."""
    _poller.stop()


class _Waiter:
    """A thread that waits for a run to settle."""

    def __init__(self, run_id: uuid.UUID, queued_for: float) -> None:
        self.run_id = run_id
        self.status: str = RunStatus.QUEUED
        self.settled = threading.Event()
        self._queued_for = queued_for
        self._until = time.monotonic() + queued_for

    def see(self, status: str) -> None:
        self.status = status
        if status == RunStatus.RUNNING:
            self._until = time.monotonic() + self._queued_for
        if status in SETTLED or time.monotonic() > self._until:
            self.settled.set()

    def give_up(self, broken: StreamBroken) -> None:
        self.settled.set()


class _Stream:
    """An open stream. ``tell`` is called in the poller's thread with items and whether they are the last."""

    def __init__(self, run_id: uuid.UUID, transcript: Transcript, tell: Callable[[Any], object]) -> None:
        self.run_id = run_id
        self.transcript = transcript
        self.wants_more = True
        self._tell = tell

    def tell(self, items: list[StreamItem]) -> None:
        self.wants_more = False
        self._say((items, self.transcript.done))

    def give_up(self, broken: StreamBroken) -> None:
        self._say(broken)

    def _say(self, said: tuple[list[StreamItem], bool] | StreamBroken) -> None:
        try:
            self._tell(said)
        except RuntimeError:  # its event loop is closed by now
            _poller.remove(self)


_Following = _Waiter | _Stream
One = TypeVar("One", bound=_Following)


class _Poller:
    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._following: set[_Following] = set()
        self._streamed: frozenset[uuid.UUID] = frozenset()
        self._awaited: frozenset[uuid.UUID] = frozenset()
        self._thread: threading.Thread | None = None
        self._poked = False
        self._stopping = False

    def add(self, one: _Following) -> None:
        with self._changed:
            self._set({*self._following, one})
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="follow", daemon=True)
                self._thread.start()
            self._poke()

    def remove(self, one: _Following) -> None:
        with self._changed:
            self._set(self._following - {one})

    def poke(self, run_id: uuid.UUID | None, moved: bool = True) -> None:
        """Look at once. Whoever waits for a run to settle need not hear of its steps: only if it has ``moved``."""
        if run_id is None or run_id in self._streamed or (moved and run_id in self._awaited):
            with self._changed:
                self._poke()

    def stop(self) -> None:
        with self._changed:
            self._stopping = True
            thread = self._thread
            self._poke()
        if thread is not None:
            thread.join()
        self._stopping = False

    def _set(self, following: set[_Following]) -> None:
        self._following = following
        self._streamed = frozenset(one.run_id for one in following if isinstance(one, _Stream))
        self._awaited = frozenset(one.run_id for one in following if isinstance(one, _Waiter))

    def _poke(self) -> None:
        self._poked = True
        self._changed.notify_all()

    def _serve(self) -> None:
        answered = time.monotonic()
        try:
            while (following := self._next()) is not None:
                try:
                    _look(following)
                    answered = time.monotonic()
                except DatabaseError as error:
                    logger.warning("Followed runs can't be read: %s", error)
                    connections.close_all()
                    if time.monotonic() - answered > BROKEN_SECONDS:
                        _give_up(following, "the database does not answer")
                except Exception:
                    logger.exception("Followed runs can't be read")
                    _give_up(following, "the server failed to read the run; see its log")
                time.sleep(REST_SECONDS)
        finally:
            connections.close_all()

    def _next(self) -> list[_Following] | None:
        """Whom to look for next, after a pause; None when nobody has followed for a while."""
        with self._changed:
            anybody = self._changed.wait_for(lambda: self._following or self._stopping, LINGER_SECONDS)
            if self._stopping or not anybody:
                _give_up(self._following, "the server stops")
                self._thread = None  # under the lock: whoever follows from now on starts a new one
                return None
            self._changed.wait_for(lambda: self._poked, POLL_SECONDS)
            self._poked = False
            return list(self._following)


_poller = _Poller()


def _written(change: Change) -> None:
    _poller.poke(change.run_id, moved="status" in change.run)


engine_thread.on_written(_written)


def _give_up(following: Iterable[_Following], why: str) -> None:
    for one in following:
        one.give_up(StreamBroken(why))


def _look(following: Sequence[_Following]) -> None:
    waiters = [one for one in following if isinstance(one, _Waiter)]
    for batch in _batches(waiters):
        statuses = dict(Run.objects.filter(pk__in={one.run_id for one in batch}).values_list("pk", "status"))
        for waiter in batch:
            waiter.see(statuses.get(waiter.run_id, RunStatus.CANCELLED))  # a deleted run has settled, too
    for streams in _batches([one for one in following if isinstance(one, _Stream) and one.wants_more]):
        _look_at_streams(streams)


def _look_at_streams(streams: Sequence[_Stream]) -> None:
    # Events first, text second: what stands before an event in the stream is stored before it, or with it.
    new = _new_events(streams)
    pieces = _pieces(streams, new)
    for stream in streams:
        transcript = stream.transcript
        events = [event for event in new[stream.run_id] if event.seq > transcript.seq]
        items = list(transcript.read(events, pieces[stream.run_id]))
        if transcript.end is not None and (result := _final_result(stream.run_id, transcript)) is not None:
            items += transcript.conclude(result)
        if items or transcript.done:
            stream.tell(items)


def _final_result(run_id: uuid.UUID, transcript: Transcript) -> dict[str, Any] | None:
    """The result of a run of which all is read; None if it goes on by now, with events yet to be read."""
    run = runs.get(run_id)
    if not run.has_ended or run.event_seq != transcript.seq:
        return None
    return results.result_body(run) if transcript.tells_result else {}


def _new_events(streams: Sequence[_Stream]) -> dict[uuid.UUID, list[Event]]:
    read: dict[uuid.UUID, int] = {}
    for stream in streams:
        read[stream.run_id] = min(stream.transcript.seq, read.get(stream.run_id, stream.transcript.seq))
    found: dict[uuid.UUID, list[Event]] = defaultdict(list)
    for event in Event.objects.filter(_any(Q(run=run, seq__gt=seq) for run, seq in read.items())).order_by("seq"):
        if event.run_id is not None:
            found[event.run_id].append(event)
    return found


def _pieces(streams: Sequence[_Stream], new: dict[uuid.UUID, list[Event]]) -> dict[uuid.UUID, list[Piece]]:
    """Text that is not told yet, of runs where attempts are under way or have begun."""
    wanted = []
    for stream in streams:
        if stream.transcript.under_way or any(event.type == "step_start" for event in new[stream.run_id]):
            start = stream.transcript.text_from
            later = Q(seq__gt=start.event) | Q(seq=start.event, offset__gte=start.characters)
            wanted.append(Q(run=stream.run_id) & later)
    found: dict[uuid.UUID, list[Piece]] = defaultdict(list)
    if wanted:
        rows = StreamText.objects.filter(_any(wanted)).values_list("run", "seq", "offset", "path", "attempt", "text")
        for run, seq, offset, path, attempt, text in rows:
            found[run].append(Piece(Position(seq, offset), path, attempt, text))
    return found


def _any(conditions: Iterable[Q]) -> Q:
    whole = Q()
    for condition in conditions:
        whole |= condition
    return whole


def _batches(following: Sequence[One]) -> Iterator[list[One]]:
    rest = iter(following)
    while batch := list(islice(rest, QUERY_RUNS)):
        yield batch
