"""What others ask of runs that a worker holds: rows that the holder reads with its renewal.

Whoever lets a run go carries out what is left: nobody else would.
"""

import uuid
from collections.abc import Callable

from django.db import transaction
from django.db.models import Q

from workflows import transitions, workers
from workflows.errors import IllegalTransition
from workflows.held import HeldRun, load, write
from workflows.models import Run, RunRequest
from workflows.workers import Identity

Verb = RunRequest.Verb

ARROWS: dict[str, Callable[[HeldRun, str, int | None], None]] = {
    Verb.CANCEL: transitions.cancel,
    Verb.PAUSE: transitions.pause,
    Verb.RESUME: transitions.resume,
}


def put(run: Run, verb: str, actor: str) -> bool:
    """Carry out a verb on a locked run that nobody holds, else ask its holder to. Whether it is done already."""
    if _is_held(run):
        RunRequest.objects.create(run=run, verb=verb, actor=actor)
        return False
    _carry_out(run, verb, actor, None)
    return True


def of_holder(who: Identity) -> list[RunRequest]:
    """What is asked of the runs that this worker holds, oldest first."""
    return list(RunRequest.objects.filter(run__worker_id=who.id).order_by("pk"))


def settle(run_id: uuid.UUID | None = None) -> None:
    """Carry out what was asked of runs that nobody holds by now (of one run, or of all)."""
    nobody = Q(run__worker__isnull=True) | Q(run__worker__expires_at__lte=workers.database_now())
    waiting = RunRequest.objects.filter(nobody).order_by("pk")
    for request in waiting if run_id is None else waiting.filter(run_id=run_id):
        with transaction.atomic():
            _settle(request)


def _settle(request: RunRequest) -> None:
    run = Run.objects.select_for_update(of=("self",)).select_related("worker").get(pk=request.run_id)
    if _is_held(run):
        return  # claimed meanwhile: its new holder will read it
    try:
        _carry_out(run, request.verb, request.actor, request.pk)
    except IllegalTransition:  # it has ended, or is as it was asked to be
        request.delete()


def _is_held(run: Run) -> bool:
    """Whether somebody holds it under a live lease; one whose lease has expired is nobody."""
    return run.worker is not None and run.worker.expires_at > workers.database_now()


def _carry_out(run: Run, verb: str, actor: str, request: int | None) -> None:
    held = load(run, actor)
    ARROWS[verb](held, actor, request)
    write(held)
