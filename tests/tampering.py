"""Changing the audit trail as somebody could who owns the database: without the triggers that guard it."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from workflows import append_only


@contextmanager
def unguarded() -> Iterator[None]:
    """The triggers are taken away within the block."""
    place = f" ON {append_only.TABLE}" if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        for name in append_only.triggers(connection):
            cursor.execute(f"DROP TRIGGER {name}{place}")
    try:
        yield
    finally:
        append_only.install()
