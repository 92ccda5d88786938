"""django-q2's brokers, made to wait for a store that is away, and to hear soon without asking all the time.

A message is a doorbell: it is gone once it is taken, and what is lost is rung again by a pacemaker.
"""

import logging
import time
from typing import Any

from django.db import DatabaseError, connection
from django_q.brokers.orm import ORM
from django_q.brokers.redis_broker import Redis
from django_q.models import OrmQ
from redis import RedisError

from workflows.outages import Outage

logger = logging.getLogger(__name__)

ASK_EVERY = 0.2  # seconds between queries, on stores where nothing cheaper tells that something was written
LOOK_EVERY = 0.025  # seconds between looks at SQLite's counter of writes
LOOKS = 40  # after which a query is made in any case
AWAY = 0.5  # seconds between tries while the store is away

Messages = list[tuple[None, Any]]  # the first would acknowledge a message: there is nothing to acknowledge


_outage = Outage(logger, "The broker does not answer, and is asked until it does", "The broker answers again.")


class DatabaseBroker(ORM):  # type: ignore[misc]  # django-q2 has no types
    """On SQLite it asks when another connection has written (``PRAGMA data_version``), elsewhere every 200 ms."""

    def dequeue(self) -> Messages:
        try:
            before = _writes()
            messages = self._take()
            if not messages:
                _wait(before)
        except DatabaseError as error:
            connection.close()
            return _bear(error)
        _outage.is_over()
        return messages

    def _take(self) -> Messages:
        waiting = OrmQ.objects.filter(key=self.list_key).order_by("pk").values_list("pk", "payload")[:1]
        return [(None, payload) for pk, payload in waiting if OrmQ.objects.filter(pk=pk).delete()[0]]


class RedisBroker(Redis):  # type: ignore[misc]
    """Redis hands a message over as soon as it is there."""

    def dequeue(self) -> Messages:
        try:
            messages = super().dequeue() or []
        except RedisError as error:
            return _bear(error)
        _outage.is_over()
        return messages

    def set_stat(self, key: str, value: str, timeout: int) -> None:
        """Nobody reads django-q2's statistics, and each would fail while Redis is away."""


def _bear(error: Exception) -> Messages:
    """Where django-q2's pusher would end, and sleep for 10 s."""
    _outage.goes_on(error)
    time.sleep(AWAY)
    return []


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
