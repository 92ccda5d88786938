"""Ringing the workers. A message carries no state: what is to be done stands in the rows."""

import logging

from django.db import transaction

logger = logging.getLogger(__name__)
_silent = False  # the broker was away when it was last rung


def wake() -> None:
    """Ring after the current transaction commits, so that whoever hears it sees the row."""
    transaction.on_commit(ring)


def ring() -> None:
    """Ask a django-q2 worker to look for due runs. A bell that can't be rung is only late: pacemakers ring again."""
    from django_q.tasks import async_task

    global _silent
    try:
        async_task("workflows.tasks.run_loop")
    except Exception as error:
        if not _silent:
            logger.error("The broker can't be rung; pacemakers will ring until it can: %s", error)
        _silent = True
    else:
        if _silent:
            logger.info("The broker can be rung again.")
        _silent = False
