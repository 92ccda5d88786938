"""The rows of workers: who may hold runs, until when, and whether its process lives. Called with a database at hand."""

import contextlib
import hashlib
import os
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import OuterRef, QuerySet, Subquery
from django.utils import timezone

from workflows.models import Run, Worker
from workflows.questions import NOW, Selection
from workflows.statements import adapted, execute, update


@dataclass(frozen=True, slots=True)
class Identity:
    """Who holds runs. ``machine`` tells whose process ids ``pid`` belongs to: a host name is not enough for that."""

    id: uuid.UUID
    kind: str
    host: str
    machine: str
    pid: int

    @classmethod
    def new(cls, kind: str) -> "Identity":
        return cls(uuid.uuid4(), kind, settings.HOST, this_machine(), os.getpid())

    def __str__(self) -> str:
        return f"{self.kind}:{self.host}:{self.pid}"


@cache
def this_machine() -> str:
    """A digest of the host's name, its boot and the namespace of process ids (containers of a host differ in it)."""
    parts = [settings.HOST]
    with contextlib.suppress(OSError):
        parts += [Path("/proc/sys/kernel/random/boot_id").read_text(), os.readlink("/proc/self/ns/pid")]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def database_now() -> datetime:
    """The database's clock: leases of many machines must not hang on their own clocks."""
    if connection.vendor == "sqlite":  # one machine, one clock
        return timezone.now()
    with connection.wrap_database_errors:
        moment: datetime = execute("SELECT clock_timestamp()").fetchone()[0]
        return moment


def enter(who: Identity, most: int | None = None) -> bool:
    """Register a worker, or renew it. False, and nothing done, if ``most`` others of its cluster claim already."""
    now = database_now()
    with transaction.atomic():
        if most is not None:
            _alone_in_cluster()
            if _siblings(who, now).filter(claiming=True).count() >= most:
                return False
        Worker.objects.update_or_create(
            pk=who.id,
            defaults={"expires_at": now + _lease(), "claiming": True},
            create_defaults={
                "kind": who.kind,
                "host": who.host,
                "machine": who.machine,
                "pid": who.pid,
                "parent_pid": os.getppid(),
                "process_started": process_started(who.pid),
                "started_at": now,
                "expires_at": now + _lease(),
            },
        )
    return True


def enough(most: int) -> bool:
    """Whether ``most`` loops of this process's cluster claim already."""
    return _of_cluster(Worker.Kind.WORKER, database_now()).filter(claiming=True).count() >= most


def claim_no_more(who: Identity) -> bool:
    """Make room for another loop of the cluster, and end with the last run held; not the only one that claims."""
    others = _siblings(who, database_now()).filter(claiming=True)
    return others.exists() and Worker.objects.filter(pk=who.id).update(claiming=False) == 1


def leave(who: Identity) -> None:
    """Let the lease end now."""
    Worker.objects.filter(pk=who.id).update(expires_at=database_now())


def renew(who: Identity) -> bool:
    """Prolong the lease, unless it has expired: then whatever was held may be held by others."""
    now = database_now()
    prolonged, values = update(Worker, {"expires_at": now + _lease()}, {"id": who.id}, also='"expires_at" > %s')
    with connection.wrap_database_errors:
        return bool(execute(prolonged, [*values, *adapted([now])]).rowcount)


def lost(now: datetime) -> QuerySet[Worker]:
    """Workers whose lease has expired while they held runs."""
    # A run for each of them, by its index: a join has no plan that is good whatever PostgreSQL knows of the tables.
    held = Subquery(Run.objects.filter(worker=OuterRef("pk")).order_by().values("pk")[:1])
    return Worker.objects.filter(expires_at__lte=now).alias(held=held).filter(held__isnull=False)


def expire_dead() -> None:
    """End the leases of this machine's workers whose process is gone."""
    live = _LIVE_HERE.rows({NOW: timezone.now()})
    if gone := [worker.pk for worker in live if process_started(worker.pid) != worker.process_started]:
        Worker.objects.filter(pk__in=gone).update(expires_at=database_now())


_LIVE_HERE = Selection(lambda: Worker.objects.live(NOW).filter(machine=this_machine()).order_by(), own_clock=True)


def name_connection(sender: Any, connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    """Receiver of ``connection_created``: let PostgreSQL know whose a connection is, for `unlock`."""
    if connection.vendor == "postgresql":
        name = _connection_name(this_machine(), os.getpid())
        if connection.connection.info.parameter_status("application_name") != name:
            connection.cursor().execute("SELECT set_config('application_name', %s, false)", [name])


def unlock(lost: Iterable[tuple[str, int]]) -> None:
    """End transactions that lost workers left open, each ``(machine, pid)``: their locks keep others from the runs.

    A machine that is cut off or frozen within a transaction keeps it open for as long as its connection seems to live.
    PostgreSQL's own time-outs don't end it: a pipeline's last message puts its timer of idle transactions off.
    """
    if connection.vendor != "postgresql":
        return
    names = [_connection_name(machine, pid) for machine, pid in lost]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = ANY(%s)"
            " AND usename = current_user AND xact_start < clock_timestamp() - interval '1 second'",
            [names],
        )


def _connection_name(machine: str, pid: int) -> str:
    return f"kolosal {machine[:16]} {pid}"


def process_started(pid: int) -> int:
    """When a process started, in clock ticks since boot; 0 where that can't be told, -1 if there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0 if not os.path.exists("/proc/self/stat") and _alive(pid) else -1
    return -1 if fields[0] in "ZX" else int(fields[19])


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _alone_in_cluster() -> None:
    """Until the transaction ends no other loop of this process's cluster enters: each would not see the other."""
    if connection.vendor == "postgresql":  # SQLite's transactions have one lock
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"{this_machine()}:{os.getppid()}"])


def _siblings(who: Identity, now: datetime) -> QuerySet[Worker]:
    """The other loops of a worker's cluster."""
    return _of_cluster(who.kind, now).exclude(pk=who.id)


def _of_cluster(kind: str, now: datetime) -> QuerySet[Worker]:
    """The loops of this process's cluster."""
    return Worker.objects.live(now).filter(kind=kind, machine=this_machine(), parent_pid=os.getppid())


def _lease() -> timedelta:
    return timedelta(seconds=settings.LEASE_SECONDS)
