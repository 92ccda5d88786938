"""The arrows of a run."""

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from structlog.contextvars import get_contextvars

from workflows import changes
from workflows.definitions.models import CONTAINERS
from workflows.errors import IllegalTransition
from workflows.held import HeldRun
from workflows.models import Run, StepResult
from workflows.outcomes import ErrorRecord
from workflows.statements import Statement
from workflows.states import AWAITED, RUN_TRANSITIONS, STEP_FAILED, RunStatus, StepStatus
from workflows.transitions.recording import event
from workflows.transitions.steps import end_steps, interrupt_steps

REOPENED: dict[str, Any] = {
    "status": StepStatus.RUNNING,
    "result": None,
    "error_code": "",
    "error_message": "",
    "ended_at": None,
    "ended_seq": None,
}
"""Columns of a block that goes on after its run had ended."""


def create(run: Run, also: Sequence[Statement] = ()) -> None:
    """Insert a run with its first event, and carry out ``also`` with that."""
    held = HeldRun.of(run, run.actor)
    origin = {"rerun_of": str(run.rerun_of_id)} if run.rerun_of_id else {}
    if run.parent_id:
        origin |= {"parent": str(run.parent_id), "parent_path": run.parent_path}
    if request_id := get_contextvars().get("request_id"):
        origin["request_id"] = request_id
    if run.due_at is not None and run.due_at > run.created_at:
        origin |= {"run_at": run.due_at.isoformat()}
    event(held, "run_created", trigger=run.trigger, version=run.version.number, priority=run.priority, **origin)
    run.event_seq, run.event_head = held.seq, held.head
    changes.create(run, held.open().events[0], also)


def claim(run: HeldRun, worker_id: uuid.UUID, now: datetime, max_seconds: float) -> None:
    """queued → running, held by the worker under a new epoch; the deadline counts from the first claim."""
    if run.status == RunStatus.WAITING:  # its wait is over
        _move(run, RunStatus.QUEUED)
        _count_on(run, now)
    _move(run, RunStatus.RUNNING)
    _hold(run, worker_id)
    if run.started_at is None:
        own = now + timedelta(seconds=max_seconds)
        run.started_at, run.deadline_at = now, min(own, run.deadline_at or own)  # a child's is its parent's, too
        run.open().run |= {"started_at": run.started_at, "deadline_at": run.deadline_at}
    event(run, "run_started", epoch=run.epoch)


def take_over(run: HeldRun, worker_id: uuid.UUID, lost: str, blamed: bool = True) -> None:
    """running → running under a new holder, after the worker ``lost`` let its lease expire.

    ``blamed``: this run may be what its worker died of, and this counts towards giving it up.
    """
    _require(run, RunStatus.RUNNING)
    _hold(run, worker_id)
    if blamed:
        run.recoveries += 1
        run.open().run["recoveries"] = run.recoveries
    event(run, "run_taken_over", epoch=run.epoch, lost=lost, recoveries=run.recoveries)


def release(run: HeldRun, reason: str) -> None:
    """running → queued: the holder stops in good order, and another worker may go on at once."""
    _require(run, RunStatus.RUNNING)
    interrupt_steps(run, reason)
    _move(run, RunStatus.QUEUED)
    _let_go(run, timezone.now())
    event(run, "run_released", reason=reason)


def pause(run: HeldRun, actor: str, request: int | None = None) -> None:
    """queued | waiting | running → paused, by ``actor``: nothing is held, and no time counts, until it is resumed."""
    interrupt_steps(run, "paused")  # of a holder that was lost; one that lives pauses between attempts
    _move(run, RunStatus.PAUSED)
    _let_go(run, None)
    _stop_counting(run)
    _act(run, actor, request)
    event(run, "run_paused")


def resume(run: HeldRun, actor: str, request: int | None = None) -> None:
    """paused → queued, by ``actor``; the deadline moves by the time that the run was paused."""
    now = timezone.now()
    _move(run, RunStatus.QUEUED)
    _let_go(run, now)
    _count_on(run, now)
    _act(run, actor, request)
    event(run, "run_resumed")


def retry(
    run: HeldRun,
    actor: str,
    discarded: Sequence[str],
    reopened: Sequence[str],
    kept: Collection[StepResult],
    start_at: str,
) -> None:
    """failed | cancelled | timed_out → queued, by ``actor``: goes on at ``start_at``, with a new deadline.

    The results of ``discarded`` paths stay, marked superseded; blocks that are ``reopened`` go on with what they
    decided; those ``kept`` count on. Times of the run are those of its newest attempt.
    """
    _move(run, RunStatus.QUEUED)
    _let_go(run, timezone.now())
    run.attempt, run.recoveries = run.attempt + 1, 0
    run.started_at = run.deadline_at = run.paused_at = None
    run.counts |= _counted(kept)
    change = run.open()
    change.superseded += discarded
    for path in reopened:
        change.set_step(path, REOPENED)
    change.run |= run.counts | {
        "attempt": run.attempt,
        "started_at": None,
        "deadline_at": None,
        "paused_at": None,
        "recoveries": 0,
        "ended_at": None,
        "success": None,
        "partial": False,
        "error_code": "",
        "error_message": "",
        "sealed": False,
    }
    _act(run, actor, None)
    again: dict[str, Any] = {"reopened": list(reopened)} if reopened else {}
    event(run, "run_retried", start_at, attempt=run.attempt, discarded=list(discarded), **again)


def park(run: HeldRun, until: datetime | None, reason: str, *, counts: bool = True) -> None:
    """running → waiting: nothing is held until ``until``, or until what it waits for has come.

    ``counts``: whether the time until then counts towards the deadline.
    """
    _move(run, RunStatus.WAITING)
    ends = [moment for moment in (until, run.deadline_at if counts else None) if moment is not None]
    _let_go(run, min(ends, default=None))
    if not counts:
        _stop_counting(run)
    event(run, "run_waiting", reason=reason, **({"until": until.isoformat()} if until else {}))


def wake(run: HeldRun) -> None:
    """waiting → queued: something that it waits for has come."""
    now = timezone.now()
    _move(run, RunStatus.QUEUED)
    _let_go(run, now)
    _count_on(run, now)
    event(run, "run_woken")


def complete(run: HeldRun, keep_only: str | None) -> None:
    """running → completed. ``keep_only``: the one step whose result data is kept, None for all."""
    partial = any(step.status in STEP_FAILED for step in run.steps.values())
    _end(run, RunStatus.COMPLETED, success=True, partial=partial, keep_only=keep_only)


def fail(run: HeldRun, error: ErrorRecord) -> None:
    """→ failed: a step failed that the definition does not tolerate, or the run could not be carried on."""
    end_steps(run, StepStatus.FAILED, error)
    _end(run, RunStatus.FAILED, success=False, error=error)


def time_out(run: HeldRun, error: ErrorRecord) -> None:
    """→ timed_out: the run's deadline passed; steps under way end with it."""
    end_steps(run, StepStatus.TIMED_OUT, error)
    _end(run, RunStatus.TIMED_OUT, success=False, error=error)


def cancel(run: HeldRun, actor: str, request: int | None = None) -> None:
    """→ cancelled, by ``actor``; steps under way end with it."""
    error = ErrorRecord("Cancelled", f"cancelled by {actor}")
    _act(run, actor, request)
    end_steps(run, StepStatus.CANCELLED, error)
    _end(run, RunStatus.CANCELLED, success=False, error=error)


# --- What they share -------------------------------------------------------------------------------------------------


def _require(run: HeldRun, status: str) -> None:
    if run.status != status:
        raise IllegalTransition(f"run {run.id} is {run.status}, not {status}")


def _move(run: HeldRun, status: str) -> None:
    if status not in RUN_TRANSITIONS[run.status]:
        raise IllegalTransition(f"run {run.id} can't go from {run.status} to {status}")
    run.status = status
    run.open().run["status"] = status


def _hold(run: HeldRun, worker_id: uuid.UUID) -> None:
    change = run.open()
    run.epoch += 1  # the guard of this change is the epoch before
    change.run |= {"worker": worker_id, "epoch": run.epoch, "due_at": None}


def _let_go(run: HeldRun, due_at: datetime | None) -> None:
    run.open().run |= {"worker": None, "due_at": due_at}


def _stop_counting(run: HeldRun) -> None:
    """No time counts towards the deadline from now on."""
    run.paused_at = run.paused_at or timezone.now()
    run.open().run["paused_at"] = run.paused_at


def _count_on(run: HeldRun, now: datetime) -> None:
    """Time counts again: the deadline moves by what did not."""
    if run.paused_at is None:
        return
    if run.deadline_at is not None:
        run.deadline_at += now - run.paused_at
    run.paused_at = None
    run.open().run |= {"paused_at": None, "deadline_at": run.deadline_at}


def _act(run: HeldRun, actor: str, request: int | None) -> None:
    """What follows is done by ``actor``, and answers the request."""
    run.actor = actor
    if request is not None:
        run.open().requests.append(request)


def _counted(rows: Collection[StepResult]) -> dict[str, int]:
    """The run's counters as these results make them."""
    rows = [row for row in rows if row.kind not in CONTAINERS]
    statuses = [row.status for row in rows]
    return {
        "successful_steps": statuses.count(StepStatus.COMPLETED),
        "failed_steps": sum(status in STEP_FAILED for status in statuses),
        "skipped_steps": statuses.count(StepStatus.SKIPPED),
        "retried_steps": sum(any("retry_in" in attempt for attempt in row.attempts) for row in rows),
    }


def _end(
    run: HeldRun,
    status: RunStatus,
    *,
    success: bool,
    partial: bool = False,
    error: ErrorRecord | None = None,
    keep_only: str | None = None,
) -> None:
    _move(run, status)
    _let_go(run, None)
    change = run.open()
    change.keep_only, change.tell = keep_only, run.parent
    change.clears = any(step.kind in AWAITED for step in run.steps.values())
    change.run |= run.counts | {
        "ended_at": timezone.now(),
        "current_step": "",
        "success": success,
        "partial": partial,
        "error_code": error.code if error else "",
        "error_message": error.message if error else "",
    }
    outcome = {"error": error.message, "code": error.code} if error else {}
    event(run, "workflow_complete", status=status.value, success=success, partial=partial, **outcome)
