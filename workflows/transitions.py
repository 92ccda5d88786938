"""Every transition of a run and its steps: one function for each arrow of the state diagram.

A transition is refused (`IllegalTransition`) if the tables in :mod:`workflows.states` don't have it. It adds to the
held run's open `Change`; :func:`workflows.changes.write` writes that in one transaction, guarded by the lease's epoch.
Nothing else in the project assigns a status.
"""

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from workflows.audit import make_event
from workflows.changes import Encoded
from workflows.errors import IllegalTransition
from workflows.held import HeldRun, HeldStep, write
from workflows.models import Run, StepResult
from workflows.outcomes import ErrorRecord, Failed, Footprint, RetryAt, Skipped, Succeeded
from workflows.states import (
    RUN_TRANSITIONS,
    STEP_ENDED,
    STEP_FAILED,
    STEP_TRANSITIONS,
    RunStatus,
    StepStatus,
)

# --- Arrows of a run -------------------------------------------------------------------------------------------------


def record_creation(run: Run) -> None:
    """Write the first event of a run that was just inserted."""
    held = HeldRun.of(run, run.actor)
    origin = {"rerun_of": str(run.rerun_of_id)} if run.rerun_of_id else {}
    _event(held, "run_created", trigger=run.trigger, version=run.version.number, priority=run.priority, **origin)
    write(held)
    run.event_seq, run.event_head = held.seq, held.head


def claim(run: HeldRun, worker_id: uuid.UUID, now: datetime, max_seconds: float) -> None:
    """queued → running, held by the worker under a new epoch; the deadline counts from the first claim."""
    if run.status == RunStatus.WAITING:  # its wait is over
        _move(run, RunStatus.QUEUED)
    _move(run, RunStatus.RUNNING)
    _hold(run, worker_id)
    if run.started_at is None:
        run.started_at, run.deadline_at = now, now + timedelta(seconds=max_seconds)
        run.open().run |= {"started_at": run.started_at, "deadline_at": run.deadline_at}
    _event(run, "run_started", epoch=run.epoch)


def take_over(run: HeldRun, worker_id: uuid.UUID, lost: str, blamed: bool = True) -> None:
    """running → running under a new holder, after the worker ``lost`` let its lease expire.

    ``blamed``: this run may be what its worker died of, and this counts towards giving it up.
    """
    _require(run, RunStatus.RUNNING)
    _hold(run, worker_id)
    if blamed:
        run.recoveries += 1
        run.open().run["recoveries"] = run.recoveries
    _event(run, "run_taken_over", epoch=run.epoch, lost=lost, recoveries=run.recoveries)


def release(run: HeldRun, reason: str) -> None:
    """running → queued: the holder stops in good order, and another worker may go on at once."""
    _require(run, RunStatus.RUNNING)
    _interrupt_steps(run, reason)
    _move(run, RunStatus.QUEUED)
    _let_go(run, timezone.now())
    _event(run, "run_released", reason=reason)


def pause(run: HeldRun, actor: str, request: int | None = None) -> None:
    """queued | waiting | running → paused, by ``actor``: nothing is held, and no time counts, until it is resumed."""
    _interrupt_steps(run, "paused")  # of a holder that was lost; one that lives pauses between attempts
    _move(run, RunStatus.PAUSED)
    _let_go(run, None)
    run.paused_at = timezone.now()
    run.open().run["paused_at"] = run.paused_at
    _act(run, actor, request)
    _event(run, "run_paused")


def resume(run: HeldRun, actor: str, request: int | None = None) -> None:
    """paused → queued, by ``actor``; the deadline moves by the time that the run was paused."""
    now = timezone.now()
    _move(run, RunStatus.QUEUED)
    _let_go(run, now)
    if run.deadline_at is not None and run.paused_at is not None:
        run.deadline_at += now - run.paused_at
    run.open().run |= {"paused_at": None, "deadline_at": run.deadline_at}
    run.paused_at = None
    _act(run, actor, request)
    _event(run, "run_resumed")


def retry(run: HeldRun, actor: str, discarded: Sequence[str], kept: Collection[StepResult], start_at: str) -> None:
    """failed | cancelled | timed_out → queued, by ``actor``: goes on at ``start_at``, with a new deadline.

    The results of ``discarded`` paths stay, marked superseded; those ``kept`` count on. Times of the run are those
    of its newest attempt.
    """
    _move(run, RunStatus.QUEUED)
    _let_go(run, timezone.now())
    run.attempt, run.started_at, run.deadline_at, run.recoveries = run.attempt + 1, None, None, 0
    run.counts |= _counted(kept)
    change = run.open()
    change.superseded += discarded
    change.run |= run.counts | {
        "attempt": run.attempt,
        "started_at": None,
        "deadline_at": None,
        "recoveries": 0,
        "ended_at": None,
        "success": None,
        "partial": False,
        "error_code": "",
        "error_message": "",
        "sealed": False,
    }
    _act(run, actor, None)
    _event(run, "run_retried", start_at, attempt=run.attempt, discarded=list(discarded))


def park(run: HeldRun, until: datetime, reason: str) -> None:
    """running → waiting: nothing is held until ``until``."""
    _move(run, RunStatus.WAITING)
    _let_go(run, min(until, run.deadline_at) if run.deadline_at else until)
    _event(run, "run_waiting", until=until.isoformat(), reason=reason)


def complete(run: HeldRun, keep_only: str | None) -> None:
    """running → completed. ``keep_only``: the one step whose result data is kept, None for all."""
    partial = run.counts["failed_steps"] > 0
    _end(run, RunStatus.COMPLETED, success=True, partial=partial, keep_only=keep_only)


def fail(run: HeldRun, error: ErrorRecord) -> None:
    """→ failed: a step failed that the definition does not tolerate, or the run could not be carried on."""
    _end_steps(run, StepStatus.FAILED, error)
    _end(run, RunStatus.FAILED, success=False, error=error)


def time_out(run: HeldRun, error: ErrorRecord) -> None:
    """→ timed_out: the run's deadline passed; steps under way end with it."""
    _end_steps(run, StepStatus.TIMED_OUT, error)
    _end(run, RunStatus.TIMED_OUT, success=False, error=error)


def cancel(run: HeldRun, actor: str, request: int | None = None) -> None:
    """→ cancelled, by ``actor``; steps under way end with it."""
    error = ErrorRecord("Cancelled", f"cancelled by {actor}")
    _act(run, actor, request)
    _end_steps(run, StepStatus.CANCELLED, error)
    _end(run, RunStatus.CANCELLED, success=False, error=error)


# --- Arrows of a step ------------------------------------------------------------------------------------------------


def queue_step(run: HeldRun, path: str, columns: dict[str, Any], limit: int) -> None:
    """pending | retrying | running (after a lost worker) → waiting: in line for its agent, all of whose jobs are taken.

    ``limit`` is the agent's; ``columns`` are as in `start_step`.
    """
    step = run.step(path)
    if step.status == StepStatus.WAITING:  # a lost worker left it in line
        return
    _interrupt_lost(step)
    _move_step(step, StepStatus.WAITING)
    columns = columns | {"status": step.status, "attempts": step.attempts, "discards": step.discards}
    _store_step(run, step, columns)
    run.open().run["current_step"] = path
    _event(run, "step_waiting", path, step_name=columns["name"], agent_name=columns["agent"], limit=limit)


def start_step(run: HeldRun, path: str, columns: dict[str, Any], waited: float = 0.0) -> None:
    """pending | retrying | waiting | running (after a lost worker) → running: one attempt begins.

    ``waited`` is the time in line for the agent, in seconds.

    ``columns`` are the step result's descriptive columns, parameters included.
    """
    step, now = run.step(path), timezone.now()
    _interrupt_lost(step)
    _move_step(step, StepStatus.RUNNING)
    step.waited_ms += waited * 1000
    step.attempt = len(step.attempts) + 1
    step.started_at = step.started_at or now
    step.attempt_started_at = now
    columns = columns | {
        "status": step.status,
        "attempt": step.attempt,
        "attempts": step.attempts,
        "started_at": step.started_at,
        "discards": step.discards,
        "waited_ms": round(step.waited_ms, 3),
    }
    _store_step(run, step, columns)
    run.open().run["current_step"] = path
    line = {"waited_ms": round(waited * 1000, 3)} if waited else {}
    _event(
        run, "step_start", path, step_name=columns["name"], agent_name=columns["agent"], attempt=step.attempt, **line
    )


def retry_step(run: HeldRun, path: str, outcome: RetryAt) -> None:
    """running → retrying: the attempt failed, and another is due after ``outcome.delay`` seconds."""
    step = run.step(path)
    _move_step(step, StepStatus.RETRYING)
    if step.failed_attempts == 0:
        run.counts["retried_steps"] += 1
    _end_attempt(run, step, outcome.footprint, error=outcome.error, retry_in=outcome.delay)
    columns = {"status": step.status, "attempts": step.attempts, "logs": step.logs}
    _store_step(run, step, columns | _error_columns(outcome.error))
    _count(run)
    _event(
        run,
        "step_retry",
        path,
        attempt=step.attempt,
        error=outcome.error.message,
        code=outcome.error.code,
        retry_in_ms=round(outcome.delay * 1000, 3),
    )


def complete_step(run: HeldRun, path: str, outcome: Succeeded) -> None:
    """running → completed."""
    step = run.step(path)
    _move_step(step, StepStatus.COMPLETED)
    _end_attempt(run, step, outcome.footprint)
    run.counts["successful_steps"] += 1
    if run.recoveries:  # it gets on: only recoveries without progress count towards giving up
        run.recoveries = 0
        run.open().run["recoveries"] = 0
    columns = {"result": Encoded(outcome.encoded), "reason": outcome.source, "error_code": "", "error_message": ""}
    _end_step(
        run, step, columns, outcome.footprint, success=True, **({"source": outcome.source} if outcome.source else {})
    )


def fail_step(run: HeldRun, path: str, outcome: Failed, columns: dict[str, Any] | None = None) -> None:
    """pending | waiting | running | retrying → failed, or timed_out if the last attempt hit its own timeout."""
    step = run.step(path)
    began = step.status == StepStatus.RUNNING
    timed_out = outcome.error.code in {"StepTimeout", "RunDeadlineExceeded"}
    _move_step(step, StepStatus.TIMED_OUT if timed_out else StepStatus.FAILED)
    if began:
        _end_attempt(run, step, outcome.footprint, error=outcome.error)
    run.counts["failed_steps"] += 1
    columns = (columns or {}) | _error_columns(outcome.error)
    _end_step(
        run, step, columns, outcome.footprint, success=False, error=outcome.error.message, code=outcome.error.code
    )


def skip_step(run: HeldRun, path: str, outcome: Skipped, columns: dict[str, Any]) -> None:
    """pending → skipped, with the reason."""
    step = run.step(path)
    _move_step(step, StepStatus.SKIPPED)
    run.counts["skipped_steps"] += 1
    columns |= {"status": step.status, "reason": outcome.reason, "ended_at": timezone.now()}
    if outcome.detail:
        columns["error_message"] = outcome.detail
    _store_step(run, step, columns)
    _count(run)
    _event(run, "step_skipped", path, reason=outcome.reason, **({"detail": outcome.detail} if outcome.detail else {}))
    run.open().set_step(path, {"ended_seq": run.seq})


# --- What the arrows share -------------------------------------------------------------------------------------------


def _require(run: HeldRun, status: str) -> None:
    if run.status != status:
        raise IllegalTransition(f"run {run.id} is {run.status}, not {status}")


def _move(run: HeldRun, status: str) -> None:
    if status not in RUN_TRANSITIONS[run.status]:
        raise IllegalTransition(f"run {run.id} can't go from {run.status} to {status}")
    run.status = status
    run.open().run["status"] = status


def _move_step(step: HeldStep, status: str) -> None:
    if status not in STEP_TRANSITIONS[step.status]:
        raise IllegalTransition(f"step {step.path} can't go from {step.status} to {status}")
    step.status = status


def _hold(run: HeldRun, worker_id: uuid.UUID) -> None:
    change = run.open()
    run.epoch += 1  # the guard of this change is the epoch before
    change.run |= {"worker": worker_id, "epoch": run.epoch, "due_at": None}


def _let_go(run: HeldRun, due_at: datetime | None) -> None:
    run.open().run |= {"worker": None, "due_at": due_at}


def _act(run: HeldRun, actor: str, request: int | None) -> None:
    """What follows is done by ``actor``, and answers the request."""
    run.actor = actor
    if request is not None:
        run.open().requests.append(request)


def _event(run: HeldRun, type: str, path: str = "", **data: Any) -> None:
    change = run.open()
    event = make_event(run.head, run.id, run.seq + 1, type, timezone.now(), run.actor, path, data)
    change.events.append(event)
    run.seq, run.head = event.seq, event.hash


def _count(run: HeldRun) -> None:
    run.open().run |= run.counts


def _store_step(run: HeldRun, step: HeldStep, columns: dict[str, Any]) -> None:
    change = run.open()
    if step.stored:
        change.set_step(step.path, columns)
    else:
        change.new_steps[step.path] = dict(columns)
        step.stored = True


def _counted(rows: Collection[StepResult]) -> dict[str, int]:
    """The run's counters as these results make them."""
    statuses = [row.status for row in rows]
    return {
        "successful_steps": statuses.count(StepStatus.COMPLETED),
        "failed_steps": sum(status in STEP_FAILED for status in statuses),
        "skipped_steps": statuses.count(StepStatus.SKIPPED),
        "retried_steps": sum(any("retry_in" in attempt for attempt in row.attempts) for row in rows),
    }


def _interrupt_steps(run: HeldRun, reason: str) -> None:
    """End the attempts under way, without an end of their steps."""
    for step in run.steps.values():
        if step.is_under_way:
            _interrupt(step, reason)
            run.open().set_step(step.path, {"attempts": step.attempts})


def _interrupt_lost(step: HeldStep) -> None:
    if step.is_under_way:
        _interrupt(step, "worker lost")


def _interrupt(step: HeldStep, reason: str) -> None:
    started = step.attempt_started_at or step.started_at
    step.attempts.append({
        "number": step.attempt,
        "started_at": started.isoformat() if started else None,
        "ended_at": timezone.now().isoformat(),
        "interrupted": reason,
    })  # fmt: skip


def _end_attempt(
    run: HeldRun,
    step: HeldStep,
    footprint: Footprint,
    error: ErrorRecord | None = None,
    retry_in: float | None = None,
) -> None:
    now = timezone.now()
    started = step.attempt_started_at or step.started_at or now
    step.duration_ms += (now - started).total_seconds() * 1000
    attempt: dict[str, Any] = {
        "number": step.attempt,
        "started_at": started.isoformat(),
        "ended_at": now.isoformat(),
    }
    if error is not None:
        attempt |= {"error_code": error.code, "error": error.message, "trace": error.trace}
    if retry_in is not None:
        attempt["retry_in"] = round(retry_in, 3)
    step.attempts.append(attempt)
    step.usage += footprint.usage
    step.logs = step.logs + footprint.logs
    run.counts["input_tokens"] += footprint.usage.input_tokens
    run.counts["output_tokens"] += footprint.usage.output_tokens
    run.counts["cost"] += footprint.usage.cost


def _end_step(run: HeldRun, step: HeldStep, columns: dict[str, Any], footprint: Footprint, **event: Any) -> None:
    _count(run)
    _event(run, "step_complete", step.path, execution_time_ms=round(step.duration_ms, 3), **event)
    columns |= {
        "status": step.status,
        "attempts": step.attempts,
        "ended_at": timezone.now(),
        "ended_seq": run.seq,
        "duration_ms": round(step.duration_ms, 3),
        "logs": step.logs,
        "input_tokens": step.usage.input_tokens,
        "output_tokens": step.usage.output_tokens,
        "cost": step.usage.cost,
        "cpu_seconds": footprint.cpu_seconds,
        "peak_memory_bytes": footprint.peak_memory_bytes,
    }
    _store_step(run, step, columns)


def _error_columns(error: ErrorRecord) -> dict[str, Any]:
    return {"error_code": error.code, "error_message": error.message}


def _end_steps(run: HeldRun, status: StepStatus, error: ErrorRecord) -> None:
    """End every step that is under way, between attempts or waiting."""
    for step in run.steps.values():
        if step.status not in STEP_ENDED and step.stored:
            began = step.is_under_way
            _move_step(step, status)
            if began:
                _end_attempt(run, step, Footprint(), error=error)
            if status in STEP_FAILED:
                run.counts["failed_steps"] += 1
            _end_step(
                run, step, _error_columns(error), Footprint(), success=False, error=error.message, code=error.code
            )


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
    change.keep_only = keep_only
    change.run |= run.counts | {
        "ended_at": timezone.now(),
        "current_step": "",
        "success": success,
        "partial": partial,
        "error_code": error.code if error else "",
        "error_message": error.message if error else "",
    }
    outcome = {"error": error.message, "code": error.code} if error else {}
    _event(run, "workflow_complete", status=status.value, success=success, partial=partial, **outcome)
