"""Ringing the workers. A message carries no state: what is to be done stands in the rows."""

import logging
from functools import partial

from django.db import transaction

from workflows.outages import Outage

RUNS = "workflows.tasks.run_loop"
TEMPLATE_ROWS = "workflows.tasks.instantiate_rows"

logger = logging.getLogger(__name__)
_outage = Outage(logger, "The broker can't be rung; pacemakers will ring until it can", "The broker can be rung again.")


def wake(task: str = RUNS) -> None:
    """Ring after the current transaction commits, so that whoever hears it sees the row."""
    transaction.on_commit(partial(ring, task))


def ring(task: str = RUNS) -> None:
    """Ask a django-q2 worker to look for what is due. A bell that can't be rung is only late: pacemakers ring again."""
    from django_q.tasks import async_task

    try:
        async_task(task)
    except Exception as error:  # each broker has its own
        _outage.goes_on(error)
    else:
        _outage.is_over()
