"""Leases: a worker's row, claiming due runs, renewing. Everything here is called with a database at hand."""

import contextlib
import os
import socket
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone
from pydantic import ValidationError

from workflows import changes, transitions
from workflows.definitions.models import Definition
from workflows.models import Run, RunRequest, StepResult, Worker
from workflows.outcomes import ErrorRecord
from workflows.states import RunStatus
from workflows.transitions import HeldRun, HeldStep

A_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a loop is; a new one is made when its lease was lost."""

    id: uuid.UUID
    kind: str
    host: str
    pid: int

    @classmethod
    def new(cls, kind: str) -> "Identity":
        return cls(uuid.uuid4(), kind, socket.gethostname(), os.getpid())

    def __str__(self) -> str:
        return f"{self.kind}:{self.host}:{self.pid}"


@dataclass(slots=True)
class Claimed:
    """A run just claimed: its row and definition, what a writer needs of it, and the results that it has already."""

    row: Run
    definition: Definition
    held: HeldRun
    steps: list[StepResult]


def database_now() -> datetime:
    """The database's clock: leases of many machines must not hang on their own clocks."""
    if connection.vendor == "sqlite":  # one machine, one clock
        return timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
        return moment


def enter(who: Identity, most: int | None = None) -> bool:
    """Register a worker, or renew it. False, and nothing done, if ``most`` others of its cluster loop already."""
    now = database_now()
    parent = os.getppid()
    with transaction.atomic():
        if most is not None:
            siblings = Worker.objects.live(now).filter(kind=who.kind, host=who.host, parent_pid=parent)
            if siblings.exclude(pk=who.id).count() >= most:
                return False
        Worker.objects.update_or_create(
            pk=who.id,
            defaults={"expires_at": now + _lease()},
            create_defaults={
                "kind": who.kind,
                "host": who.host,
                "pid": who.pid,
                "parent_pid": parent,
                "process_started": process_started(who.pid),
                "started_at": now,
                "expires_at": now + _lease(),
            },
        )
    return True


def leave(who: Identity) -> None:
    """Let the lease end now."""
    Worker.objects.filter(pk=who.id).update(expires_at=database_now())


def renew(who: Identity) -> bool:
    """Prolong the lease, unless it has expired: then whatever was held may be held by others."""
    now = database_now()
    return Worker.objects.live(now).filter(pk=who.id).update(expires_at=now + _lease()) == 1


def requests_for(who: Identity) -> list[RunRequest]:
    """What others ask of the runs that this worker holds, oldest first."""
    return list(RunRequest.objects.filter(run__worker_id=who.id).order_by("pk"))


def claim(who: Identity, limit: int, run_ids: Sequence[uuid.UUID] | None = None) -> list[Claimed]:
    """Claim up to ``limit`` runs: due ones, by priority and age, then those whose holder let its lease expire.

    With ``run_ids`` only those. Runs that lost one worker too many are given up here.
    """
    now = database_now()
    with transaction.atomic():
        rows = _locked(_among(Run.objects.due(now), run_ids), limit)
        taken = [(row, _claim_due(row, who, now)) for row in rows]
        if len(rows) < limit:
            rows = _locked(_among(Run.objects.lease_expired(now), run_ids), limit - len(rows))
            taken += [(row, _take_over(row, who)) for row in rows]
        changes.write([change for _, held in taken if (change := held.take())])
        return [_loaded(row, held) for row, held in taken if held.status == RunStatus.RUNNING]


def expire_dead(host: str) -> int:
    """End the leases of this host's workers whose process is gone. Returns how many."""
    now = database_now()
    gone = [
        worker.pk
        for worker in Worker.objects.live(now).filter(host=host)
        if process_started(worker.pid) != worker.process_started
    ]
    return Worker.objects.filter(pk__in=gone).update(expires_at=now) if gone else 0


def process_started(pid: int) -> int:
    """When a process started, in clock ticks since boot; 0 where that can't be told, -1 if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0 if not os.path.exists("/proc/self/stat") and _alive(pid) else -1
    return -1 if fields[0] in "ZX" else int(fields[19])


def _alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def _lease() -> timedelta:
    return timedelta(seconds=settings.LEASE_SECONDS)


def _among(queryset: QuerySet[Run], run_ids: Sequence[uuid.UUID] | None) -> QuerySet[Run]:
    return queryset if run_ids is None else queryset.filter(pk__in=run_ids)


def _locked(queryset: QuerySet[Run], limit: int) -> list[Run]:
    # SQLite has no row locks and needs none: its transaction began by taking the one write lock.
    if connection.features.has_select_for_update_skip_locked:
        queryset = queryset.select_for_update(skip_locked=True, of=("self",))
    return list(queryset.select_related("workflow", "worker", "version").defer("version__definition")[:limit])


def _claim_due(row: Run, who: Identity, now: datetime) -> HeldRun:
    held = HeldRun.of(row, str(who))
    if _readable(row, held):
        transitions.claim(held, who.id, now, row.definition.max_execution_time_seconds)
    return held


def _take_over(row: Run, who: Identity) -> HeldRun:
    held = transitions.load(row, str(who))
    if not _readable(row, held):
        return held
    transitions.take_over(held, who.id, lost=str(row.worker))
    if held.recoveries > settings.MAX_RECOVERIES:
        message = f"the run was given up: {held.recoveries} workers in a row were lost while they worked on it"
        transitions.fail(held, ErrorRecord("TooManyRecoveries", message))
    return held


def _readable(row: Run, held: HeldRun) -> bool:
    """Whether this release understands the run's definition; if not, the run fails, and others are not held up."""
    try:
        return bool(row.definition)
    except ValidationError as error:
        message = f"version {row.version.number} of the definition can't be read by this release: {error}"
        transitions.fail(held, ErrorRecord("DefinitionError", message))
        return False


def _loaded(row: Run, held: HeldRun) -> Claimed:
    # A run claimed for the first time has no results: nothing to ask for.
    steps = list(StepResult.objects.filter(run=row, superseded=False).order_by("pk")) if held.epoch > 1 else []
    held.steps = {step.path: HeldStep.of(step) for step in steps}
    return Claimed(row, row.definition, held, steps)
