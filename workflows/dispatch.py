"""Ringing the workers. A message carries no state: what is to be done stands in the rows."""

import logging
import time
from functools import cache, partial
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from workflows import bell
from workflows.models import Worker
from workflows.outages import Outage
from workflows.questions import NOW, Selection
from workflows.statements import execute

RUNS = "workflows.tasks.run_loop"
TEMPLATE_ROWS = "workflows.tasks.instantiate_rows"

GOOD_FOR = 1.0  # seconds that loops are taken to be at work still: who has just heard of a run lingers for longer

logger = logging.getLogger(__name__)
_asked_again_at = 0.0  # by this process's own clock
_outage = Outage(logger, "The broker can't be rung; pacemakers will ring until it can", "The broker can be rung again.")


def wake(task: str = RUNS) -> None:
    """Ring after the current transaction commits, so that whoever hears it sees the row."""
    if task == RUNS:
        with connection.wrap_database_errors:
            for statement in bell.notice():
                execute(*statement)
    transaction.on_commit(partial(ring, task))


def begin_loops() -> None:
    """Ring, unless all loops that clusters may have are at work: those hear of a due run by themselves.

    What a message sets in motion takes as much processor time as a step or two.
    """
    global _asked_again_at
    if time.monotonic() < _asked_again_at:
        return
    if _loops_are_missing():
        ring()
    else:
        _asked_again_at = time.monotonic() + GOOD_FOR


def ring(task: str = RUNS) -> None:
    """Ask a django-q2 worker to look for what is due. A bell that can't be rung is only late: pacemakers ring again."""
    try:
        _broker().enqueue(_package(task))
    except Exception as error:  # each broker has its own
        _outage.goes_on(error)
    else:
        _outage.is_over()


def _loops_are_missing() -> bool:
    """As far as can be told: a cluster without a pacemaker is not known, nor one with other settings than here."""
    try:
        live = _LIVE.rows({NOW: timezone.now()})
    except DatabaseError:
        return True
    clusters = sum(worker.kind == Worker.Kind.PACEMAKER for worker in live)
    loops = sum(worker.kind == Worker.Kind.WORKER and worker.claiming for worker in live)
    return not clusters or loops < clusters * settings.WORKERS


_LIVE = Selection(lambda: Worker.objects.live(NOW).order_by(), own_clock=True)


@cache
def _broker() -> Any:
    from django_q.brokers import get_broker

    return get_broker()


@cache
def _package(task: str) -> str:
    """The message, as django-q2 makes it: always the same, so that those which wait for nothing new are one."""
    from django_q.brokers import Broker
    from django_q.tasks import async_task

    class Kept(Broker):  # type: ignore[misc]  # django-q2 has no types
        message = ""

        def enqueue(self, task: str) -> None:
            Kept.message = task

    async_task(task, broker=Kept(list_key=""))
    return Kept.message
