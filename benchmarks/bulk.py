"""Storing rows by the thousand, as fast as the store can."""

import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import connection, models

Row = dict[str, Any]


def store(model: type[models.Model], rows: Sequence[Row]) -> None:
    """Rows of attribute → value as it is stored, all with the same attributes."""
    if not rows:
        return
    columns = {field.attname: str(field.column) for field in model._meta.concrete_fields}
    put = _copy if connection.vendor == "postgresql" else _insert
    put(model._meta.db_table, [columns[name] for name in rows[0]], rows)


def _copy(table: str, columns: Iterable[str], rows: Sequence[Row]) -> None:
    names = ", ".join(f'"{column}"' for column in columns)
    with connection.cursor() as cursor, cursor.cursor.copy(f'COPY "{table}" ({names}) FROM STDIN') as copy:
        for row in rows:
            copy.write_row(tuple(row.values()))


def _insert(table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
    names, places = ", ".join(f'"{column}"' for column in columns), ", ".join(["%s"] * len(columns))
    with connection.cursor() as cursor:
        statement = f'INSERT INTO "{table}" ({names}) VALUES ({places})'  # noqa: S608
        cursor.executemany(statement, [tuple(map(_as_sqlite_has_it, row.values())) for row in rows])


def _as_sqlite_has_it(value: Any) -> Any:
    if isinstance(value, uuid.UUID):
        return value.hex
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(" ") if isinstance(value, datetime) else value


def vacuum() -> None:
    """What autovacuum would do in time: statistics for the planner, and pages that index-only scans may trust."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")
