"""Leases: a worker's row, claiming due runs, renewing. Everything here is called with a database at hand."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max, Q, QuerySet

from workflows import changes, faults, suspicion, transitions, workers
from workflows.definitions.models import Definition
from workflows.errors import LeaseLost
from workflows.held import HeldRun, HeldStep, load
from workflows.limits import Room
from workflows.models import Run, StepResult, Worker, Workflow
from workflows.models.run import RunQuerySet
from workflows.models.workflow import known_version
from workflows.outcomes import ErrorRecord
from workflows.questions import NOW, WHO, Question, Selection
from workflows.statements import in_one_commit
from workflows.states import RunStatus
from workflows.workers import Identity


@dataclass(slots=True)
class Claimed:
    """A run just claimed: its row and definition, what a writer needs of it, and the results that it has already.

    ``seconds_left`` until its deadline, by the database's clock.
    """

    row: Run
    definition: Definition
    held: HeldRun
    steps: list[StepResult]
    seconds_left: float


def disown(who: Identity, run_id: uuid.UUID) -> None:
    """Let go of one run as if its holder had died: it is taken over, and given up if that helps nothing.

    For a run whose state can't be written; releasing it in good order would be a write of that state.
    """
    now = workers.database_now()
    nobody = Worker.objects.create(
        kind=who.kind, host=who.host, machine=who.machine, pid=who.pid, started_at=now, expires_at=now
    )
    Run.objects.filter(pk=run_id, worker_id=who.id).update(worker=nobody)


def look_at(run_ids: Collection[uuid.UUID]) -> tuple[set[uuid.UUID], set[uuid.UUID]]:
    """Those of the runs that could be claimed now, and those that have not ended."""
    now = workers.database_now()
    rows = Run.objects.active().filter(pk__in=run_ids)
    ready = rows.filter(_claimable(now) | Q(worker__expires_at__lte=now))
    return set(ready.values_list("pk", flat=True)), set(rows.values_list("pk", flat=True))


def orphans_of_web() -> list[uuid.UUID]:
    """Runs of lost web processes, where no pacemaker lives that would have them taken over."""
    now = workers.database_now()
    if Worker.objects.live(now).filter(kind=Worker.Kind.PACEMAKER).exists():
        return []
    workers.expire_dead()  # which a pacemaker would have done
    now = workers.database_now()
    lost = Run.objects.lease_expired(now).filter(worker__kind=Worker.Kind.WEB)
    return list(lost.values_list("pk", flat=True)[:100])


def claim(
    who: Identity, limit: int, run_ids: Collection[uuid.UUID] | None = None, suspects: Sequence[int] = ()
) -> list[Claimed]:
    """Claim up to ``limit`` runs: due ones, by priority and age, those whose holder let its lease expire first.

    With ``run_ids`` only those, the reserved ones among them too. ``suspects`` are the recoveries of the runs that the
    claimer holds and that have any: see `workflows.suspicion`. Runs that lost one worker too many are given up here.
    Raises `LeaseLost` if the claimer's own lease has expired: it holds nothing any more.
    """
    now, there_are = _LOOK.ask(who.id)
    if not there_are["lease"]:
        raise LeaseLost(f"the lease of {who} has expired")
    troubled = there_are["suspects"] or there_are["lost"]
    if run_ids is not None:
        troubled = Run.objects.filter(Q(recoveries__gt=0) | Q(worker__isnull=False), pk__in=run_ids).exists()
    elif not there_are["due"] and not troubled:
        return []
    if run_ids is None and not troubled and not there_are["limits"] and not connection.in_atomic_block:
        with suppress(changes.NotPlain):
            return _claim_due(who, limit, now)
    with transaction.atomic():
        room = Room(now if there_are["limits"] else None)
        rows = _suspects(now, run_ids, room, limit, suspects) if troubled else []
        if rows:
            faults.point("takeover")
        rows += _due(now, run_ids, room, limit - len(rows), limits=there_are["limits"])
        if rows:
            faults.point("claim")
        worst, results = _worst(rows), _results(rows)
        taken = [_take(row, results.get(row.pk, []), who, now, worst) for row in rows]
        writers = [one.held if isinstance(one, Claimed) else one for one in taken]
        changes.write([change for writer in writers if (change := writer.take())])
    return [one for one in taken if isinstance(one, Claimed)]


def _claim_due(who: Identity, limit: int, now: datetime) -> list[Claimed]:
    """What is nearly always to be done, with the fewest statements. Raises `changes.NotPlain`: nothing is claimed."""
    with connection.wrap_database_errors, in_one_commit():
        rows = _due_rows(limit).rows({NOW: now})
        if rows:
            faults.point("claim")
        results = _results(rows)
        taken = [_take(row, results.get(row.pk, []), who, now, {}) for row in rows]
        changes.put([change for one in taken if (change := (one.held if isinstance(one, Claimed) else one).take())])
    return [one for one in taken if isinstance(one, Claimed)]


def _look() -> dict[str, QuerySet[Any]]:
    """What a claim has to do with: nearly always nothing, or due runs alone."""
    due = Run.objects.due(NOW)
    return {
        "lease": Worker.objects.live(NOW).filter(pk=WHO),
        "due": due,
        "suspects": due.filter(recoveries__gt=0),
        "lost": workers.lost(NOW),
        "limits": _LIMITED,
    }


_LIMITED = Workflow.objects.filter(concurrency_limit__isnull=False)
_LOOK = Question(_look)


@cache
def _due_rows(limit: int) -> Selection:
    """Due runs of workflows without limits, locked."""
    due = Run.objects.due(NOW).filter(recoveries=0).exclude(workflow__in=_LIMITED)
    return Selection(lambda: due[:limit], locked=True)


def _due(now: datetime, run_ids: Collection[uuid.UUID] | None, room: Room, limit: int, *, limits: bool) -> list[Run]:
    if limit == 0:
        return []
    if run_ids is None and not limits:
        return _due_rows(limit).rows({NOW: now})
    if run_ids is None:
        rows = Run.objects.due(now)
    else:
        rows = Run.objects.filter(_claimable(now), pk__in=run_ids).order_by("id")
    return room.admit(_locked(room.exclude_full(rows.filter(recoveries=0)), limit))


def _suspects(
    now: datetime, run_ids: Collection[uuid.UUID] | None, room: Room, limit: int, held: Sequence[int]
) -> list[Run]:
    """Runs that lost a worker, as many as may be together in one loop."""
    # Asked for their ids first, each kind by an index of its own.
    again = Run.objects.filter(_claimable(now), recoveries__gt=0)
    lost = Run.objects.lease_expired(now)
    if run_ids is None:
        again = again.filter(due_at__lte=now)
    else:
        again, lost = again.filter(pk__in=run_ids), lost.filter(pk__in=run_ids)
    ids = list(lost.order_by().values_list("pk", flat=True).union(again.order_by().values_list("pk", flat=True)))
    if not ids:
        return []
    still = Q(worker__expires_at__lte=now) | _claimable(now)
    rows = room.exclude_full(Run.objects.filter(still, pk__in=ids)).order_by("recoveries", "id")
    return suspicion.together(room.admit(_locked(rows, limit)), held, limit)


def _claimable(now: datetime) -> Q:
    """Due, or reserved for whoever knows the run's id."""
    reserved = Q(due_at__isnull=True, status=RunStatus.QUEUED)
    return Q(worker__isnull=True) & (Q(due_at__lte=now) | reserved)


def _locked(queryset: RunQuerySet, limit: int) -> list[Run]:
    # SQLite has no row locks and needs none: its transaction began by taking the one write lock.
    if connection.features.has_select_for_update_skip_locked:
        queryset = queryset.select_for_update(skip_locked=True, of=("self",))
    return list(queryset.select_related("worker")[:limit])


def _take(
    row: Run, results: list[StepResult] | ValueError, who: Identity, now: datetime, worst: Mapping[uuid.UUID, int]
) -> Claimed | HeldRun:
    """The run as its new holder has it, or as it was given up."""
    held = HeldRun.of(row, str(who))
    row.version = known_version(row.version_id)
    try:
        definition = row.definition
        if isinstance(results, ValueError):
            raise results
    except ValueError as error:  # pydantic's and json's are ValueErrors; others must not be held up by it
        message = f"version {row.version.number} of the definition, or a result, can't be read by this release: {error}"
        transitions.fail(held, ErrorRecord("DefinitionError", message))
        return held
    held.steps = {step.path: HeldStep.of(step) for step in results}
    if row.attempt > 1:
        held.discards = row.discards()
    if row.worker_id is None:
        transitions.claim(held, who.id, now, definition.max_execution_time_seconds)
        return _claimed(row, held, results, now)
    assert row.worker is not None
    transitions.take_over(held, who.id, lost=str(row.worker), blamed=row.recoveries == worst[row.worker.pk])
    if held.recoveries > settings.MAX_RECOVERIES:
        message = f"the run was given up: {held.recoveries} workers in a row were lost while they worked on it"
        transitions.fail(held, ErrorRecord("TooManyRecoveries", message))
        return held
    return _claimed(row, held, results, now)


def _claimed(row: Run, held: HeldRun, results: list[StepResult], now: datetime) -> Claimed:
    assert held.deadline_at is not None
    return Claimed(row, row.definition, held, results, (held.deadline_at - now).total_seconds())


def _results(rows: Sequence[Run]) -> dict[uuid.UUID, list[StepResult] | ValueError]:
    """What steps of the runs have come to, or why that can't be read."""
    # A run claimed for the first time has no results: nothing to ask for.
    begun = [row.pk for row in rows if row.epoch]
    steps = StepResult.objects.filter(superseded=False).order_by("pk")
    try:
        found: dict[uuid.UUID, list[StepResult] | ValueError] = {}
        for step in steps.filter(run__in=begun) if begun else ():
            of_run = found.setdefault(step.run_id, [])
            assert isinstance(of_run, list)
            of_run.append(step)
        return found
    except ValueError:  # of one of them: the others must not be held up by it
        return {key: _read(steps.filter(run=key)) for key in begun}


def _read(steps: QuerySet[StepResult]) -> list[StepResult] | ValueError:
    try:
        return list(steps)
    except ValueError as error:
        return error


def _worst(rows: Sequence[Run]) -> dict[uuid.UUID, int]:
    """Lost worker → the most recoveries of any run that it held: those are what it may have died of."""
    lost = {row.worker_id for row in rows if row.worker_id is not None}
    if not lost:
        return {}
    found = Run.objects.filter(worker__in=lost).order_by().values_list("worker").annotate(Max("recoveries"))
    return dict(found)


def reload(who: Identity, run_id: uuid.UUID) -> HeldRun | None:
    """A held run as it is stored, for a holder whose own picture of it can't be written; None if it is not held."""
    row = Run.objects.filter(pk=run_id, worker_id=who.id).first()
    return None if row is None else load(row, str(who))
