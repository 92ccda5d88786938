"""The SQLite file's size: pages that deleted rows leave free are given back to the file system, a few at a time."""

import time
from typing import Any

from django.db import connection, connections

SECONDS = 0.5
STEP = 100  # pages given back in one statement, for which the file is locked: some 0.1 s
KEPT = 10  # of so many pages one may stay free, for what comes next
INCREMENTAL = 2


def prepare_new_file(using: str, **_: Any) -> None:
    """Before the first migration: have a new file keep the maps that giving back pages needs.

    Not in ``init_command``: this pragma takes the write lock and writes, each time that a connection is opened. And it
    has no effect on a file in WAL mode, even an empty one, until a VACUUM.
    """
    database = connections[using]
    if database.vendor == "sqlite" and not database.in_atomic_block and not database.introspection.table_names():
        with database.cursor() as cursor:
            cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")
            cursor.execute("VACUUM")


def give_back(seconds: float = SECONDS) -> int:
    """Give back free pages beyond a tenth of the file, for so long at most. Returns how many; 0 on other stores."""
    if connection.vendor != "sqlite" or pragma("auto_vacuum") != INCREMENTAL:
        return 0
    until, before = time.monotonic() + seconds, pragma("page_count")
    while time.monotonic() < until and (spare := _spare_pages()) > 0:
        with connection.cursor() as cursor:
            cursor.execute(f"PRAGMA incremental_vacuum({min(spare, STEP)})")
            cursor.fetchall()  # one page is given back for each row asked for
    return before - pragma("page_count")


def compact() -> tuple[int, int]:
    """Write the whole SQLite file anew, without free pages; from then on it gives them back. Bytes before and after.

    Takes as much room again as the file has, and nobody writes meanwhile.
    """
    before = size()
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")
        cursor.execute("VACUUM")
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return before, size()


def size() -> int:
    """Bytes of the SQLite file, its journal not counted."""
    return pragma("page_count") * pragma("page_size")


def pragma(name: str) -> int:
    """A number that SQLite tells of the file, such as ``page_count``."""
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA {name}")
        return int(cursor.fetchone()[0])


def _spare_pages() -> int:
    return pragma("freelist_count") - pragma("page_count") // KEPT
