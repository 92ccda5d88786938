"""django-q2's broker in the database, which hears of a message within milliseconds without asking for messages all the time."""

import time
from typing import Any

from django.db import connection
from django_q.brokers.orm import ORM

ASK_EVERY = 0.2  # seconds between queries where nothing tells that something was written
LOOK_EVERY = 0.01  # seconds between looks at SQLite's counter of writes, each of some microseconds


class DatabaseBroker(ORM):  # type: ignore[misc]  # django-q2 has no types
    """On SQLite it asks when another connection has written (``PRAGMA data_version``), elsewhere every 200 ms."""

    def dequeue(self) -> Any:
        before = _data_version()
        messages = super().dequeue()  # with `poll: 0` it returns at once where there are none
        if not messages:
            _wait_for_writes(before)
        return messages


def _wait_for_writes(before: int | None) -> None:
    until = time.monotonic() + ASK_EVERY
    if before is None:
        time.sleep(ASK_EVERY)
        return
    # Messages that were locked by a dead cluster come back without a write: so at the latest after ASK_EVERY.
    while time.monotonic() < until and _data_version() == before:
        time.sleep(LOOK_EVERY)


def _data_version() -> int | None:
    if connection.vendor != "sqlite":
        return None
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA data_version")
        version: int = cursor.fetchone()[0]
        return version
