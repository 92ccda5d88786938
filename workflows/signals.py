"""Django signals of what happens to runs, for code of one's own; `run_id` is in all of them, `sender` is `Run`.

They are sent in the process that wrote the change, after its commit and in the thread that wrote it: at most once, and
never if that process ends just then. Whoever must not miss anything reads the audit trail. What a receiver raises is
logged. A slow one holds up the writing of all runs of its loop, and the renewal of their lease.
"""

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from django.dispatch import Signal

from workflows.models import Run
from workflows.outcomes import ErrorRecord

if TYPE_CHECKING:
    from workflows.changes import Change

step_completed = Signal()
"""`path`, `result`: the step's result as it is stored."""

step_failed = Signal()
"""`path`, `error`: an `ErrorRecord` with `code` and `message`; of a step that failed, timed out or was cancelled."""

workflow_completed = Signal()
"""`status`, `success`, `partial`, `error` (None, or an `ErrorRecord`): of every run that has ended, however it did."""

Moment = tuple[Signal, dict[str, Any]]


def are_heard() -> bool:
    """Whether anybody listens: nothing is read where nobody does."""
    return bool(step_completed.receivers or step_failed.receivers or workflow_completed.receivers)


def send(changes: "Sequence[Change]") -> None:
    """Tell the receivers what these changes, which are written, mean."""
    for change in changes:
        for signal, told in moments(change):
            signal.send_robust(sender=Run, **told)


def moments(change: "Change") -> Iterator[Moment]:
    """The signals that a change means, in order, each with its arguments."""
    for event in change.events:
        about = {"run_id": change.run_id}
        if event.type == "step_complete":
            yield _step_ended(change, about | {"path": event.path}, json.loads(event.data))
        elif event.type == "workflow_complete":
            data = json.loads(event.data)
            facts = {name: data[name] for name in ("status", "success", "partial")}
            yield workflow_completed, about | facts | {"error": _error(data) if "code" in data else None}


def _step_ended(change: "Change", about: dict[str, Any], data: dict[str, Any]) -> Moment:
    if not data["success"]:
        return step_failed, about | {"error": _error(data)}
    columns = change.new_steps.get(about["path"]) or change.steps[about["path"]]
    return step_completed, about | {"result": json.loads(columns["result"])}


def _error(data: dict[str, Any]) -> ErrorRecord:
    return ErrorRecord(data["code"], data["error"])
