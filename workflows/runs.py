"""The verbs of runs: what the API, the admin, the command line and triggers may do."""

import uuid
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from workflows import dispatch, engine_thread, transitions
from workflows.definitions import Definition, Problem
from workflows.definitions.inputs import check_input
from workflows.errors import InputInvalid, RunNotFound
from workflows.models import Run, RunRequest, Workflow, WorkflowVersion
from workflows.models.fields import dumps


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
    version: WorkflowVersion | None = None,
    priority: int = 0,
    run_at: datetime | None = None,
    wake: bool = True,
    reserved: bool = False,
) -> Run:
    """Insert a queued run of ``version``, or of the current one. Raises `InputInvalid`.

    With ``wake`` the workers are rung on commit, if it is due already. A ``reserved`` run is never due: it waits for
    the one loop that claims it by its id.
    """
    version = version or workflow.current
    assert version is not None
    check_input(version.parsed, input)
    _require_room(version.parsed, input)
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
            due_at=None if reserved else run_at or now,
            total_steps=len(version.parsed.steps),
        )
        run.save(force_insert=True)
        transitions.record_creation(run)
        if wake and not reserved and (run_at is None or run_at <= now):
            dispatch.wake()
    return run


def execute(
    workflow: Workflow,
    input: dict[str, Any],
    *,
    actor: str,
    trigger: str = "api",
    version: WorkflowVersion | None = None,
) -> Run:
    """Start a run and offer it to this process's own engine, which needs no worker. Returns at once.

    Raises `InputInvalid`. If this process ends, a worker goes on with the run.
    """
    run = start(workflow, input, trigger=trigger, actor=actor, version=version, wake=False)
    engine_thread.offer(run.pk)
    return run


def cancel(run_id: uuid.UUID, *, actor: str) -> bool:
    """Ask for the end of a run. False if it has ended already.

    A run that a worker holds gets a request, which its holder carries out within a second or so.
    """
    with transaction.atomic():
        run = Run.objects.select_for_update().filter(pk=run_id).first()
        if run is None:
            raise RunNotFound(f"there is no run {str(run_id)!r}")
        if run.has_ended:
            return False
        if run.worker_id is not None:
            RunRequest.objects.create(run=run, verb=RunRequest.Verb.CANCEL, actor=actor)
        else:
            held = transitions.load(run, actor)
            transitions.cancel(held, actor)
            transitions.write(held)
        return True


def _require_room(definition: Definition, input: dict[str, Any]) -> None:
    """An input that the context has no room for is refused before the run begins."""
    size = len(dumps({**definition.global_context, **input}))
    if size > settings.CONTEXT_MAX_BYTES:
        message = f"with it the context has {size:,} bytes, past its limit of {settings.CONTEXT_MAX_BYTES:,}"
        raise InputInvalid(f"input_context is too large: {message}", [Problem("input_context", message, "too_large")])
