"""What a campaign does to the hosts of a site, their runs and their servers; each strike is written down."""

import contextlib
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass

from django.db import DatabaseError, connection

from tests.crash.hosts import Host
from tests.crash.processes import strike
from tests.crash.site import Site
from workflows import runs
from workflows.errors import WorkflowError
from workflows.models import Run, Worker
from workflows.states import RUN_ENDED, RunStatus
from workflows.workers import database_now

GO_ON = {RunStatus.RUNNING, RunStatus.WAITING}
BEYOND = 2.0  # seconds past the lease that a stall or a cut lasts


@dataclass(frozen=True, slots=True)
class Lost:
    """A worker that was struck: as `run_taken_over` names it, when (Unix seconds), and how."""

    name: str
    at: float
    how: str  # "process": killed while its host lived; "host": its whole host killed; "cut": cut off or stalled


class Strikes:
    """``lease`` in seconds, as the hosts have it. Nothing here blocks for long: what is undone later is in a list."""

    def __init__(self, site: Site, hosts: list[Host], chance: random.Random, lease: float) -> None:
        self.counts: Counter[str] = Counter()
        self.lost: list[Lost] = []
        self.stalled: set[int] = set()
        self.unexpected: list[str] = []
        self._site = site
        self._hosts = hosts
        self._chance = chance
        self.past_lease = lease + BEYOND
        self._later: list[tuple[float, Callable[[], object]]] = []
        self._down: set[str] = set()  # hosts whose worker is meant to be down, or to come back by itself

    def kinds(self) -> dict[str, Callable[[], bool]]:
        """Name → what does it and returns whether there was anything to strike."""
        of_store = (
            {"connections terminated": self._cut_connections, "PostgreSQL crashed": self._crash_database}
            if self._site.postgresql
            else {"database locked": self._lock_database}
        )
        of_broker = {"Redis restarted": self._restart_redis, "Redis emptied": self._empty_redis}
        return {
            "loop killed": self._kill_loop,
            "helper killed": self._kill_helper,
            "idle worker killed": self._kill_idle,
            "sentinel killed": self._kill_sentinel,
            "host killed": self._kill_host,
            "loop stalled": self._stall_loop,
            "worker restarted": self._restart_worker,
            "runs cancelled": lambda: self._verbs(GO_ON, runs.cancel, 2),
            "runs paused": lambda: self._verbs(GO_ON, runs.pause, 5),
            "runs resumed": lambda: self._verbs({RunStatus.PAUSED}, runs.resume, 5),
            "runs retried": lambda: self._verbs({RunStatus.CANCELLED}, runs.retry, 2),
            **of_store,
            **(of_broker if self._site.redis else {}),
            **({"host cut off": self._cut_host} if any(host.proxies for host in self._hosts) else {}),
        }

    def one(self) -> None:
        """A random strike."""
        kinds = self.kinds()
        name = self._chance.choice(list(kinds))
        try:
            if kinds[name]():
                self.counts[name] += 1
        except DatabaseError:
            connection.close()  # it is away because of an earlier strike

    def look(self) -> None:
        """Undo what is over; act as the supervisor that starts what has ended."""
        due = [action for at, action in self._later if at <= time.monotonic()]
        self._later = [(at, action) for at, action in self._later if at > time.monotonic()]
        for action in due:
            action()
        for host in self._hosts:
            if host.worker is not None and host.worker.poll() is not None:
                if host.name not in self._down:
                    self.unexpected.append(f"the worker of {host.name} ended by itself, code {host.worker.returncode}")
                self._down.discard(host.name)
                host.start_worker(wait=False)

    def heal(self) -> None:
        """Undo everything at once."""
        self._later = [(0.0, action) for _, action in self._later]
        self.look()

    def lose(self, names: set[str], how: str) -> None:
        self.lost += [Lost(name, time.time(), how) for name in names]

    # --- Processes ---

    def _kill_loop(self) -> bool:
        return any(self._kill_one(host, host.loops()) for host in self._shuffled())

    def _kill_helper(self) -> bool:
        return any(self._kill_one(host, host.helpers()) for host in self._shuffled())

    def _kill_idle(self) -> bool:
        return any(self._kill_one(host, host.idle_workers()) for host in self._shuffled())

    def _kill_sentinel(self) -> bool:
        for host in self._shuffled():
            loops = _named(host)
            if any(strike(pid) for pid in host.sentinels()):
                self.lose(loops, "process")
                return True
        return False

    def _kill_one(self, host: Host, pids: set[int]) -> bool:
        if not pids:
            return False
        pid = self._chance.choice(sorted(pids))
        names = {name for name in _named(host) if name.endswith(f":{pid}")}
        self.lose(names, "process")
        return strike(pid)

    def _kill_host(self) -> bool:
        host = self._chance.choice(self._hosts)
        self.lose(_named(host), "host")
        had_web = host.web is not None
        host.kill()
        self._after(self._chance.uniform(0.5, self.past_lease), lambda: host.start_worker(wait=False))
        if had_web:
            self._after(1.0, lambda: host.start_web(wait=False))
        return True

    def _stall_loop(self) -> bool:
        for host in self._shuffled():
            for pid in host.loops():
                self.lose({name for name in _named(host) if name.endswith(f":{pid}")}, "cut")
                self.stalled.add(pid)
                strike(pid, signal.SIGSTOP)
                self._after(self.past_lease, lambda: strike(pid, signal.SIGCONT))  # noqa: B023  (it returns)
                return True
        return False

    def _restart_worker(self) -> bool:
        host = self._chance.choice(self._hosts)
        if host.worker is None or host.worker.poll() is not None:
            return False
        self._down.add(host.name)
        host.worker.terminate()
        return True

    def _cut_host(self) -> bool:
        host = self._chance.choice(self._hosts)
        self.lose(_named(host), "cut")
        host.cut()
        self._after(self.past_lease, host.heal)
        return True

    # --- Runs ---

    def _verbs(self, statuses: Collection[str], verb: Callable[..., object], most: int) -> bool:
        """To runs that are no children: the end of a child is a failure of its parent."""
        rows = Run.objects.filter(status__in=statuses, parent=None)
        ids = list(rows.values_list("pk", flat=True)[:50])
        for run_id in self._chance.sample(ids, min(most, len(ids))):
            with contextlib.suppress(WorkflowError):  # it has moved on meanwhile
                verb(run_id, actor="campaign")
        return bool(ids)

    # --- Servers ---

    def _cut_connections(self) -> bool:
        assert self._site.postgresql is not None
        self._site.postgresql.cut_connections()
        return True

    def _crash_database(self) -> bool:
        assert self._site.postgresql is not None
        self._site.postgresql.restart("immediate")
        return True

    def _lock_database(self) -> bool:
        """Another process writes for some seconds, longer than anybody's busy timeout."""
        other = sqlite3.connect(self._site.database, isolation_level=None, check_same_thread=False)
        try:
            other.execute("PRAGMA busy_timeout = 1000")
            other.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            other.close()
            return False
        self._after(self._chance.uniform(2.0, 7.0), other.close)
        return True

    def _restart_redis(self) -> bool:
        assert self._site.redis is not None
        self._site.redis.restart()
        return True

    def _empty_redis(self) -> bool:
        assert self._site.redis is not None
        self._site.redis.flush()
        return True

    def _after(self, seconds: float, action: Callable[[], object]) -> None:
        self._later.append((time.monotonic() + seconds, action))

    def _shuffled(self) -> list[Host]:
        return self._chance.sample(self._hosts, len(self._hosts))


def resume_all() -> None:
    for run_id in Run.objects.filter(status=RunStatus.PAUSED).values_list("pk", flat=True):
        with contextlib.suppress(WorkflowError):
            runs.resume(run_id, actor="campaign")


def unexpected_endings() -> list[str]:
    """Runs that did not complete, though nobody cancelled them."""
    ended = Run.objects.filter(status__in=RUN_ENDED).exclude(status__in=[RunStatus.COMPLETED, RunStatus.CANCELLED])
    return [f"run {run.pk} of {run.workflow}: {run.status}, {run.error_message}" for run in ended]


def _named(host: Host) -> set[str]:
    """The loops of a host that live, as the events of a take-over name them."""
    live = Worker.objects.live(database_now()).filter(host=host.name).exclude(kind=Worker.Kind.PACEMAKER)
    return {str(worker) for worker in live}
