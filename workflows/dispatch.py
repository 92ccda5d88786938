"""Ringing the workers. A message carries no state: what is to be done stands in the rows."""

import logging

from django.db import transaction

logger = logging.getLogger(__name__)


def wake() -> None:
    """Ring after the current transaction commits, so that whoever hears it sees the row."""
    transaction.on_commit(ring)


def ring() -> None:
    """Ask a django-q2 worker to look for due runs. A bell that can't be rung is only late: pacemakers ring again."""
    from django_q.tasks import async_task

    try:
        async_task("workflows.tasks.run_loop")
    except Exception as error:
        logger.warning("The broker can't be reached; the next pacemaker tick will ring again: %s", error)
