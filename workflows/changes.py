"""A change of one run as plain data, and its writing: the run's row, step results and events in one transaction.

The run's row is written first, guarded by its epoch and event number; only then is anything else. SQL is put together
by hand because this is the hot path: the ORM's building of these statements costs more than running them.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from django.db import connection, models, transaction

from workflows.audit import EventRow
from workflows.models import Event, Run, RunRequest, StepResult, StreamText


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
    keep_only: str | None = None  # the run has ended: drop the result data of every step but this path

    def set_step(self, path: str, columns: dict[str, Any]) -> None:
        """Merge into the row that this change inserts anyway, else into an update of the stored one."""
        if path in self.new_steps:
            self.new_steps[path].update(columns)
        else:
            self.steps.setdefault(path, {}).update(columns)


def write(changes: Sequence[Change]) -> set[uuid.UUID]:
    """Write all changes in one transaction. Returns the ids of runs that someone else holds now: theirs are not written.

    A change that is found to be written already (the commit's answer was lost) counts as written.
    """
    lost: set[uuid.UUID] = set()
    with transaction.atomic(savepoint=False):
        held = [change for change in changes if _guarded_update(change, lost)]
        _insert(StepResult, _new_step_rows(held))
        for change in held:
            _write_parts(change)
        write_texts([text for change in held for text in change.texts])
        _insert(Event, (_event_columns(event) for change in held for event in change.events))
    return lost


def write_texts(rows: list[dict[str, Any]]) -> None:
    """Insert pieces of streamed text: columns of `StreamText`."""
    _insert(StreamText, rows)


def _guarded_update(change: Change, lost: set[uuid.UUID]) -> bool:
    columns = change.run | {"event_seq": change.events[-1].seq, "event_head": change.events[-1].hash}
    where = {"id": change.run_id, "epoch": change.epoch, "event_seq": change.seq}
    if _update(Run, columns, where) == 1:
        return True
    if not Run.objects.filter(pk=change.run_id, event_head=change.events[-1].hash).exists():
        lost.add(change.run_id)
    return False


def _new_step_rows(changes: Iterable[Change]) -> list[dict[str, Any]]:
    return [
        _step_defaults() | columns | {"run": change.run_id, "path": path}
        for change in changes
        for path, columns in change.new_steps.items()
    ]


def _write_parts(change: Change) -> None:
    for path, columns in change.steps.items():
        _update(StepResult, columns, {"run": change.run_id, "path": path, "superseded": False})
    if change.requests:
        RunRequest.objects.filter(pk__in=change.requests).delete()
    if change.keep_only is not None:
        StepResult.objects.filter(run_id=change.run_id).exclude(path=change.keep_only).update(result=None)


def _event_columns(event: EventRow) -> dict[str, Any]:
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


class Encoded(str):
    """Text that is JSON already; written to a JSON column as it is."""

    __slots__ = ()


@cache
def _step_defaults() -> dict[str, Any]:
    fields = [f for f in StepResult._meta.concrete_fields if not f.primary_key and f.name not in {"run", "path"}]
    return {f.name: f.get_default() for f in fields}


@cache
def _field(model: type[models.Model], name: str) -> Any:
    return model._meta.get_field(name)


def _prepared(model: type[models.Model], name: str, value: Any) -> Any:
    if isinstance(value, Encoded):
        return str(value)
    return _field(model, name).get_db_prep_save(value, connection)


@cache
def _update_sql(model: type[models.Model], columns: tuple[str, ...], where: tuple[str, ...]) -> str:
    quote = connection.ops.quote_name
    assignments = ", ".join(f"{quote(_field(model, name).column)} = %s" for name in columns)
    conditions = " AND ".join(f"{quote(_field(model, name).column)} = %s" for name in where)
    return f"UPDATE {quote(model._meta.db_table)} SET {assignments} WHERE {conditions}"  # noqa: S608


def _update(model: type[models.Model], columns: dict[str, Any], where: dict[str, Any]) -> int:
    """Rows changed."""
    values = [_prepared(model, name, value) for name, value in (*columns.items(), *where.items())]
    with connection.cursor() as cursor:
        cursor.execute(_update_sql(model, tuple(columns), tuple(where)), values)
        return cursor.rowcount


@cache
def _insert_sql(model: type[models.Model], columns: tuple[str, ...]) -> str:
    quote = connection.ops.quote_name
    names = ", ".join(quote(_field(model, name).column) for name in columns)
    places = ", ".join(["%s"] * len(columns))
    return f"INSERT INTO {quote(model._meta.db_table)} ({names}) VALUES ({places})"  # noqa: S608


def _insert(model: type[models.Model], rows: Iterable[dict[str, Any]]) -> None:
    rows = list(rows)
    if not rows:
        return
    columns = tuple(rows[0])
    values = [[_prepared(model, name, row[name]) for name in columns] for row in rows]
    with connection.cursor() as cursor:
        cursor.executemany(_insert_sql(model, columns), values)
