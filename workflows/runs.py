"""The verbs of runs: what the API, the admin, the command line and triggers may do."""

import uuid
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from workflows import dispatch, engine_thread, transitions
from workflows.definitions.inputs import check_input
from workflows.errors import LeaseLost, RunNotFound
from workflows.models import Run, RunRequest, Workflow


def get(run_id: uuid.UUID | str) -> Run:
    """The run with its workflow and version. Raises `RunNotFound`, for what is no UUID too."""
    try:
        key = uuid.UUID(str(run_id))
    except ValueError:
        key = uuid.UUID(int=0)
    run = Run.objects.select_related("workflow", "version", "worker").filter(pk=key).first()
    if run is None:
        raise RunNotFound(f"there is no run {str(run_id)!r}")
    return run


def start(
    workflow: Workflow,
    input: dict[str, Any],
    *,
    trigger: str,
    actor: str,
    priority: int = 0,
    run_at: datetime | None = None,
    wake: bool = True,
) -> Run:
    """Insert a queued run of the current version. Raises `InputInvalid`.

    With ``wake`` the workers are rung on commit, if it is due already.
    """
    version = workflow.current
    assert version is not None
    check_input(version.parsed, input)
    now = timezone.now()
    with transaction.atomic():
        run = Run(
            workflow=workflow,
            version=version,
            trigger=trigger,
            actor=actor,
            priority=priority,
            input=input,
            created_at=now,
            due_at=run_at or now,
            total_steps=len(version.parsed.steps),
        )
        run.save(force_insert=True)
        transitions.record_creation(run)
        if wake and (run_at is None or run_at <= now):
            dispatch.wake()
    return run


def execute(workflow: Workflow, input: dict[str, Any], *, actor: str, trigger: str = "api") -> Run:
    """Start a run and offer it to this process's own engine, which needs no worker. Returns at once.

    Raises `InputInvalid`. If this process ends, a worker goes on with the run.
    """
    run = start(workflow, input, trigger=trigger, actor=actor, wake=False)
    engine_thread.offer(run.pk)
    return run


def settle_requests() -> int:
    """Carry out requests that no holder will read, because the run is held by nobody by now. Returns how many."""
    waiting = list(RunRequest.objects.filter(run__worker__isnull=True).select_related("run"))
    for request in waiting:
        cancel(request.run_id, actor=request.actor)
        request.delete()
    return len(waiting)


def cancel(run_id: uuid.UUID, *, actor: str) -> bool:
    """Ask for the end of a run. False if it has ended already.

    A run that a worker holds gets a request, which its holder carries out within a second or so.
    """
    while True:
        with transaction.atomic():
            run = Run.objects.select_for_update().filter(pk=run_id).first()
            if run is None:
                raise RunNotFound(f"there is no run {str(run_id)!r}")
            if run.has_ended:
                return False
            if run.worker_id is not None:
                RunRequest.objects.create(run=run, verb=RunRequest.Verb.CANCEL, actor=actor)
                return True
            held = transitions.load(run, actor)
            transitions.cancel(held, actor)
            try:
                transitions.write(held)
            except LeaseLost:  # claimed in between (SQLite has no row locks): ask the new holder
                continue
            return True
