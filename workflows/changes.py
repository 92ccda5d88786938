"""A change of one run as plain data, and its writing: the run's row, step results and events in one transaction.

The run's row is guarded by its epoch and event number: if either has moved, nothing of the change is written.
"""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.db import DEFAULT_DB_ALIAS, DataError, connection, connections, models, transaction
from django.db.models import Q

from workflows import cached_results, faults, signals
from workflows.audit import EventRow
from workflows.errors import LeaseLost
from workflows.models import Artifact, Event, Run, RunRequest, StepResult, StreamText
from workflows.outcomes import Reusable
from workflows.statements import (
    FEW,
    ROWS_AT_ONCE,
    Encoded,
    Row,
    Statement,
    as_one,
    driver,
    execute,
    in_one_commit,
    inserts,
    join_by_index,
    on_postgresql,
    together,
    update,
    updates,
)

PATHS_AT_ONCE = 1000  # of one UPDATE: a run may have 100,000, and PostgreSQL allows 65,535 values


@dataclass(slots=True)
class Change:
    """Everything that one transition, or several in a row, write of one run.

    ``seq`` is the number of the run's newest event before this change: with the epoch it guards the write.
    """

    run_id: uuid.UUID
    epoch: int
    seq: int
    run: dict[str, Any] = field(default_factory=dict)
    new_steps: dict[str, dict[str, Any]] = field(default_factory=dict)  # path → columns
    steps: dict[str, dict[str, Any]] = field(default_factory=dict)  # path → columns
    events: list[EventRow] = field(default_factory=list)
    texts: list[dict[str, Any]] = field(default_factory=list)  # the last streamed text of steps that end here
    requests: list[int] = field(default_factory=list)  # requests that this change answers
    reusable: dict[str, Reusable] = field(default_factory=dict)  # path → what its function gave
    artifacts: list[dict[str, Any]] = field(default_factory=list)  # columns of files that attempts made
    superseded: list[str] = field(default_factory=list)  # paths whose results are discarded
    keep_only: str | None = None  # the run has ended: drop the result data of all but this step, and those inside it
    clears: bool = False  # the run has ended: drop what its steps were still to be given
    tell: tuple[uuid.UUID, str] | None = None  # the run has ended: the parent that waits for it, at this path

    @property
    def is_plain(self) -> bool:
        """Whether it writes only the run's row, its steps' and events, and of those few."""
        more = self.texts or self.requests or self.reusable or self.artifacts or self.superseded
        ends = self.keep_only is not None or self.clears or self.tell is not None
        return not more and not ends and len(self.new_steps) + len(self.steps) + len(self.events) <= ROWS_AT_ONCE

    def set_step(self, path: str, columns: dict[str, Any]) -> None:
        """Merge into the row that this change inserts anyway, else into an update of the stored one."""
        if path in self.new_steps:
            self.new_steps[path].update(columns)
        else:
            self.steps.setdefault(path, {}).update(columns)


def write(changes: Sequence[Change]) -> set[uuid.UUID]:
    """Write all changes in one transaction. Returns the ids of runs held by others now: theirs are not written.

    A change that is found to be written already (the commit's answer was lost) counts as written.
    """
    if not changes:
        return set()
    database = connections[DEFAULT_DB_ALIAS]
    alone = not database.in_atomic_block
    if alone and all(change.is_plain for change in changes) and _write_plain(changes, database.wrap_database_errors):
        return set()
    with transaction.atomic(savepoint=False), database.wrap_database_errors, _pipeline() as pipeline:
        guards = [execute(*update(Run, *_guarded(change))) for change in changes]
        pipeline.sync()
        held = [change for change, guard in zip(changes, guards, strict=True) if guard.rowcount == 1]
        _write_parts(held)
        if signals.are_heard():
            transaction.on_commit(partial(signals.send, held), robust=True)
        faults.point("before-commit")
        if alone:
            pipeline.commit()
    faults.point("after-commit")
    written = {change.run_id for change in held}
    return {change.run_id for change in changes if change.run_id not in written and not _is_written(change)}


def put(changes: Sequence[Change]) -> None:
    """Write changes of runs whose rows are locked, within `in_one_commit`. Raises `NotPlain`, and `LeaseLost`."""
    if not all(change.is_plain for change in changes):
        raise NotPlain
    _put(changes)


class NotPlain(Exception):
    """A change writes more than rows of its run, its steps and events: `write` does that."""


def _write_plain(changes: Sequence[Change], wrapping_errors: AbstractContextManager[Any]) -> bool:
    """Whether the changes are written, in one commit that Django's transactions and cursors have no part in.

    If one of the guards fails nothing is written: the other way tells which.
    """
    try:
        with wrapping_errors, nullcontext() if _is_one_statement(changes) else in_one_commit():
            _put(changes)
            faults.point("before-commit")
    except (LeaseLost, DataError):
        return False  # others hold one of the runs, or a value is refused
    faults.point("after-commit")
    if signals.are_heard():
        transaction.on_commit(partial(signals.send, changes), robust=True)
    return True


def _put(changes: Sequence[Change]) -> None:
    """Raises `LeaseLost` or, on PostgreSQL, where nobody waits for each statement's answer, a DataError."""
    if not on_postgresql():
        for change in changes:
            if execute(*update(Run, *_guarded(change))).rowcount != 1:
                raise LeaseLost(f"run {change.run_id} is held by another worker")
            for statement in _rows([change]):
                execute(*statement)
    elif _is_one_statement(changes):
        guard = update(Run, *_guarded(changes[0]))
        execute(*as_one([_returning(guard), *_rows(changes), _all_held(1)]))
    else:
        join_by_index()
        for guard, runs in updates(Run, map(_guarded, changes)):
            execute(*as_one([_returning(guard), _all_held(runs)]))
        for statement in _rows(changes):
            execute(*statement)


def _is_one_statement(changes: Sequence[Change]) -> bool:
    """Whether `_put` carries out one, which commits itself; more of them need a transaction."""
    return on_postgresql() and len(changes) == 1 and len(changes[0].steps) <= FEW


def _returning(guard: Statement) -> Statement:
    sql, values = guard
    return f"{sql} RETURNING 1", values


def _all_held(runs: int) -> Statement:
    """A division by zero unless ``part_0`` has found them."""
    return "SELECT 1 / (count(*) = %s)::int FROM part_0", [runs]


def _rows(changes: Sequence[Change]) -> Iterator[Statement]:
    """What changes write of steps and events."""
    yield from inserts(StepResult, (row for change in changes for row in _new_steps(change)))
    # As its index has the condition: with a value in its place, SQLite would read all steps of the run.
    steps = updates(StepResult, (row for change in changes for row in _steps(change)), also='NOT "superseded"')
    yield from (statement for statement, _ in steps)
    yield from inserts(Event, (_columns(event) for change in changes for event in change.events))


def create(run: Run, event: EventRow, also: Sequence[Statement] = ()) -> None:
    """Insert a run with its first event, and carry out ``also``: in the transaction that goes on, else in a commit."""
    columns = {field.name: getattr(run, field.attname) for field in Run._meta.concrete_fields}
    with connection.wrap_database_errors:
        together([*inserts(Run, [columns]), *inserts(Event, [_columns(event)]), *also])
    run._state.adding, run._state.db = False, connection.alias


def write_texts(rows: list[dict[str, Any]]) -> None:
    """Insert pieces of streamed text: columns of `StreamText`."""
    _insert(StreamText, rows)


class _Direct:
    """Statements that are carried out one by one, as they come."""

    def sync(self) -> None:
        """What was sent has been answered."""

    def commit(self) -> None:
        """The transaction's end commits."""


class _Pipelined(_Direct):
    """PostgreSQL's: statements travel together, one round trip for the guards, one for the rest and the commit."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline

    def sync(self) -> None:
        self._pipeline.sync()

    def commit(self) -> None:
        driver().commit()  # with what is not answered yet; the transaction's end finds nothing to do


@contextmanager
def _pipeline() -> Iterator[_Direct]:
    if not on_postgresql():
        yield _Direct()
        return
    with driver().pipeline() as pipeline:
        yield _Pipelined(pipeline)


def _guarded(change: Change) -> tuple[Row, Row]:
    """The update of the run's row: columns, and the guard, which finds no row if it does not hold."""
    columns = change.run | {"event_seq": change.events[-1].seq, "event_head": change.events[-1].hash}
    return columns, {"id": change.run_id, "epoch": change.epoch, "event_seq": change.seq}


def _is_written(change: Change) -> bool:
    return Run.objects.filter(pk=change.run_id, event_head=change.events[-1].hash).exists()


def _new_steps(change: Change) -> Iterator[dict[str, Any]]:
    for path, columns in change.new_steps.items():
        yield columns | {"run": change.run_id, "path": path}


def _write_parts(changes: list[Change]) -> None:
    for change in changes:
        _supersede(change)
    if sum(len(change.steps) for change in changes) > FEW:
        join_by_index()
    for statement in _rows(changes):
        execute(*statement)
    for change in changes:
        if change.requests:
            RunRequest.objects.filter(pk__in=change.requests).delete()
        if change.keep_only is not None:
            kept = Q(path=change.keep_only) | Q(path__startswith=f"{change.keep_only}.")
            kept |= Q(path__startswith=f"{change.keep_only}[")
            StepResult.objects.filter(run_id=change.run_id).exclude(kept).update(result=None)
        if change.clears:
            RunRequest.objects.filter(run_id=change.run_id).delete()
        if change.tell is not None:
            _tell_parent(change.run_id, *change.tell)
    cached_results.keep((c.run_id, path, reusable) for c in changes for path, reusable in c.reusable.items())
    write_texts([text for change in changes for text in change.texts])
    for artifact in (artifact for change in changes for artifact in change.artifacts):
        _insert(Artifact, [artifact])  # one by one: they may be large


def _supersede(change: Change) -> None:
    for start in range(0, len(change.superseded), PATHS_AT_ONCE):
        paths = change.superseded[start : start + PATHS_AT_ONCE]
        for model in (StepResult, Artifact):
            rows = model._base_manager.filter(run_id=change.run_id, superseded=False, path__in=paths)
            rows.update(superseded=True)


def _tell_parent(child: uuid.UUID, parent: uuid.UUID, path: str) -> None:
    if Run.objects.active().filter(pk=parent).exists():
        told = {"path": path, "run_id": str(child)}
        RunRequest.objects.create(run_id=parent, verb=RunRequest.Verb.CHILD, actor="", arguments=told)


def _steps(change: Change) -> Iterator[tuple[Row, Row]]:
    for path, columns in change.steps.items():
        yield columns, {"run": change.run_id, "path": path}


def _columns(event: EventRow) -> Row:
    return {
        "run": event.run_id,
        "seq": event.seq,
        "type": event.type,
        "at": event.at,
        "actor": event.actor,
        "path": event.path,
        "data": Encoded(event.data),
        "hash": event.hash,
    }


def _insert(model: type[models.Model], rows: Iterable[Row]) -> None:
    for statement in inserts(model, rows):
        execute(*statement)
