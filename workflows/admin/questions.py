"""What the page of a run shows of its approvals: those that are open, and what was answered."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from workflows import approvals
from workflows.models import Run, RunRequest, StepResult
from workflows.states import StepStatus

QUESTIONS_ON_A_PAGE = 20


@dataclass(frozen=True, slots=True)
class Question:
    """An approval that is open; whether whoever looks at the page may answer it."""

    row: StepResult
    may_answer: bool


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """``by`` is empty where the time was over; ``is_taken``: the run has gone on with it."""

    answer: str
    by: str
    at: datetime | None
    comment: str
    is_taken: bool = True


def questions_of(run: Run, person: approvals.Person) -> list[Question]:
    """Open ones, the longest waiting first."""
    asked = approvals.waiting().filter(run=run)[:QUESTIONS_ON_A_PAGE]
    return [Question(step, approvals.is_asked(person, step.parameters["assignees"])) for step in asked]


def answers_of(run: Run, steps: Mapping[str, StepResult]) -> dict[str, GivenAnswer]:
    """Path → the answer that the step has taken, or that is on its way to it."""
    found = {}
    for event in run.events.filter(type="approval_answered", path__in=steps).order_by("seq"):
        said: dict[str, Any] = event.data
        at = datetime.fromisoformat(said["answered_at"])
        found[event.path] = GivenAnswer(said["answer"], event.actor, at, said["comment"])
    for path, step in steps.items():
        if step.status == StepStatus.WAITING:  # what there may be is of a result that a retry has discarded
            found.pop(path, None)
        elif path not in found and step.result and "answered_by" in step.result:
            found[path] = GivenAnswer(step.result["answer"], "", step.ended_at, "")
    for request in run.requests.filter(verb=RunRequest.Verb.ANSWER).order_by("-pk"):
        given: dict[str, Any] = request.arguments
        found[given["path"]] = GivenAnswer(
            given["answer"], request.actor, request.created_at, given["comment"], is_taken=False
        )
    return found
