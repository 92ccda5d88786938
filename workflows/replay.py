"""What the events of a run say of its status and of its steps', found by following them in order."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from workflows.audit import EventRow
from workflows.states import RUN_ENDED, RUN_TRANSITIONS, STEP_TRANSITIONS, RunStatus, StepStatus

RUN_ARROWS: dict[str, RunStatus] = {
    "run_started": RunStatus.RUNNING,
    "run_released": RunStatus.QUEUED,
    "run_waiting": RunStatus.WAITING,
    "run_paused": RunStatus.PAUSED,
    "run_resumed": RunStatus.QUEUED,
    "run_woken": RunStatus.QUEUED,
    "run_retried": RunStatus.QUEUED,
}
STEP_ARROWS: dict[str, StepStatus] = {
    "step_start": StepStatus.RUNNING,
    "step_retry": StepStatus.RETRYING,
    "step_waiting": StepStatus.WAITING,
    "step_skipped": StepStatus.SKIPPED,
}
# How a step ended that did not succeed: by the code of its error, all others failed.
ENDINGS: dict[str, StepStatus] = {
    "StepTimeout": StepStatus.TIMED_OUT,
    "ApprovalTimeout": StepStatus.TIMED_OUT,
    "EventTimeout": StepStatus.TIMED_OUT,
    "RunDeadlineExceeded": StepStatus.TIMED_OUT,
    "Cancelled": StepStatus.CANCELLED,
}


@dataclass(slots=True)
class Replay:
    """Follows a run's events in order. Moves that `workflows.states` does not have become ``faults``.

    Events that are no move, or of a kind that this release does not know, change nothing.
    """

    status: str = ""
    steps: dict[str, str] = field(default_factory=dict)  # path → status of the result that counts
    faults: list[str] = field(default_factory=list)

    def read(self, event: EventRow) -> None:
        if not self.status and event.type != "run_created":
            self._fault(event, "comes before the run's creation")
        if self.status in RUN_ENDED and event.type != "run_retried":
            self._fault(event, f"comes after the run's end ({self.status})")
            return
        follow = FOLLOWED.get(event.type)
        if follow is not None:
            follow(self, event)
        elif event.type in RUN_ARROWS:
            self._move(event, RUN_ARROWS[event.type])
        elif event.type in STEP_ARROWS:
            self._move_step(event, STEP_ARROWS[event.type])

    def _created(self, event: EventRow) -> None:
        if self.status:
            self._fault(event, "creates the run a second time")
        self.status = RunStatus.QUEUED

    def _started(self, event: EventRow) -> None:
        if self.status == RunStatus.WAITING:  # a claim at the end of a wait is two arrows
            self._move(event, RunStatus.QUEUED)
        self._move(event, RunStatus.RUNNING)

    def _taken_over(self, event: EventRow) -> None:
        if self.status != RunStatus.RUNNING:
            self._fault(event, f"takes over a run that is {self.status or 'not there'}")

    def _retried(self, event: EventRow) -> None:
        if self.status not in RUN_ENDED:
            self._fault(event, f"retries a run that is {self.status}")
        self._move(event, RunStatus.QUEUED)
        for path in _data(event).get("discarded", ()):
            self.steps.pop(path, None)
        self.steps |= dict.fromkeys(_data(event).get("reopened", ()), StepStatus.RUNNING)

    def _completed(self, event: EventRow) -> None:
        self._move(event, _data(event).get("status", ""))

    def _step_completed(self, event: EventRow) -> None:
        data = _data(event)
        failed = ENDINGS.get(data.get("code", ""), StepStatus.FAILED)
        self._move_step(event, StepStatus.COMPLETED if data.get("success") else failed)

    def _move(self, event: EventRow, status: str) -> None:
        if self.status and status not in RUN_TRANSITIONS[self.status]:
            self._fault(event, f"moves the run from {self.status} to {status or 'nowhere'}, which is no arrow")
        self.status = status if status in RUN_TRANSITIONS else self.status

    def _move_step(self, event: EventRow, status: str) -> None:
        before = self.steps.get(event.path, StepStatus.PENDING)
        if status not in STEP_TRANSITIONS[before]:
            self._fault(event, f"moves step {event.path} from {before} to {status}, which is no arrow")
        self.steps[event.path] = status

    def _fault(self, event: EventRow, told: str) -> None:
        self.faults.append(f"event {event.seq} ({event.type}) {told}")


FOLLOWED: dict[str, Callable[[Replay, EventRow], None]] = {
    "run_created": Replay._created,
    "run_started": Replay._started,
    "run_taken_over": Replay._taken_over,
    "run_retried": Replay._retried,
    "workflow_complete": Replay._completed,
    "step_complete": Replay._step_completed,
}


def _data(event: EventRow) -> dict[str, Any]:
    data = json.loads(event.data)
    return data if isinstance(data, dict) else {}
