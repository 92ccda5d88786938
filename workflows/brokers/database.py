"""django-q2's broker in the database."""

import time

from django.db import DatabaseError, connection
from django.utils import timezone
from django_q.brokers.orm import ORM
from django_q.models import OrmQ

from workflows import bell
from workflows.brokers import Messages, bear, outage

ASK_EVERY = 0.2  # seconds between queries, on stores where nothing cheaper tells that something was written
LOOK_EVERY = 0.025  # seconds between looks at SQLite's counter of writes
LOOKS = 40  # after which a query is made in any case


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
            return bear(error)
        outage.is_over()
        return messages

    def enqueue(self, task: str) -> None:
        """A message that waits already is as good as another."""
        if not OrmQ.objects.filter(key=self.list_key, payload=task).exists():
            OrmQ.objects.create(key=self.list_key, payload=task, lock=timezone.now())

    def _take(self) -> Messages:
        mine = OrmQ.objects.filter(key=self.list_key)
        waiting = mine.order_by("pk").values_list("payload", flat=True)[:1]
        return [(None, payload) for payload in waiting if mine.filter(payload=payload).delete()[0]]


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
    return bell.writes(connection.connection)
