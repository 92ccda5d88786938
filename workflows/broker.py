"""django-q2's broker in the database, which hears of a message soon without asking for messages all the time."""

import time
from typing import Any

from django.db import connection
from django_q.brokers.orm import ORM

ASK_EVERY = 0.2  # seconds between queries, on stores where nothing cheaper tells that something was written
LOOK_EVERY = 0.025  # seconds between looks at SQLite's counter of writes
LOOKS = 40  # after which a query is made in any case


class DatabaseBroker(ORM):  # type: ignore[misc]  # django-q2 has no types
    """On SQLite it asks when another connection has written (``PRAGMA data_version``), elsewhere every 200 ms."""

    def dequeue(self) -> Any:
        before = _writes()
        messages = super().dequeue()  # with `poll: 0` it returns at once where there are none
        if not messages:
            _wait(before)
        return messages


def _wait(before: int | None) -> None:
    if before is None:
        time.sleep(ASK_EVERY)
        return
    for _ in range(LOOKS):
        time.sleep(LOOK_EVERY)
        if _writes() != before:
            return


def _writes() -> int | None:
    """SQLite's counter of what other connections have committed; None on other stores."""
    if connection.vendor != "sqlite":
        return None
    connection.ensure_connection()
    # Past Django's cursor, which would cost ten times as much at every look.
    counter: int = connection.connection.execute("PRAGMA data_version").fetchone()[0]
    return counter
