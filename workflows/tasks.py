"""What django-q2 workers do. Tasks carry no state: what is to be done stands in the rows."""

import asyncio
import logging
import signal
from datetime import timedelta

from django.conf import settings
from django.db import InterfaceError, OperationalError, connections

from workflows import (
    cached_results,
    compaction,
    faults,
    requests,
    retention,
    seals,
    shares,
    start_keys,
    template_batches,
    workers,
)
from workflows.engine import Engine
from workflows.models import RunRequest, StreamText, Worker
from workflows.states import RUN_ENDED

logger = logging.getLogger(__name__)

KEEP_WORKERS = timedelta(hours=1)  # for people to see who was there
KEEP_TEXT = timedelta(seconds=10)
LINGER = 10.0  # seconds that a loop waits for more, and hears at once that it is there
LOOP_SECONDS = 600  # after so long a loop claims no more, so that django-q2 can recycle its process


def run_loop() -> None:
    """Claim and carry out due runs until none is left. Returns at once if enough loops are at work."""
    if not _enough_loops():
        asyncio.run(_loop())
    faults.point("before-acknowledgement")


def instantiate_rows() -> None:
    """Make workflows of the rows of batches for a while; whoever rings next goes on."""
    try:
        template_batches.work()
    except (OperationalError, InterfaceError) as error:  # as in `_loop`
        logger.info("The database does not answer, and no row is worked on: %s", error)
    finally:
        connections.close_all()


async def _loop() -> None:
    try:
        await _work()
    except (OperationalError, InterfaceError) as error:  # the pacemaker, which has said so, rings when it is back
        logger.info("The database does not answer, and no run is claimed: %s", error)


async def _work() -> None:
    engine = Engine(Worker.Kind.WORKER, capacity=settings.RUNS_PER_WORKER)
    stopping: set[asyncio.Task[None]] = set()
    asyncio.get_running_loop().add_signal_handler(
        signal.SIGTERM, lambda: stopping.add(asyncio.create_task(engine.finish(settings.GRACE_SECONDS)))
    )
    await engine.work(LOOP_SECONDS, most=settings.WORKERS, linger=LINGER)


def _enough_loops() -> bool:
    """Whether a loop need not be begun: asked first, since most bells ring while all of them are at work."""
    try:
        return workers.enough(settings.WORKERS)
    except (OperationalError, InterfaceError):
        connections.close_all()
        return False  # it will say so


def sweep() -> None:
    """Put away what is left over or has expired, seal ended runs, delete old ones."""
    requests.settle()
    requests.settle_families()
    shares.forget_lost()
    RunRequest.objects.filter(run__status__in=RUN_ENDED).delete()
    # Not at once: whoever follows a run reads its last text after its end.
    StreamText.objects.filter(run__ended_at__lt=workers.database_now() - KEEP_TEXT).delete()
    Worker.objects.filter(expires_at__lt=workers.database_now() - KEEP_WORKERS, runs__isnull=True).delete()
    start_keys.forget_old()
    cached_results.forget_expired()
    seals.seal_if_due()
    retention.delete_old()
    compaction.give_back()
