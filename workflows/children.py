"""Runs that a step of another run waits for: made once, and what they have come to."""

import uuid
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction

from workflows import starting
from workflows.errors import ChildFailed, LeaseLost
from workflows.models import Run, RunRequest, Workflow
from workflows.outcomes import ErrorRecord, Usage
from workflows.recall import recalled
from workflows.states import RunStatus


@dataclass(frozen=True, slots=True)
class Ended:
    """What a child run has come to. ``output`` is what its steps added to its context; ``requests`` told of its end."""

    output: dict[str, Any]
    error: ErrorRecord | None
    usage: Usage
    requests: list[int]


def ensure(parent_id: uuid.UUID, epoch: int, path: str, decision: dict[str, Any]) -> Ended | None:
    """Start the child run that ``decision`` describes, unless it is there. Returns how it ended, if it has.

    ``epoch`` is that of whoever holds the parent; only the holder starts children. Raises `LeaseLost`,
    `WorkflowNotFound`, `VersionNotFound`, `InputInvalid`, `ConcurrencyLimitReached`, `ChildFailed`.
    """
    child_id = uuid.UUID(decision["run_id"])
    with transaction.atomic():
        parent = Run.objects.select_for_update(of=("self",), no_key=True).get(pk=parent_id)
        if parent.epoch != epoch:
            raise LeaseLost(f"run {parent_id} is held by another worker")
        if not Run.objects.filter(pk=child_id).exists():
            _start(child_id, parent, path, decision)
    return outcome(child_id)


def outcome(child_id: uuid.UUID) -> Ended | None:
    """How the child ended; None while it goes on."""
    child = Run.objects.select_related("workflow", "version").get(pk=child_id)
    if not child.has_ended:
        return None
    told = RunRequest.objects.filter(run=child.parent_id, verb=RunRequest.Verb.CHILD)
    return Ended(
        output=recalled(child).added if child.status == RunStatus.COMPLETED else {},
        error=None if child.status == RunStatus.COMPLETED else _error(child),
        usage=Usage(child.input_tokens, child.output_tokens, child.cost),
        requests=[request.pk for request in told if request.arguments["run_id"] == str(child_id)],
    )


def _start(child_id: uuid.UUID, parent: Run, path: str, decision: dict[str, Any]) -> None:
    if parent.depth + 1 > settings.MAX_CHILD_DEPTH:
        limit = f"{settings.MAX_CHILD_DEPTH} levels of runs (KOLOSAL_MAX_CHILD_DEPTH)"
        raise ChildFailed(f"run {parent.pk} stands {limit} deep already, and may start no child")
    workflow = Workflow.objects.named(decision["workflow"])
    version = workflow.version(decision["version"]) if "version" in decision else None
    starting.start(
        workflow,
        decision["input"],
        trigger="workflow",
        actor=f"run {parent.pk}",
        version=version,
        priority=parent.priority,
        id=child_id,
        parent=parent,
        parent_path=path,
    )


def _error(child: Run) -> ErrorRecord:
    about = f": {child.error_message}" if child.error_message else ""
    return ErrorRecord(
        "ChildFailed", f"run {child.pk} of workflow {child.workflow.workflow_id} is {child.status}{about}"
    )
