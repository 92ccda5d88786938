"""How a loop that has nothing to do hears at once that a run may be due.

On PostgreSQL who makes a run due says so (``NOTIFY``), on SQLite its counter of writes is looked at. What is not heard
is only late: each loop looks for due runs now and then in any case.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from django.db import DEFAULT_DB_ALIAS, Error, connection, connections

from workflows.statements import Statement

logger = logging.getLogger(__name__)

CHANNEL = "kolosal_due"
TICK = 0.005  # seconds between looks at SQLite's counter


def notice() -> list[Statement]:
    """What is to be carried out where a run becomes due; heard once it is committed."""
    return [(f"SELECT pg_notify('{CHANNEL}', '')", [])] if connection.vendor == "postgresql" else []


def writes(database: Any) -> int:
    """SQLite's counter of what other connections have committed."""
    # Past Django's cursor, which would cost ten times as much at every look.
    counter: int = database.execute("PRAGMA data_version").fetchone()[0]
    return counter


class Bell:
    """Belongs to one event loop, which it calls at ``ring``. It has a connection of its own while it is listened to."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._database: Any = None  # the driver's connection
        self._descriptor = -1  # of its socket; a connection that is lost does not tell it any more
        self._ticks: asyncio.Task[None] | None = None

    async def listen(self) -> None:
        """Begin to, unless it does already."""
        if self._database is not None:
            return
        try:
            self._database = await asyncio.to_thread(_connected)
        except Error as error:
            logger.info("No bell can be heard, so due runs are found a little later: %s", error)
            return
        if connection.vendor == "postgresql":
            self._descriptor = self._database.fileno()
            asyncio.get_running_loop().add_reader(self._descriptor, self._heard)
        else:
            self._ticks = asyncio.create_task(self._watch())

    async def close(self) -> None:
        """Listen no more."""
        if self._ticks is not None:
            self._ticks.cancel()
            await asyncio.gather(self._ticks, return_exceptions=True)
            self._ticks = None
        self._let_go()

    def _let_go(self) -> None:
        if self._database is not None:
            if self._descriptor >= 0:  # SQLite's has none
                asyncio.get_running_loop().remove_reader(self._descriptor)
            self._database.close()
            self._database = None

    def _heard(self) -> None:
        messages = self._database.pgconn
        try:
            messages.consume_input()
            while messages.notifies() is not None:
                pass
        except Exception as error:  # the server is gone; the loop's other connection makes more of it
            logger.info("No bell is heard any more, so due runs are found a little later: %s", error)
            self._let_go()
        self._ring()

    async def _watch(self) -> None:
        seen = writes(self._database)
        while True:
            await asyncio.sleep(TICK)
            if (now := writes(self._database)) != seen:
                seen = now
                self._ring()


def _connected() -> Any:
    database = connections.create_connection(DEFAULT_DB_ALIAS)
    database.ensure_connection()
    if database.vendor == "postgresql":
        with database.wrap_database_errors:
            database.connection.execute(f"LISTEN {CHANNEL}")
    return database.connection
