"""django-q2's broker in the database."""

import time

from django.db import DatabaseError, connection
from django.utils import timezone
from django_q.brokers.orm import ORM
from django_q.models import OrmQ

from workflows import bell
from workflows.brokers import Messages, bear, outage

ASK_EVERY = 0.2  # seconds between queries, on stores where nothing cheaper tells that something was written
LOOK_EVERY = 0.04  # seconds between looks at SQLite's counter of writes
LOOKS = 25  # after which django-q2's pusher may see whether it is to end


class DatabaseBroker(ORM):  # type: ignore[misc]  # django-q2 has no types
    """On SQLite it asks when another connection has written (``PRAGMA data_version``), elsewhere every 200 ms."""

    _nothing_at: int | None = None  # the counter of writes when no message waited

    def dequeue(self) -> Messages:
        try:
            before = _writes()
            messages = self._take() if before is None or before != self._nothing_at else []
            if not messages:
                self._nothing_at = before
                _wait(before)
        except DatabaseError as error:
            connection.close()
            self._nothing_at = None
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
    database = connection.connection
    for _ in range(LOOKS):
        time.sleep(LOOK_EVERY)
        if bell.writes(database) != before:
            return


def _writes() -> int | None:
    """SQLite's counter of what other connections have committed; None on other stores."""
    if connection.vendor != "sqlite":
        return None
    connection.ensure_connection()
    return bell.writes(connection.connection)
