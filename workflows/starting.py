"""How a run begins to be: inserted, queued, and its workers rung."""

import uuid
from contextlib import nullcontext
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from workflows import bell, dispatch, limits, transitions
from workflows.definitions import Definition, Problem
from workflows.definitions.inputs import accepted_input
from workflows.errors import InputInvalid
from workflows.models import Run, Workflow, WorkflowVersion, new_run_id
from workflows.models.fields import dumps


def start(
    workflow: Workflow,
    input: dict[str, Any],
    *,
    trigger: str,
    actor: str,
    version: WorkflowVersion | None = None,
    priority: int = 0,
    run_at: datetime | None = None,
    rerun_of: Run | None = None,
    parent: Run | None = None,
    parent_path: str = "",
    wake: bool = True,
    reserved: bool = False,
    id: uuid.UUID | None = None,
    profile: bool = False,
) -> Run:
    """Insert a queued run of ``version``, or of the current one. Raises `InputInvalid`, `ConcurrencyLimitReached`.

    What ``input`` leaves out has its default, as the workflow's ``parameters`` give it, and is stored with the run.
    With ``wake`` the workers are rung on commit, if it is due already. A ``reserved`` run is never due: it waits for
    the one loop that claims it by its id. ``id``: what it is called where that is settled already. A run with a
    ``parent``, whose step at ``parent_path`` waits for it, has no more time than its parent has left, and is
    profiled if that is. With ``profile`` each call of a plain function leaves a flame graph as an artifact.
    """
    version = version or workflow.current
    assert version is not None
    input = accepted_input(version.parsed, input)
    _require_room(version.parsed, input)
    now = timezone.now()
    rings = wake and not reserved and (run_at is None or run_at <= now)
    with transaction.atomic() if limits.rejects(version.parsed) else nullcontext():
        limits.require_room(workflow, version.parsed)
        run = Run(
            id=id or new_run_id(),
            workflow=workflow,
            version=version,
            trigger=trigger,
            actor=actor,
            priority=priority,
            input=input,
            created_at=now,
            due_at=None if reserved else run_at or now,
            total_steps=version.parsed.total_steps,
            planned_steps=version.parsed.total_steps,
            rerun_of=rerun_of,
            parent=parent,
            parent_path=parent_path,
            depth=parent.depth + 1 if parent else 0,
            deadline_at=parent.deadline_at if parent else None,
            profile=parent.profile if parent else profile,
        )
        transitions.create(run, bell.notice() if rings else ())
        if rings:
            transaction.on_commit(dispatch.begin_loops)
    return run


def _require_room(definition: Definition, input: dict[str, Any]) -> None:
    """An input that the context has no room for is refused before the run begins."""
    size = len(dumps({**definition.global_context, **input}))
    if size > settings.CONTEXT_MAX_BYTES:
        message = f"with it the context has {size:,} bytes, past its limit of {settings.CONTEXT_MAX_BYTES:,}"
        raise InputInvalid(f"input_context is too large: {message}", [Problem("input_context", message, "too_large")])
