"""What keeps runs moving when a message is lost, late or doubled, or when a worker or a whole cluster is gone.

Once a second the pacemaker of a machine asks whether anything is due, and rings. Several are harmless: a claim is one
guarded statement. It also watches its own django-q2 cluster, which can look alive and take nothing (a worker that is
killed while it waits for a task leaves the cluster's queue locked).
"""

import contextlib
import gc
import logging
import multiprocessing
import os
import signal
import threading
import time
import uuid
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections
from django.db.models import QuerySet
from django.utils.module_loading import import_string
from django_q.cluster import Sentinel
from django_q.conf import Conf
from django_q.status import Stat

from workflows import dispatch, tasks, template_batches, workers
from workflows.models import Run, TemplateBatch, Worker
from workflows.outages import Outage
from workflows.process_group import die_with_parent, kill_group
from workflows.questions import NOW, Question
from workflows.workers import Identity

logger = logging.getLogger(__name__)

TICK = 1.0
SWEEP_EVERY = 10.0
STUCK_AFTER = timedelta(seconds=2)  # a run is due for so long, and every tick rings, but no loop begins anywhere
STUCK_TICKS = 2
STARTING = 10.0  # seconds that a cluster gets to come up
STOP_MARGIN = 3.0  # seconds beyond the grace after which what is left is killed


class Cluster:
    """A django-q2 cluster in a process group of its own."""

    def __init__(self) -> None:
        connections.close_all()  # a connection must not be shared with the fork
        _share_what_is_loaded()
        self._process = multiprocessing.get_context("fork").Process(target=_cluster, name="cluster")
        self._process.start()
        self.started = time.monotonic()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def is_alive(self) -> bool:
        return self._process.is_alive()

    def begin_stop(self) -> None:
        """Have the loops end, and then the cluster."""
        ending = [self.pid]
        with contextlib.suppress(DatabaseError):  # then they are killed when the time is over
            ending = [*self.loops(), self.pid]
        for pid in ending:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def end_stop(self, seconds: float) -> None:
        """Wait so long for its end; then kill whatever is left."""
        self._process.join(seconds)
        self.kill()

    def kill(self) -> None:
        kill_group(self.pid)
        self._process.join()

    def loops(self) -> list[int]:
        """Process ids of its loops; they handle SIGTERM themselves, which django-q2 does not pass on.

        Raises DatabaseError.
        """
        return [worker.pid for worker in _loops_here() if _group_of(worker.pid) == self.pid]


class Pacemaker:
    """Ticks until it is stopped."""

    def __init__(self) -> None:
        self._who = Identity.new(Worker.Kind.PACEMAKER)
        self._cluster = Cluster()
        self._drained: list[Cluster] = []  # taken out of service; they end when their last loop has
        self._stop = threading.Event()
        self._swept = 0.0
        self._outage = Outage(
            logger,
            "The pacemaker can't look after the runs, and tries every second",
            "The pacemaker looks after the runs again.",
        )
        self._stuck_ticks = 0

    def stop(self) -> None:
        self._stop.set()

    def kill(self) -> None:
        """End its processes at once, where stopping hangs."""
        for cluster in [self._cluster, *self._drained]:
            kill_group(cluster.pid)

    def run(self) -> None:
        """Tick once a second; returns when stopped, with nothing left running."""
        try:
            while not self._stop.wait(TICK):
                self._tick_safely()
        finally:
            _stop_all([self._cluster, *self._drained])
            self._leave()

    def _tick_safely(self) -> None:
        try:
            self._tick()
        except Exception as error:  # whatever it is, a machine without pacemaker would be worse
            self._outage.goes_on(error)
            connections.close_all()
        else:
            self._outage.is_over()

    def _tick(self) -> None:
        if not workers.renew(self._who):
            workers.enter(self._who)
        workers.expire_dead()
        now, there_are = _LOOK.ask(self._who.id)
        if there_are["lost"]:
            workers.unlock(workers.lost(now).values_list("machine", "pid"))
        if there_are["lost"] or there_are["due"]:
            dispatch.ring()
        if there_are["batches"]:
            template_batches.ring_if_due(now)
        self._watch_cluster(now, waits=there_are["due"] or there_are["batches"])
        self._kill_drained()
        if time.monotonic() - self._swept > SWEEP_EVERY:
            self._swept = time.monotonic()
            tasks.sweep()

    def _watch_cluster(self, now: datetime, *, waits: bool) -> None:
        if not self._cluster.is_alive():
            logger.error("The django-q2 cluster has ended; a fresh one is started.")
        elif not self._is_stuck(now, waits=waits):
            return
        else:
            logger.error("The django-q2 cluster takes no tasks though runs are due; a fresh one takes its place.")
        old, self._cluster = self._cluster, Cluster()
        self._drained.append(old)

    def _is_stuck(self, now: datetime, *, waits: bool) -> bool:
        """Runs or batches are due for some seconds, and for some ticks nobody has heard of it, though every tick rings.

        A loop that begins and finds nothing that it may claim, since a limit holds it back, has heard.
        """
        deaf = waits and (self._runs_wait(now) or template_batches.unheard(now - STUCK_AFTER))
        self._stuck_ticks = self._stuck_ticks + 1 if deaf else 0
        return self._stuck_ticks >= STUCK_TICKS and time.monotonic() - self._cluster.started > STARTING

    @staticmethod
    def _runs_wait(now: datetime) -> bool:
        heard = Worker.objects.filter(kind=Worker.Kind.WORKER, started_at__gt=now - STUCK_AFTER)
        return (
            Run.objects.due(now - STUCK_AFTER).exists()
            and not any(loop.claiming for loop in _loops_here())
            and not heard.exists()
        )

    def _kill_drained(self) -> None:
        for old in [old for old in self._drained if not old.loops()]:
            old.kill()
            self._drained.remove(old)

    def _leave(self) -> None:
        try:
            workers.leave(self._who)
        except DatabaseError as error:
            logger.warning("The database could not be told that this worker stops: %s", error)


def _look() -> dict[str, QuerySet[Any]]:
    """What a tick has to do with: nearly always nothing."""
    return {
        "lost": workers.lost(NOW),
        "due": Run.objects.due(NOW),
        "batches": TemplateBatch.objects.unfinished(),
    }


_LOOK = Question(_look)


def _stop_all(clusters: list[Cluster]) -> None:
    for cluster in clusters:
        cluster.begin_stop()
    until = time.monotonic() + settings.GRACE_SECONDS + STOP_MARGIN
    for cluster in clusters:
        cluster.end_stop(max(0.0, until - time.monotonic()))


def _loops_here() -> list[Worker]:
    """The loops at work on this machine."""
    live = Worker.objects.live(workers.database_now()).filter(kind=Worker.Kind.WORKER)
    return list(live.filter(machine=workers.this_machine()))


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def _cluster() -> None:
    """A django-q2 sentinel, which its `Cluster` would start in one more process: each takes memory."""
    os.setpgid(0, 0)
    die_with_parent()
    Stat.save = lambda _: None  # statistics that nobody reads, twice a second
    stop = multiprocessing.Event()
    sentinel = Sentinel(stop, multiprocessing.Event(), uuid.uuid4(), start=False)
    # In a thread, since the interrupted code may hold the lock that this needs.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=stop.set).start())
    os.register_at_fork(after_in_child=_begin_as_child)
    sentinel.start()


def _begin_as_child() -> None:
    """In a process of the sentinel, which it ends by SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    die_with_parent()


def _share_what_is_loaded() -> None:
    """Keep it in memory that forks share: each collection of garbage would write to all of it."""
    # What each process would load by itself.
    import_string(Conf.BROKER_CLASS)
    connections[DEFAULT_DB_ALIAS].ops.compiler("SQLCompiler")
    gc.collect()
    gc.freeze()
