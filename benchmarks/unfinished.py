"""Runs that go on, or should: in line, paused, waiting for people, between attempts, held by a worker that is gone."""

import json
import random
from collections.abc import Callable, Sequence
from datetime import timedelta

from django.utils import timezone

from benchmarks.fifty import Plan
from benchmarks.stories import PERSONS, TOPICS, TROUBLES
from workflows import publishing, runs, transitions
from workflows.definitions import Definition
from workflows.held import HeldRun, write
from workflows.models import Run, Worker, Workflow
from workflows.outcomes import ErrorRecord, RetryAt
from workflows.statements import Encoded

QUESTION = {"prompt": "Publish the text?", "options": ["approve", "reject"], "assignees": []}
RELEASE = {
    "workflow_id": "press_release",
    "workflow_name": "Press release",
    "steps": [{"step_id": "approve", "step_name": "Approve", "approval": QUESTION}],
}


def make(plans: Sequence[Plan]) -> None:
    """Some of each, by the verbs and transitions that make them in the product."""
    workflows = list(Workflow.objects.filter(pk__in=[plan.workflow for plan in plans]).select_related("current"))
    release = publishing.save(Definition.model_validate(RELEASE), actor="seed")
    _some(300, workflows, lambda run: None)
    _some(12, workflows, lambda run: runs.pause(run.pk, actor="grace"))
    _some(40, [release], lambda run: _asking(_held(run)))
    _some(9, workflows, lambda run: _between_attempts(_held(run)))
    _some(6, workflows, lambda run: _under_way(_held(run)))


def _some(number: int, workflows: Sequence[Workflow], leave: Callable[[Run], object]) -> None:
    dice = random.Random(number)  # noqa: S311
    for _ in range(number):
        topic = {"topic": dice.choice(TOPICS)}
        leave(runs.start(dice.choice(workflows), topic, trigger="api", actor=dice.choice(PERSONS), wake=False))


def _held(run: Run) -> HeldRun:
    now = timezone.now()
    worker, _ = Worker.objects.get_or_create(
        host="host-2", pid=4004, defaults={"kind": "worker", "started_at": now, "expires_at": now}
    )
    held = HeldRun.of(run, str(worker))
    transitions.claim(held, worker.pk, now, 600)
    return held


def _asking(held: HeldRun) -> None:
    columns = {"step_id": "approve", "kind": "approval", "name": "Approve", "parameters": _json(QUESTION)}
    transitions.wait_step(held, "approve", columns, None, **QUESTION)
    transitions.park(held, None, "approval", counts=False)
    write(held)


def _between_attempts(held: HeldRun) -> None:
    _begin(held)
    transitions.retry_step(held, "collect", RetryAt(300, ErrorRecord(*TROUBLES[1])))
    transitions.park(held, timezone.now() + timedelta(minutes=5), "retry")
    write(held)


def _under_way(held: HeldRun) -> None:
    _begin(held)
    write(held)


def _begin(held: HeldRun) -> None:
    columns = {"step_id": "collect", "name": "Collect the material", "agent": "research_assistant", "function": "echo"}
    transitions.start_step(held, "collect", columns | {"parameters": _json({"message": "…"})})


def _json(value: object) -> Encoded:
    return Encoded(json.dumps(value, separators=(",", ":")))
