"""The arrows of a step, and what the end of a run or of its holder means for the steps under way."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.utils import timezone

from agents.artifacts import Artifact
from workflows.definitions.models import CONTAINERS
from workflows.errors import IllegalTransition
from workflows.held import HeldRun, HeldStep
from workflows.outcomes import ErrorRecord, Failed, Footprint, RetryAt, Skipped, Succeeded, Usage
from workflows.statements import Encoded
from workflows.states import STEP_ENDED, STEP_FAILED, STEP_TRANSITIONS, StepStatus
from workflows.transitions.recording import count, event

TIMEOUTS = frozenset({"StepTimeout", "ApprovalTimeout", "EventTimeout", "RunDeadlineExceeded"})
"""Codes of errors with which a step has timed out; with all others it has failed."""


def begin_block(run: HeldRun, path: str, columns: dict[str, Any]) -> None:
    """pending → running, without an attempt: its steps follow.

    ``columns`` are the step result's descriptive columns; ``parameters`` among them is what the block decided.
    """
    step, now = run.step(path), timezone.now()
    _move_step(step, StepStatus.RUNNING)
    step.started_at = now
    _store_step(run, step, columns | {"status": step.status, "started_at": now, "discards": step.discards})
    decided = columns["parameters"] if step.kind in ("if", "switch") else {}
    event(run, "step_start", path, step_name=columns["name"], agent_name="", kind=step.kind, **decided)


def wait_step(run: HeldRun, path: str, columns: dict[str, Any], due_at: datetime | None, **told: Any) -> None:
    """pending → waiting: for a time, a person, an event or a child run, until ``due_at`` at the latest.

    ``columns`` are as in `begin_block`; ``told`` is what the event adds.
    """
    step, now = run.step(path), timezone.now()
    _move_step(step, StepStatus.WAITING)
    step.started_at = now
    columns = columns | {"status": step.status, "started_at": now, "due_at": due_at, "discards": step.discards}
    _store_step(run, step, columns)
    run.open().run["current_step"] = path
    until = {"until": due_at.isoformat()} if due_at else {}
    event(run, "step_waiting", path, step_name=columns["name"], kind=step.kind, **until, **told)


def finish_step(run: HeldRun, path: str, outcome: Succeeded) -> None:
    """running | waiting → completed, of a block: its steps have ended, or what it waited for has come."""
    step = run.step(path)
    _move_step(step, StepStatus.COMPLETED)
    _use(run, step, outcome.footprint.usage)
    _succeed(run, step, {}, outcome)


def take_input(run: HeldRun, path: str, type: str, request: int, by: str, **told: Any) -> None:
    """What the step at ``path`` waited for has come, from ``by``; the request that brought it is answered."""
    run.open().requests.append(request)
    event(run, type, path, by=by, **told)


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
    event(run, "step_waiting", path, step_name=columns["name"], agent_name=columns["agent"], limit=limit)


def start_step(run: HeldRun, path: str, columns: dict[str, Any], waited: float = 0.0) -> None:
    """pending | retrying | waiting | running (after a lost worker) → running: one attempt begins.

    ``columns`` are the step result's descriptive columns, parameters included; ``waited`` is the time in line for the
    agent, in seconds.
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
    line: dict[str, Any] = {"waited_ms": round(waited * 1000, 3)} if waited else {}
    event(run, "step_start", path, step_name=columns["name"], agent_name=columns["agent"], attempt=step.attempt, **line)


def retry_step(run: HeldRun, path: str, outcome: RetryAt) -> None:
    """running → retrying: the attempt failed, and another is due after ``outcome.delay`` seconds."""
    step = run.step(path)
    _move_step(step, StepStatus.RETRYING)
    if step.failed_attempts == 0:
        run.counts["retried_steps"] += 1
    _end_attempt(run, step, outcome.footprint, error=outcome.error, retry_in=outcome.delay)
    columns = {"status": step.status, "attempts": step.attempts, "logs": step.logs}
    _store_step(run, step, columns | _error_columns(outcome.error))
    count(run)
    event(
        run,
        "step_retry",
        path,
        attempt=step.attempt,
        error=outcome.error.message,
        code=outcome.error.code,
        retry_in_ms=round(outcome.delay * 1000, 3),
        **_told_artifacts(outcome.footprint),
    )


def complete_step(run: HeldRun, path: str, outcome: Succeeded) -> None:
    """running → completed. What its function gave is kept with it, if the step has a ``cache``."""
    step = run.step(path)
    _move_step(step, StepStatus.COMPLETED)
    _end_attempt(run, step, outcome.footprint)
    if outcome.reusable is not None:
        run.open().reusable[path] = outcome.reusable
    _succeed(run, step, {}, outcome)


def reuse_step(run: HeldRun, path: str, outcome: Succeeded, columns: dict[str, Any]) -> None:
    """pending | retrying | waiting | running (after a lost worker) → completed, by an earlier result: no attempt.

    ``columns`` are as in `start_step`.
    """
    step = run.step(path)
    _interrupt_lost(step)
    _move_step(step, StepStatus.COMPLETED)
    step.started_at = step.started_at or timezone.now()
    _succeed(run, step, columns | {"started_at": step.started_at, "discards": step.discards}, outcome)


def fail_step(run: HeldRun, path: str, outcome: Failed, columns: dict[str, Any] | None = None) -> None:
    """pending | waiting | running | retrying → failed, or timed_out if the last attempt hit its own timeout."""
    step = run.step(path)
    began = step.is_under_way
    timed_out = outcome.error.code in TIMEOUTS
    _move_step(step, StepStatus.TIMED_OUT if timed_out else StepStatus.FAILED)
    if began:
        _end_attempt(run, step, outcome.footprint, error=outcome.error)
    else:
        _use(run, step, outcome.footprint.usage)
    _tally(run, step, "failed_steps")
    columns = (columns or {}) | _error_columns(outcome.error)
    _end_step(
        run, step, columns, outcome.footprint, success=False, error=outcome.error.message, code=outcome.error.code
    )


def skip_or_fail(run: HeldRun, path: str, outcome: Skipped | Failed, columns: dict[str, Any]) -> None:
    """The end of a step that is not to be executed, or can't be."""
    if isinstance(outcome, Skipped):
        skip_step(run, path, outcome, columns)
    else:
        fail_step(run, path, outcome, columns)


def skip_step(run: HeldRun, path: str, outcome: Skipped, columns: dict[str, Any]) -> None:
    """pending → skipped, with the reason."""
    step = run.step(path)
    _move_step(step, StepStatus.SKIPPED)
    _tally(run, step, "skipped_steps")
    columns |= {"status": step.status, "reason": outcome.reason, "ended_at": timezone.now()}
    if outcome.detail:
        columns["error_message"] = outcome.detail
    _store_step(run, step, columns)
    count(run)
    event(run, "step_skipped", path, reason=outcome.reason, **({"detail": outcome.detail} if outcome.detail else {}))
    run.open().set_step(path, {"ended_seq": run.seq})


def interrupt_steps(run: HeldRun, reason: str) -> None:
    """End the attempts under way, without an end of their steps."""
    for step in run.steps.values():
        if step.is_under_way:
            _interrupt(step, reason)
            run.open().set_step(step.path, {"attempts": step.attempts})


def end_steps(run: HeldRun, status: StepStatus, error: ErrorRecord, below: str = "") -> None:
    """End every step that is under way, between attempts or waiting: all, or those inside the block ``below``."""
    inside = (f"{below}.", f"{below}[") if below else ""
    for step in run.steps.values():
        if step.status not in STEP_ENDED and step.stored and step.path.startswith(inside):
            began = step.is_under_way
            _move_step(step, status)
            if began:
                _end_attempt(run, step, Footprint(), error=error)
            if status in STEP_FAILED:
                _tally(run, step, "failed_steps")
            _end_step(
                run, step, _error_columns(error), Footprint(), success=False, error=error.message, code=error.code
            )


# --- What they share -------------------------------------------------------------------------------------------------


def _move_step(step: HeldStep, status: str) -> None:
    if status not in STEP_TRANSITIONS[step.status]:
        raise IllegalTransition(f"step {step.path} can't go from {step.status} to {status}")
    step.status = status


def _succeed(run: HeldRun, step: HeldStep, columns: dict[str, Any], outcome: Succeeded) -> None:
    _tally(run, step, "successful_steps")
    if run.recoveries:  # it gets on: only recoveries without progress count towards giving up
        run.recoveries = 0
        run.open().run["recoveries"] = 0
    columns |= {"result": Encoded(outcome.encoded), "reason": outcome.source, "error_code": "", "error_message": ""}
    source = {"source": outcome.source} if outcome.source else {}
    _end_step(run, step, columns, outcome.footprint, success=True, **source, **outcome.told)


def _tally(run: HeldRun, step: HeldStep, counter: str) -> None:
    """Blocks of other steps are none themselves."""
    if step.kind not in CONTAINERS:
        run.counts[counter] += 1


def _use(run: HeldRun, step: HeldStep, usage: Usage) -> None:
    step.usage += usage
    run.counts["input_tokens"] += usage.input_tokens
    run.counts["output_tokens"] += usage.output_tokens
    run.counts["cost"] += usage.cost


def _store_step(run: HeldRun, step: HeldStep, columns: dict[str, Any]) -> None:
    change = run.open()
    if step.stored:
        change.set_step(step.path, columns)
    else:
        change.new_steps[step.path] = dict(columns)
        step.stored = True


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
    step.logs = step.logs + footprint.logs
    _use(run, step, footprint.usage)
    if footprint.artifacts:
        _keep_artifacts(run, step, footprint.artifacts, now)


def _keep_artifacts(run: HeldRun, step: HeldStep, artifacts: Sequence[Artifact], now: datetime) -> None:
    change, (count, size) = run.open(), run.artifacts
    change.artifacts += [
        {
            "run": run.id,
            "path": step.path,
            "attempt": step.attempt,
            "name": artifact.name,
            **artifact.told,
            "is_picture": artifact.is_picture,
            "superseded": False,
            "created_at": now,
            "content": artifact.content,
        }
        for artifact in artifacts
    ]
    run.artifacts = count + len(artifacts), size + sum(len(artifact.content) for artifact in artifacts)
    change.run |= {"artifact_count": run.artifacts[0], "artifact_bytes": run.artifacts[1]}


def _told_artifacts(footprint: Footprint) -> dict[str, Any]:
    """What the event of an attempt's end says of its artifacts: the audit trail knows what each was."""
    told = [{"name": artifact.name, **artifact.told} for artifact in footprint.artifacts]
    return {"artifacts": told} if told else {}


def _end_step(run: HeldRun, step: HeldStep, columns: dict[str, Any], footprint: Footprint, **told: Any) -> None:
    count(run)
    if step.kind != "function" and step.started_at is not None:
        step.duration_ms = (timezone.now() - step.started_at).total_seconds() * 1000
    told |= _told_artifacts(footprint)
    event(run, "step_complete", step.path, execution_time_ms=round(step.duration_ms, 3), **told)
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
