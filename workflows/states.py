"""Statuses of runs and steps, and the table of transitions that are allowed.

``docs/state_machine.md`` draws these tables. :mod:`workflows.transitions` is the only writer of a status.
"""

from enum import StrEnum

from django.db.models import TextChoices


class RunStatus(TextChoices):
    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"


class StepStatus(TextChoices):
    PENDING = "pending"
    RUNNING = "running"
    RETRYING = "retrying"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"


class WorkflowStatus(TextChoices):
    """What a workflow shows in lists: the status of its newest run, or that it never ran."""

    REGISTERED = "registered"


class RowStatus(TextChoices):
    """What came of one workflow of a batch."""

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"


RUN_TRANSITIONS: dict[str, frozenset[str]] = {
    RunStatus.QUEUED: frozenset(
        {RunStatus.RUNNING, RunStatus.PAUSED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.TIMED_OUT}
    ),
    RunStatus.RUNNING: frozenset(
        {
            RunStatus.QUEUED,
            RunStatus.WAITING,
            RunStatus.PAUSED,
            RunStatus.COMPLETED,
            RunStatus.FAILED,
            RunStatus.CANCELLED,
            RunStatus.TIMED_OUT,
        }
    ),
    RunStatus.WAITING: frozenset(
        {RunStatus.QUEUED, RunStatus.PAUSED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.TIMED_OUT}
    ),
    RunStatus.PAUSED: frozenset({RunStatus.QUEUED, RunStatus.CANCELLED, RunStatus.TIMED_OUT}),
    RunStatus.COMPLETED: frozenset(),
    # `retry` is the only arrow out of these three.
    RunStatus.FAILED: frozenset({RunStatus.QUEUED}),
    RunStatus.CANCELLED: frozenset({RunStatus.QUEUED}),
    RunStatus.TIMED_OUT: frozenset({RunStatus.QUEUED}),
}

STEP_TRANSITIONS: dict[str, frozenset[str]] = {
    StepStatus.PENDING: frozenset(
        {
            StepStatus.RUNNING,
            StepStatus.WAITING,
            StepStatus.COMPLETED,  # by an earlier result
            StepStatus.SKIPPED,
            StepStatus.FAILED,
            StepStatus.CANCELLED,
            StepStatus.TIMED_OUT,
        }
    ),
    StepStatus.RUNNING: frozenset(
        {
            StepStatus.RUNNING,  # executed again after its worker was lost
            StepStatus.RETRYING,
            StepStatus.WAITING,
            StepStatus.COMPLETED,
            StepStatus.FAILED,
            StepStatus.CANCELLED,
            StepStatus.TIMED_OUT,
        }
    ),
    StepStatus.RETRYING: frozenset(
        {
            StepStatus.RUNNING,
            StepStatus.WAITING,
            StepStatus.COMPLETED,  # by an earlier result
            StepStatus.FAILED,
            StepStatus.CANCELLED,
            StepStatus.TIMED_OUT,
        }
    ),
    StepStatus.WAITING: frozenset(
        {
            StepStatus.RUNNING,
            StepStatus.COMPLETED,
            StepStatus.FAILED,
            StepStatus.CANCELLED,
            StepStatus.TIMED_OUT,
        }
    ),
    StepStatus.COMPLETED: frozenset(),
    StepStatus.FAILED: frozenset(),
    StepStatus.SKIPPED: frozenset(),
    StepStatus.CANCELLED: frozenset(),
    StepStatus.TIMED_OUT: frozenset(),
}

RUN_ENDED = frozenset({RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.TIMED_OUT})
RETRYABLE = frozenset(status for status in RUN_ENDED if RUN_TRANSITIONS[status])
RUN_ACTIVE = frozenset(RunStatus) - RUN_ENDED
STEP_ENDED = frozenset(status for status, following in STEP_TRANSITIONS.items() if not following)
STEP_FAILED = frozenset({StepStatus.FAILED, StepStatus.TIMED_OUT})


AWAITED = frozenset({"approval", "wait_for", "workflow"})
"""Kinds of steps that wait for something from outside, which has no time of its own."""


class Answer(StrEnum):
    """What a verb does to a run in some state."""

    AT_ONCE = "done at once"
    ASKED = "asked of its holder"
    NOTHING = "nothing to do"
    REFUSED = "refused (409)"
    NEW_RUN = "a new run"


def _answers(others: Answer, exceptions: dict[Answer, set[RunStatus]]) -> dict[RunStatus, Answer]:
    found = {status: answer for answer, statuses in exceptions.items() for status in statuses}
    return {status: found.get(status, others) for status in RunStatus}


_FREE = {RunStatus.QUEUED, RunStatus.WAITING, RunStatus.PAUSED}
_ENDED = set(RUN_ENDED)

# verb → status of the run → answer. A run that is running and about to be paused can be resumed, too: it is asked.
VERBS: dict[str, dict[RunStatus, Answer]] = {
    "cancel": _answers(Answer.ASKED, {Answer.AT_ONCE: _FREE, Answer.NOTHING: _ENDED}),
    "pause": _answers(
        Answer.ASKED,
        {
            Answer.AT_ONCE: _FREE - {RunStatus.PAUSED},
            Answer.NOTHING: {RunStatus.PAUSED},
            Answer.REFUSED: _ENDED,
        },
    ),
    "resume": _answers(Answer.REFUSED, {Answer.AT_ONCE: {RunStatus.PAUSED}}),
    "retry": _answers(Answer.REFUSED, {Answer.AT_ONCE: set(RETRYABLE)}),
    "rerun": _answers(Answer.NEW_RUN, {}),
}

# verb → status of the step under way → what the holder of its run does with it.
STEP_VERBS: dict[str, dict[StepStatus, str]] = {
    "cancel": {
        StepStatus.RUNNING: "its call is closed or its process killed; cancelled",
        StepStatus.RETRYING: "cancelled; no further attempt",
        StepStatus.WAITING: "cancelled; its place in line is left",
    },
    "pause": {
        StepStatus.RUNNING: "the attempt goes on to its end; then the run is paused",
        StepStatus.RETRYING: "stays; when it is resumed, the next attempt is due as before",
        StepStatus.WAITING: "stays; its place in line is left",
    },
}
