"""The verbs of runs: what the API, the admin, the command line and triggers may do."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from django.db import transaction
from django.utils import timezone

from workflows import dispatch, engine_thread, requests, retrying, transitions
from workflows.definitions.models import Definition, FunctionStep, WaitFor, walk
from workflows.errors import (
    AnswerRefused,
    ApprovalNotFound,
    EventNotFound,
    NotAsked,
    RunNotFound,
    RunStateConflict,
)
from workflows.held import load, write
from workflows.models import Run, RunRequest, StepResult, StreamText, Workflow, WorkflowVersion
from workflows.models.workflow import known_version
from workflows.nearest import did_you_mean
from workflows.questions import KEY, Selection
from workflows.starting import start as start
from workflows.states import RETRYABLE, RunStatus, StepStatus

Verb = RunRequest.Verb

EVENTS_KEPT = 100  # of one run
LONGEST_COMMENT = 10_000  # characters of what goes with an answer


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


def newest(workflow: Workflow) -> Run | None:
    """The workflow's newest run, with its workflow and version."""
    for run in _NEWEST.rows({KEY: workflow.pk}):
        run.workflow, run.version = workflow, known_version(run.version_id)
        return cast(Run, run)
    return None


_NEWEST = Selection(lambda: Run.objects.filter(workflow=KEY).order_by("-id")[:1])


def execute(
    workflow: Workflow,
    input: dict[str, Any],
    *,
    actor: str,
    trigger: str = "api",
    version: WorkflowVersion | None = None,
    id: uuid.UUID | None = None,
    profile: bool = False,
) -> Run:
    """Start a run and offer it on commit to this process's own engine, which needs no worker. Returns at once.

    Raises `InputInvalid`. If this process ends, a worker goes on with the run.
    """
    run = start(workflow, input, trigger=trigger, actor=actor, version=version, wake=False, id=id, profile=profile)
    transaction.on_commit(lambda: engine_thread.offer(run.pk))
    return run


def cancel(run_id: uuid.UUID, *, actor: str) -> bool:
    """End a run, whatever it is at. False if it has ended already.

    A run that a worker holds gets a request, which its holder carries out within a second or so.
    """
    with _locked(run_id) as run:
        if run.has_ended:
            return False
        requests.put(run, Verb.CANCEL, actor)
        return True


def pause(run_id: uuid.UUID, *, actor: str) -> bool:
    """Stop a run before its next attempt, until it is resumed. False if it is paused already.

    A run that a worker holds gets a request: its holder pauses it when the attempt under way has ended. Raises
    `RunStateConflict` if it has ended.
    """
    with _locked(run_id) as run:
        if run.has_ended:
            raise RunStateConflict(f"the run has ended: it is {run.status}; only what goes on can be paused")
        if run.status == RunStatus.PAUSED or _is_to_be_paused(run):
            return False
        requests.put(run, Verb.PAUSE, actor)
        return True


def resume(run_id: uuid.UUID, *, actor: str) -> None:
    """Go on with a paused run, or with one that is about to be paused. Raises `RunStateConflict` for any other."""
    with _locked(run_id) as run:
        if run.has_ended or (run.status != RunStatus.PAUSED and not _is_to_be_paused(run)):
            other = "`retry` goes on with what failed" if run.has_ended else "it goes on by itself"
            raise RunStateConflict(f"the run is not paused: it is {run.status}; {other}")
        if requests.put(run, Verb.RESUME, actor):
            dispatch.wake()


def retry(run_id: uuid.UUID, *, actor: str, start_at: str | None = None) -> None:
    """Go on with a run that has failed, was cancelled or timed out, from its first unfinished step.

    With ``start_at``, the path of a step, from there: what it and later steps have come to is discarded. Raises
    `RunStateConflict` for a run in any other state, `StepNotFound` for a path that is not there or not reached yet.
    """
    requests.end_children(run_id)
    with _locked(run_id) as run:
        if run.status not in RETRYABLE:
            other = "`rerun` starts a new one" if run.has_ended else "cancel it first, or wait for its end"
            raise RunStateConflict(f"only a failed, cancelled or timed-out run is retried; it is {run.status}: {other}")
        plan = retrying.plan(run, start_at)
        held = load(run, actor)
        transitions.retry(held, actor, plan.discarded, plan.reopened, plan.kept, plan.start_at)
        write(held)
        requests.take_back_end(run)
        # Its attempts are numbered from 1 again: streamed text that is left would be taken for theirs.
        StreamText.objects.filter(run=run).delete()
        dispatch.wake()


def rerun(
    run_id: uuid.UUID,
    *,
    actor: str,
    input: dict[str, Any] | None = None,
    version: WorkflowVersion | None = None,
    profile: bool | None = None,
) -> Run:
    """Start a new run like this one: the same input, version and profiling, unless others are given.

    Raises `RunStateConflict` if its workflow is archived, and what `start` raises.
    """
    run = get(run_id)
    if run.workflow.archived_at is not None:
        raise RunStateConflict("the run's workflow is archived, so it is not run again")
    return start(
        run.workflow,
        run.input if input is None else input,
        trigger="rerun",
        actor=actor,
        version=version or run.version,
        priority=run.priority,
        rerun_of=run,
        profile=run.profile if profile is None else profile,
    )


def answer(
    run_id: uuid.UUID,
    path: str,
    answer: str,
    *,
    actor: str,
    comment: str = "",
    may_answer: Callable[[list[str]], bool] = lambda assignees: True,
) -> None:
    """Answer the approval that the run's step at ``path`` waits for; the run goes on with it.

    ``may_answer`` tells of the assignees whether ``actor`` is among them. Raises `RunNotFound`, `ApprovalNotFound`,
    `NotAsked`, `RunStateConflict` if the step does not wait any more, or has an answer already, and `AnswerRefused` for
    what is none of the options.
    """
    with _locked(run_id) as run:
        step = run.steps.filter(superseded=False, path=path).first()
        if step is None:
            raise ApprovalNotFound(f"the run has come to no step {path[:100]!r}{did_you_mean(path, _asking(run))}")
        if step.kind != "approval":
            raise RunStateConflict(f"step {path} asks nobody: its kind is {step.kind}")
        asked = step.parameters or {}  # nothing, where it was skipped or could not ask
        assignees = asked.get("assignees", [])
        if not may_answer(assignees):
            others = ", ".join(assignees) or "those who may steer runs"
            raise NotAsked(f"step {path} asks {others}, not {actor}")
        _require_open(run, step)
        if answer not in asked["options"]:
            raise AnswerRefused(f"{answer[:100]!r} is no answer here; there are {', '.join(asked['options'])}")
        requests.put_input(run, Verb.ANSWER, actor, {"path": path, "answer": answer, "comment": comment})


def send_event(run_id: uuid.UUID, event: str, data: Any = None, *, actor: str) -> None:
    """Give the run an event. It is kept until a step waits for it: each event ends one wait, the oldest first.

    Raises `RunNotFound`, `EventNotFound` if no step of the run can wait for it, `RunStateConflict` if the run has ended
    or holds too many events.
    """
    with _locked(run_id) as run:
        if run.has_ended:
            raise RunStateConflict(f"the run has ended: it is {run.status}, and takes no events")
        _require_event(run.definition, event)
        if run.requests.filter(verb=Verb.EVENT).count() >= EVENTS_KEPT:
            raise RunStateConflict(f"the run keeps {EVENTS_KEPT} events already that no step has taken")
        requests.put_input(run, Verb.EVENT, actor, {"event": event, "data": data})


@contextmanager
def _locked(run_id: uuid.UUID) -> Iterator[Run]:
    """The run in a transaction of its own, in which nobody else moves it. Raises `RunNotFound`."""
    with transaction.atomic():
        rows = Run.objects.select_for_update(of=("self",)).select_related("workflow", "worker")
        run = rows.filter(pk=run_id).first()
        if run is None:
            raise RunNotFound(f"there is no run {str(run_id)!r}")
        yield run


def _is_to_be_paused(run: Run) -> bool:
    asked = run.requests.filter(verb__in=[Verb.PAUSE, Verb.RESUME]).order_by("-pk").first()
    return asked is not None and asked.verb == Verb.PAUSE


def _asking(run: Run) -> list[str]:
    """Paths of steps that wait for an answer."""
    asking = run.steps.filter(superseded=False, kind="approval", status=StepStatus.WAITING)
    return list(asking.values_list("path", flat=True))


def _require_open(run: Run, step: StepResult) -> None:
    """An approval that can be answered now: it waits, nobody was faster, and it is not too late."""
    first = next(
        (other for other in run.requests.filter(verb=Verb.ANSWER) if requests.is_answer(other, step.path)), None
    )
    if first is not None:
        raise RunStateConflict(_answered(step, first.actor, first.arguments["answer"]))
    if step.status == StepStatus.COMPLETED and step.result and step.result["answered_by"]:
        raise RunStateConflict(_answered(step, step.result["answered_by"], step.result["answer"]))
    if step.status != StepStatus.WAITING or run.has_ended:
        raise RunStateConflict(f"step {step.path} does not wait for an answer any more: it is {step.status}")
    if step.due_at is not None and step.due_at <= timezone.now():
        raise RunStateConflict(f"the time to answer step {step.path} was over at {step.due_at.isoformat()}")


def _answered(step: StepResult, by: str, answer: str) -> str:
    return f"{by} answered step {step.path} with {answer!r} already; the first answer counts"


def _require_event(definition: Definition, event: str) -> None:
    """Names with expressions and steps that are generated are known only once the run comes to them."""
    steps = list(walk(definition.steps))
    names = {step.wait_for.event for step in steps if isinstance(step, WaitFor)}
    is_open = any("${" in name for name in names) or any(
        isinstance(step, FunctionStep) and step.generate for step in steps
    )
    if event not in names and not is_open:
        there_are = f"its steps wait for {', '.join(sorted(names))}" if names else "its steps wait for no event"
        raise EventNotFound(f"the run takes no event {event[:100]!r}{did_you_mean(event, names)}; {there_are}")
