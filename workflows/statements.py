"""What the hot path writes, as SQL: to have the ORM build it at each use would cost more than running it.

Statements are made once, for each shape of row, and prepared once in a connection. Django's cursors, which log and
translate, have no part in them.
"""

import json
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from functools import cache, lru_cache
from itertools import chain
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connection, connections, models

from workflows.models.fields import dumps
from workflows.states import RunStatus, StepStatus

ROWS_AT_ONCE = 100  # of one INSERT: SQLite allows 32,766 values in a statement
FEW = 4  # rows that have places of their own in a statement; more travel to PostgreSQL as a JSON document
LARGEST_DOCUMENT = 1 << 20  # characters, unless one row has more
WAS = "was_"  # before the names of what an UPDATE compares

Row = dict[str, Any]
Statement = tuple[str, list[Any]]

LOCK_EVERY = 0.0005  # seconds between tries
_JOIN_BY_INDEX = (
    "SELECT set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true), "
    "set_config('enable_mergejoin', 'off', true)"
)


class Encoded(str):
    """Text that is JSON already; written to a JSON column as it is."""

    __slots__ = ()


def update(model: type[models.Model], columns: Row, where: Row, also: str = "") -> Statement:
    """An UPDATE of field → value where fields have the values of ``where``; ``also`` is a condition in SQL."""
    return _update_sql(model, tuple(columns), tuple(where), also), adapted((*columns.values(), *where.values()))


def updates(
    model: type[models.Model], rows: Iterable[tuple[Row, Row]], also: str = ""
) -> Iterator[tuple[Statement, int]]:
    """`update` of each of ``(columns, where)``, and how many rows each statement is to find.

    On PostgreSQL many rows of the same fields have one statement; `join_by_index` before.
    """
    if not on_postgresql():
        yield from ((update(model, columns, where, also), 1) for columns, where in rows)
        return
    alike: dict[tuple[tuple[str, ...], tuple[str, ...]], list[tuple[Row, Row]]] = {}
    for columns, where in rows:
        alike.setdefault((tuple(columns), tuple(where)), []).append((columns, where))
    for fields, same in alike.items():
        if len(same) <= FEW:
            yield from ((update(model, *row, also), 1) for row in same)
            continue
        named = (columns | {f"{WAS}{name}": where[name] for name in where} for columns, where in same)
        for document, number in _documents(named):
            yield (_updates_sql(model, *fields, also), [document]), number


def inserts(model: type[models.Model], rows: Iterable[Row]) -> Iterator[Statement]:
    """INSERTs of rows, each of field → value, in order; what a row leaves out has its field's default."""
    rows = list(rows)
    if len(rows) > FEW and on_postgresql():
        columns = tuple(dict.fromkeys(chain.from_iterable(rows)))
        missing = {name: _default(model, name) for name in columns}
        for document, _ in _documents(missing | row for row in rows):
            yield _inserts_sql(model, columns), [document]
        return
    for start in range(0, len(rows), ROWS_AT_ONCE):
        chunk = rows[start : start + ROWS_AT_ONCE]
        columns = tuple(dict.fromkeys(chain.from_iterable(chunk)))
        values = (row[name] if name in row else _default(model, name) for row in chunk for name in columns)
        yield _insert_sql(model, columns, len(chunk)), adapted(values)


def join_by_index() -> None:
    """Until the transaction ends: a table that was never analyzed is thought to be small, and read as a whole."""
    if on_postgresql():
        execute(_JOIN_BY_INDEX)


@cache
def on_postgresql() -> bool:
    """Whether that is the store; else it is SQLite."""
    return connection.vendor == "postgresql"


def driver() -> Any:
    """The connection of this thread as the driver knows it, opened at need."""
    database = connections[DEFAULT_DB_ALIAS]
    if database.connection is None:
        database.ensure_connection()
    return database.connection


def execute(sql: str, values: Sequence[Any] = ()) -> Any:
    """The driver's cursor. Raises the driver's own errors."""
    if on_postgresql():
        return _raw_cursor()(driver()).execute(_numbered(sql), values)
    return driver().execute(_marked(sql), values)


def together(statements: Sequence[Statement]) -> None:
    """Carry out statements, each of its own rows, in the transaction that goes on, else in one commit.

    On PostgreSQL they are one statement. Raises the driver's own errors.
    """
    if on_postgresql():
        execute(*as_one(statements))
        return
    with nullcontext() if connection.in_atomic_block else in_one_commit():
        for statement in statements:
            execute(*statement)


def as_one(statements: Sequence[Statement]) -> Statement:
    """PostgreSQL's ``WITH``: the last statement may name those before it ``part_0``, ``part_1`` …"""
    *parts, (last, _) = statements
    written = [f"part_{number} AS ({sql})" for number, (sql, _) in enumerate(parts)]
    sql = f"WITH {', '.join(written)} {last}" if parts else last
    return sql, [*chain.from_iterable(values for _, values in statements)]


def in_one_commit() -> AbstractContextManager[None]:
    """A transaction that Django knows nothing of, on PostgreSQL in pipeline mode. Raises the driver's own errors."""
    return _transaction_of_postgresql(driver()) if on_postgresql() else _transaction_of_sqlite(driver())


@contextmanager
def _transaction_of_postgresql(database: Any) -> Iterator[None]:
    from psycopg.pq import TransactionStatus

    try:
        with database.pipeline():
            execute("BEGIN")
            yield
            execute("COMMIT")
    finally:
        if database.info.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            # The driver's own: what PostgreSQL has skipped since an error is taken for prepared until then.
            database.rollback()


@contextmanager
def _transaction_of_sqlite(database: Any) -> Iterator[None]:
    _lock(database)
    try:
        yield
        database.execute("COMMIT")
    finally:
        if database.in_transaction:
            database.execute("ROLLBACK")


def _lock(database: Any) -> None:
    """Take SQLite's one write lock. Its own waiting sleeps ever longer, which leaves behind whoever waits."""
    seconds = settings.DATABASES[DEFAULT_DB_ALIAS]["OPTIONS"]["timeout"]
    until = time.monotonic() + seconds
    database.execute("PRAGMA busy_timeout = 0")
    try:
        while True:
            try:
                database.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    raise
                time.sleep(LOCK_EVERY)
            else:
                return
    finally:
        database.execute(f"PRAGMA busy_timeout = {seconds * 1000}")


# How values of a type are written; those of other types are taken as they are. Objects occur only in JSON columns.
_TEXTS: dict[type, Callable[[Any], Any]] = {
    Encoded: str,
    RunStatus: str,
    StepStatus: str,
    dict: dumps,
    list: dumps,
}
_WITHOUT_TYPES: dict[type, Callable[[Any], Any]] = _TEXTS | {
    datetime: lambda moment: moment.astimezone(UTC).isoformat(" ")[: -len("+00:00")],
    uuid.UUID: lambda key: key.hex,
}


def adapted(values: Iterable[Any]) -> list[Any]:
    """Values as the driver is given them."""
    adapters = _TEXTS if on_postgresql() else _WITHOUT_TYPES
    return [value if (adapt := adapters.get(type(value))) is None else adapt(value) for value in values]


def _column(model: type[models.Model], name: str) -> str:
    return _quoted(str(model._meta.get_field(name).column))  # type: ignore[union-attr]


def _default(model: type[models.Model], name: str) -> Any:
    return model._meta.get_field(name).get_default()  # type: ignore[union-attr]


@cache
def _update_sql(model: type[models.Model], columns: tuple[str, ...], where: tuple[str, ...], also: str) -> str:
    assignments = ", ".join(f"{_column(model, name)} = %s" for name in columns)
    conditions = " AND ".join([*(f"{_column(model, name)} = %s" for name in where), *([also] if also else [])])
    table = _quoted(model._meta.db_table)
    return f"UPDATE {table} SET {assignments} WHERE {conditions}"  # noqa: S608  (names of our own columns)


@cache
def _insert_sql(model: type[models.Model], columns: tuple[str, ...], rows: int) -> str:
    defaults = _other_defaults(model, columns)
    names = ", ".join(_column(model, name) for name in (*columns, *defaults))
    places = ", ".join(["(" + ", ".join([*["%s"] * len(columns), *defaults.values()]) + ")"] * rows)
    table = _quoted(model._meta.db_table)
    return f"INSERT INTO {table} ({names}) VALUES {places}"  # noqa: S608  (names of our own columns)


@cache
def _inserts_sql(model: type[models.Model], columns: tuple[str, ...]) -> str:
    defaults = _other_defaults(model, columns)
    names = ", ".join(_column(model, name) for name in (*columns, *defaults))
    values = ", ".join([*map(_quoted, columns), *defaults.values()])
    table = _quoted(model._meta.db_table)
    return f"INSERT INTO {table} ({names}) SELECT {values} FROM {_recordset(model, columns)}"  # noqa: S608


@cache
def _updates_sql(model: type[models.Model], columns: tuple[str, ...], where: tuple[str, ...], also: str) -> str:
    assignments = ", ".join(f"{_column(model, name)} = rows.{_quoted(name)}" for name in columns)
    conditions = [f"stored.{_column(model, name)} = rows.{_quoted(WAS + name)}" for name in where]
    table = _quoted(model._meta.db_table)
    return (
        f"UPDATE {table} AS stored SET {assignments} FROM {_recordset(model, columns, where)} "  # noqa: S608
        f"WHERE {' AND '.join([*conditions, *([also] if also else [])])}"
    )


def _recordset(model: type[models.Model], columns: Sequence[str], where: Sequence[str] = ()) -> str:
    """PostgreSQL's rows of a JSON document, whose keys are fields."""
    types = [f"{_quoted(name)} {_type(model, name)}" for name in columns]
    types += [f"{_quoted(WAS + name)} {_type(model, name)}" for name in where]
    return f"json_to_recordset(%s) AS rows({', '.join(types)})"


def _type(model: type[models.Model], name: str) -> str:
    return str(model._meta.get_field(name).db_type(connection))


def _quoted(name: str) -> str:
    return connection.ops.quote_name(name)


def _in_document(value: Any) -> str:
    if isinstance(value, datetime | uuid.UUID):
        return str(value)
    raise TypeError(f"a document has no form for {type(value).__name__}")


_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=_in_document).encode


def _documents(rows: Iterable[Row]) -> Iterator[tuple[str, int]]:
    """The rows as JSON, in order, and how many of them each document has."""
    texts: list[str] = []
    length = 0
    for row in rows:
        text = _encode(dict(zip(row, adapted(row.values()), strict=True)))
        if texts and length + len(text) > LARGEST_DOCUMENT:
            yield f"[{','.join(texts)}]", len(texts)
            texts, length = [], 0
        texts.append(text)
        length += len(text)
    if texts:
        yield f"[{','.join(texts)}]", len(texts)


def _other_defaults(model: type[models.Model], columns: tuple[str, ...]) -> dict[str, str]:
    """Field → default in SQL, of the fields that an INSERT leaves out."""
    return {
        field.name: literal(field.get_default())
        for field in model._meta.concrete_fields
        if not field.primary_key and field.name not in columns
    }


def literal(value: Any) -> str:
    """A field's default in SQL."""
    if value is None or isinstance(value, bool | int | float):
        return "NULL" if value is None else str(value).upper()
    text = value if isinstance(value, str) else dumps(value)
    assert not set("'%\\") & set(text), text
    return f"'{text}'"


@cache
def _raw_cursor() -> Any:
    from psycopg import RawCursor

    return RawCursor


@lru_cache(1000)
def _numbered(sql: str) -> bytes:
    """The statement with its places as PostgreSQL itself writes them: ``$1``, ``$2`` …"""
    first, *others = sql.split("%s")
    return "".join([first, *(f"${number}{text}" for number, text in enumerate(others, 1))]).encode()


@lru_cache(1000)
def _marked(sql: str) -> str:
    """The statement with its places as SQLite writes them."""
    return sql.replace("%s", "?")
