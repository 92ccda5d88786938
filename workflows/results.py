"""A run as clients see it: the status and result bodies of the API, and the context at any step."""

from datetime import datetime
from typing import Any

from django.utils import timezone

from workflows.definitions.models import CONTAINERS
from workflows.models import Run, StepResult
from workflows.recall import recalled
from workflows.scope import RESERVED
from workflows.states import STEP_ENDED, StepStatus


def status_body(run: Run, now: datetime | None = None) -> dict[str, Any]:
    """The body of ``…/status``: times in milliseconds, ``progress`` from 0 to 1."""
    body = {
        "status": run.status,
        "workflow_id": run.workflow.workflow_id,
        "workflow_name": run.definition.name,
        "execution_id": str(run.pk),
        "total_steps": run.total_steps,
        "executed_steps": run.executed_steps,
        "successful_steps": run.successful_steps,
        "failed_steps": run.failed_steps,
        "execution_time_ms": round(run.execution_ms(now or timezone.now()), 3),
        "current_step": run.current_step,
        "progress": round(run.progress, 4),
    }
    return body | ({"error": run.error_message} if run.error_message else {})


def result_body(run: Run) -> dict[str, Any]:
    """The result of a run: ``data`` of execute and result, and ``result`` of the stream's last event."""
    rows = list(run.steps.filter(superseded=False))
    ended = sorted((row for row in rows if row.status in STEP_ENDED), key=lambda row: row.ended_seq or 0)
    executed = [row for row in ended if row.status != StepStatus.SKIPPED and row.kind not in CONTAINERS]
    return {
        "workflow_id": run.workflow.workflow_id,
        "workflow_name": run.definition.name,
        "execution_id": str(run.pk),
        "status": run.status,
        "success": bool(run.success),
        "partial": run.partial,
        "error_message": run.error_message,
        "total_execution_time_ms": round(run.execution_ms(timezone.now()), 3),
        "total_steps": run.total_steps,
        "successful_steps": run.successful_steps,
        "failed_steps": run.failed_steps,
        "skipped_steps": run.skipped_steps,
        "retried_steps": run.retried_steps,
        "executed_steps": [row.path for row in executed],
        "step_results": {row.path: _step_body(row) for row in rows if row.status in STEP_ENDED},
        "step_execution_times": {row.path: row.duration_ms for row in executed},
        "step_errors": {row.path: row.error_message for row in ended if row.error_code},
        "usage": {
            "input_tokens": run.input_tokens,
            "output_tokens": run.output_tokens,
            "total_tokens": run.input_tokens + run.output_tokens,
            "cost": run.cost,
        },
    }


def context_at(run: Run, path: str | None = None) -> dict[str, Any]:
    """The context as the step at ``path`` saw it, or as it is now: global context, input, then what each step added."""
    scope = recalled(run, path)
    return {key: value for key, value in scope.context.items() if key not in RESERVED}


def _step_body(row: StepResult) -> dict[str, Any]:
    return {
        "success": row.status == StepStatus.COMPLETED,
        "status": row.status,
        "error_message": row.error_message,
        "execution_time_ms": row.duration_ms,
        "attempts": row.attempt,
        "result_data": row.result if row.result is not None else {},
    } | ({"reason": row.reason} if row.reason else {})
