"""A change of one run as plain data, and its writing: the run's row, step results and events in one transaction.

The run's row is guarded by its epoch and event number: if either has moved, nothing of the change is written. SQL is
put together by hand because this is the hot path: the ORM's building of these statements costs more than running them.
"""

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, lru_cache, partial
from itertools import chain
from typing import Any

from django.db import DataError, connection, models, transaction
from django.db.models import Q

from workflows import cached_results, faults, signals
from workflows.audit import EventRow
from workflows.models import Artifact, Event, Run, RunRequest, StepResult, StreamText
from workflows.models.fields import dumps
from workflows.outcomes import Reusable
from workflows.states import RunStatus, StepStatus

ROWS_AT_ONCE = 100  # of one INSERT: SQLite allows 32,766 values in a statement
PATHS_AT_ONCE = 1000  # of one UPDATE: a run may have 100,000, and PostgreSQL allows 65,535 values

Statement = tuple[str, list[Any]]


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
    def has_more(self) -> bool:
        """Whether it writes more than the run's row, its steps' and events."""
        return bool(self.texts or self.requests or self.reusable or self.artifacts or self.superseded) or (
            self.keep_only is not None or self.clears or self.tell is not None
        )

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
    if _write_at_once(changes):
        return set()
    alone = not connection.in_atomic_block
    with transaction.atomic(savepoint=False), connection.wrap_database_errors, _pipeline() as pipeline:
        guards = [_execute(*_guarded_update(change)) for change in changes]
        pipeline.sync()
        held = [change for change, guard in zip(changes, guards, strict=True) if guard.rowcount == 1]
        _write_parts(held)
        if signals.are_heard():
            transaction.on_commit(partial(signals.send, held), robust=True)
        faults.point("before-commit")
        if alone:
            pipeline.commit()
    faults.point("after-commit")
    return {change.run_id for change in changes if change not in held and not _is_written(change)}


def _write_at_once(changes: Sequence[Change]) -> bool:
    """Whether the change is written, by one statement that commits itself; a guard that fails makes it an error.

    So a step's boundary is one message and one answer. Only on PostgreSQL, for one change of few rows alone.
    """
    if connection.vendor != "postgresql" or connection.in_atomic_block or len(changes) > 1:
        return False
    (change,) = changes
    if change.has_more or len(change.new_steps) + len(change.steps) + len(change.events) > ROWS_AT_ONCE:
        return False
    guard, values = _guarded_update(change)
    parts = [*_inserts(StepResult, list(_new_steps(change))), *_step_updates(change), *_inserts(Event, _events(change))]
    written = [f"held AS ({guard} RETURNING 1)", *(f"part_{i} AS ({sql})" for i, (sql, _) in enumerate(parts))]
    statement = f"WITH {', '.join(written)} SELECT 1 / count(*) FROM held"  # noqa: S608  (names of our own columns)
    faults.point("before-commit")
    try:
        with connection.wrap_database_errors:
            _execute(statement, [*values, *chain.from_iterable(more for _, more in parts)])
    except DataError:
        return False  # others hold the run, or one of the values is refused: the other way tells which
    faults.point("after-commit")
    if signals.are_heard():
        transaction.on_commit(partial(signals.send, changes), robust=True)
    return True


def write_texts(rows: list[dict[str, Any]]) -> None:
    """Insert pieces of streamed text: columns of `StreamText`."""
    _insert(StreamText, rows)


class Encoded(str):
    """Text that is JSON already; written to a JSON column as it is."""

    __slots__ = ()


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
        connection.connection.commit()  # with what is not answered yet; the transaction's end finds nothing to do


@contextmanager
def _pipeline() -> Iterator[_Direct]:
    if connection.vendor != "postgresql":
        yield _Direct()
        return
    connection.ensure_connection()
    with connection.connection.pipeline() as pipeline:
        yield _Pipelined(pipeline)


def _guarded_update(change: Change) -> Statement:
    """The update of the run's row; its ``rowcount`` tells whether the guard held."""
    columns = change.run | {"event_seq": change.events[-1].seq, "event_head": change.events[-1].hash}
    return _update(Run, columns, {"id": change.run_id, "epoch": change.epoch, "event_seq": change.seq})


def _is_written(change: Change) -> bool:
    return Run.objects.filter(pk=change.run_id, event_head=change.events[-1].hash).exists()


def _new_steps(change: Change) -> Iterator[dict[str, Any]]:
    for path, columns in change.new_steps.items():
        yield _step_defaults() | columns | {"run": change.run_id, "path": path}


def _write_parts(changes: list[Change]) -> None:
    for change in changes:
        _supersede(change)
    _insert(StepResult, [row for change in changes for row in _new_steps(change)])
    for change in changes:
        for statement in _step_updates(change):
            _execute(*statement)
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
    _insert(Event, [row for change in changes for row in _events(change)])


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


def _step_updates(change: Change) -> Iterator[Statement]:
    for path, columns in change.steps.items():
        yield _update(StepResult, columns, {"run": change.run_id, "path": path, "superseded": False})


def _events(change: Change) -> list[dict[str, Any]]:
    return [
        {
            "run": event.run_id,
            "seq": event.seq,
            "type": event.type,
            "at": event.at,
            "actor": event.actor,
            "path": event.path,
            "data": Encoded(event.data),
            "hash": event.hash,
        }
        for event in change.events
    ]


@cache
def _step_defaults() -> dict[str, Any]:
    fields = [f for f in StepResult._meta.concrete_fields if not f.primary_key and f.name not in {"run", "path"}]
    return {f.name: f.get_default() for f in fields}


# How values of a type are written; those of other types are taken as they are. Objects occur only in JSON columns.
ADAPTERS: dict[type, Callable[[Any], Any]] = {
    Encoded: str,
    RunStatus: str,
    StepStatus: str,
    dict: dumps,
    list: dumps,
    datetime: lambda moment: connection.ops.adapt_datetimefield_value(moment),
    uuid.UUID: lambda key: key if connection.features.has_native_uuid_field else key.hex,
}


def _adapted(value: Any) -> Any:
    adapt = ADAPTERS.get(type(value))
    return value if adapt is None else adapt(value)


@cache
def _column(model: type[models.Model], name: str) -> str:
    return connection.ops.quote_name(str(model._meta.get_field(name).column))  # type: ignore[union-attr]


@cache
def _update_sql(model: type[models.Model], columns: tuple[str, ...], where: tuple[str, ...]) -> str:
    assignments = ", ".join(f"{_column(model, name)} = %s" for name in columns)
    conditions = " AND ".join(f"{_column(model, name)} = %s" for name in where)
    table = connection.ops.quote_name(model._meta.db_table)
    return f"UPDATE {table} SET {assignments} WHERE {conditions}"  # noqa: S608  (names of our own columns)


def _update(model: type[models.Model], columns: dict[str, Any], where: dict[str, Any]) -> Statement:
    values = [_adapted(value) for value in (*columns.values(), *where.values())]
    return _update_sql(model, tuple(columns), tuple(where)), values


@cache
def _insert_sql(model: type[models.Model], columns: tuple[str, ...], rows: int) -> str:
    names = ", ".join(_column(model, name) for name in columns)
    places = ", ".join(["(" + ", ".join(["%s"] * len(columns)) + ")"] * rows)
    table = connection.ops.quote_name(model._meta.db_table)
    return f"INSERT INTO {table} ({names}) VALUES {places}"  # noqa: S608  (names of our own columns)


def _inserts(model: type[models.Model], rows: list[dict[str, Any]]) -> Iterator[Statement]:
    for start in range(0, len(rows), ROWS_AT_ONCE):
        chunk = rows[start : start + ROWS_AT_ONCE]
        columns = tuple(chunk[0])
        yield _insert_sql(model, columns, len(chunk)), [_adapted(row[name]) for row in chunk for name in columns]


def _insert(model: type[models.Model], rows: list[dict[str, Any]]) -> None:
    for statement in _inserts(model, rows):
        _execute(*statement)


def _execute(sql: str, values: list[Any]) -> Any:
    """The cursor. On PostgreSQL the statement is prepared once in a connection, which Django's own cursors don't do."""
    if connection.vendor == "postgresql":
        connection.ensure_connection()
        return _raw_cursor()(connection.connection).execute(_numbered(sql), values)
    cursor = connection.cursor()
    cursor.execute(sql, values)
    return cursor


@cache
def _raw_cursor() -> Any:
    from psycopg import RawCursor

    return RawCursor


@lru_cache(1000)
def _numbered(sql: str) -> bytes:
    """The statement with its places as PostgreSQL itself writes them: ``$1``, ``$2`` …"""
    first, *others = sql.split("%s")
    return "".join([first, *(f"${number}{text}" for number, text in enumerate(others, 1))]).encode()
