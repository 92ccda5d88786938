"""What others ask of runs that a worker holds, and what steps wait for: rows that the holder reads with its renewal.

Whoever lets a run go carries out what is left: nobody else would. Verbs go through to child runs, and the end of a
child is told to its parent.
"""

import contextlib
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import Q

from workflows import dispatch, transitions, workers
from workflows.errors import IllegalTransition
from workflows.held import HeldRun, load, write
from workflows.models import Run, RunRequest, StepResult
from workflows.questions import WHO, Selection
from workflows.states import RUN_ENDED, RunStatus, StepStatus
from workflows.workers import Identity

Verb = RunRequest.Verb

ARROWS: dict[str, Callable[[HeldRun, str, int | None], None]] = {
    Verb.CANCEL: transitions.cancel,
    Verb.PAUSE: transitions.pause,
    Verb.RESUME: transitions.resume,
}
PASSED_ON: dict[str, str] = {RunStatus.PAUSED: Verb.PAUSE, **dict.fromkeys(RUN_ENDED, Verb.CANCEL)}
"""Status of a run → what follows for its children."""


def put(run: Run, verb: str, actor: str) -> bool:
    """Carry out a verb on a locked run that nobody holds, else ask its holder to. Whether it is done already."""
    if _is_held(run):
        RunRequest.objects.create(run=run, verb=verb, actor=actor)
        return False
    _carry_out(run, verb, actor, None)
    return True


def put_input(run: Run, verb: str, actor: str, arguments: dict[str, Any]) -> None:
    """Give a locked run what one of its steps waits for, or will; a run that waits for it goes on."""
    request = RunRequest.objects.create(run=run, verb=verb, actor=actor, arguments=arguments)
    if not _is_held(run):
        _wake(run, request)


def of_holder(who: Identity) -> list[RunRequest]:
    """What is asked of the runs that this worker holds, oldest first."""
    return _OF_HOLDER.rows({WHO: who.id})


_OF_HOLDER = Selection(lambda: RunRequest.objects.filter(run__worker_id=WHO).order_by("pk"))


@transaction.atomic
def of_run(run_id: uuid.UUID) -> list[RunRequest]:
    """What is asked of one run, oldest first, and what is being asked just now: whoever does holds the run's row."""
    Run.objects.select_for_update(of=("self",), no_key=True).filter(pk=run_id).first()
    return list(RunRequest.objects.filter(run=run_id).order_by("pk"))


def is_answer(request: RunRequest, path: str) -> bool:
    return request.verb == Verb.ANSWER and request.arguments["path"] == path


def is_child_end(request: RunRequest, child_id: str) -> bool:
    return request.verb == Verb.CHILD and request.arguments["run_id"] == child_id


def is_event(request: RunRequest, name: str) -> bool:
    return request.verb == Verb.EVENT and request.arguments["event"] == name


def settle(run_id: uuid.UUID | None = None) -> None:
    """Carry out what was asked of runs that nobody holds by now (of one run, or of all)."""
    nobody = Q(run__worker__isnull=True) | Q(run__worker__expires_at__lte=workers.database_now())
    waiting = RunRequest.objects.filter(nobody).order_by("pk")
    for request in waiting if run_id is None else waiting.filter(run_id=run_id):
        with transaction.atomic():
            _settle(request)


def pass_on(run_id: uuid.UUID) -> None:
    """What the state of a run means for its children, and its end for its parent."""
    run = Run.objects.get(pk=run_id)
    if verb := PASSED_ON.get(run.status):
        to_children(run_id, verb)
    if run.has_ended and run.parent_id is not None:
        settle(run.parent_id)


def take_back_end(run: Run) -> None:
    """What the parent was told of the end of a run that goes on after all."""
    for told in RunRequest.objects.filter(run=run.parent_id, verb=Verb.CHILD):
        if is_child_end(told, str(run.pk)):
            told.delete()


def to_children(run_id: uuid.UUID, verb: str, below: tuple[str, ...] = ("",)) -> None:
    """Ask the same of child runs that have not ended: of all steps, or of those whose path begins so."""
    for child in Run.objects.active().filter(parent=run_id):
        if child.parent_path.startswith(below):
            with transaction.atomic():
                _ask_child(child.pk, verb, run_id)


def end_children(run_id: uuid.UUID) -> None:
    """Cancel what whoever ended a run died too early to cancel: none of it belongs to a new attempt of the run."""
    if Run.objects.ended().filter(pk=run_id).exists():
        to_children(run_id, Verb.CANCEL)


def settle_families() -> None:
    """`pass_on` where whoever ended or paused the parent died before it could."""
    left = Q(parent__status__in=RUN_ENDED) | (Q(parent__status=RunStatus.PAUSED) & ~Q(status=RunStatus.PAUSED))
    for parent in Run.objects.filter(children__in=Run.objects.active().filter(left)).distinct()[:100]:
        pass_on(parent.pk)


def _ask_child(child_id: uuid.UUID, verb: str, parent_id: uuid.UUID) -> None:
    # Weaker than what the end of a child asks of its parent's row, so that neither waits for the other.
    parent = Run.objects.select_for_update(no_key=True).get(pk=parent_id)
    if verb == Verb.PAUSE and parent.status != RunStatus.PAUSED:
        return  # resumed meanwhile
    child = Run.objects.select_for_update(of=("self",)).select_related("worker").get(pk=child_id)
    newest = child.requests.filter(verb__in=ARROWS).order_by("-pk").first()
    if newest is not None and newest.verb == verb:  # its holder is asked already, and has an attempt under way
        return
    with contextlib.suppress(IllegalTransition):  # it has ended, or is as it is asked to be
        put(child, verb, f"run {parent_id}")


def _settle(request: RunRequest) -> None:
    run = Run.objects.select_for_update(of=("self",)).select_related("worker").get(pk=request.run_id)
    if _is_held(run) or not RunRequest.objects.filter(pk=request.pk).exists():
        return  # claimed meanwhile: its new holder will read it, or has done so
    if run.has_ended:
        request.delete()
    elif request.verb in ARROWS:
        try:
            _carry_out(run, request.verb, request.actor, request.pk)
        except IllegalTransition:  # it is as it was asked to be
            request.delete()
    else:
        _wake(run, request)


def _is_held(run: Run) -> bool:
    """Whether somebody holds it under a live lease; one whose lease has expired is nobody."""
    return run.worker is not None and run.worker.expires_at > workers.database_now()


def _carry_out(run: Run, verb: str, actor: str, request: int | None) -> None:
    held = load(run, actor)
    ARROWS[verb](held, actor, request)
    write(held)
    if verb == Verb.RESUME:
        transaction.on_commit(partial(to_children, run.pk, verb), robust=True)
    else:
        transaction.on_commit(partial(pass_on, run.pk), robust=True)


def _wake(run: Run, request: RunRequest) -> None:
    """Have a run claimed whose step waits for just this; others find the request when they come to their step."""
    if run.status != RunStatus.WAITING:
        return
    waiting = StepResult.objects.filter(run=run, superseded=False, status=StepStatus.WAITING)
    if any(_is_for(request, step) for step in waiting.only("path", "kind", "parameters")):
        held = load(run, request.actor)
        transitions.wake(held)
        write(held)
        dispatch.wake()


def _is_for(request: RunRequest, step: StepResult) -> bool:
    match step.kind:
        case "approval":
            return is_answer(request, step.path)
        case "workflow":
            return is_child_end(request, (step.parameters or {}).get("run_id", ""))
        case "wait_for":
            return is_event(request, (step.parameters or {}).get("event", ""))
    return False
