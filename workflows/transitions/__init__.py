"""Every transition of a run and its steps: one function for each arrow of the state diagram.

A transition is refused (`IllegalTransition`) if the tables in :mod:`workflows.states` don't have it. It adds to the
held run's open `Change`; :func:`workflows.changes.write` writes that in one transaction, guarded by the lease's epoch.
Nothing else in the project assigns a status.
"""

from workflows.transitions.runs import (
    cancel,
    claim,
    complete,
    create,
    fail,
    park,
    pause,
    release,
    resume,
    retry,
    take_over,
    time_out,
    wake,
)
from workflows.transitions.steps import (
    begin_block,
    complete_step,
    end_steps,
    fail_step,
    finish_step,
    queue_step,
    retry_step,
    reuse_step,
    skip_or_fail,
    skip_step,
    start_step,
    take_input,
    wait_step,
)

__all__ = [
    "begin_block",
    "cancel",
    "claim",
    "complete",
    "complete_step",
    "create",
    "end_steps",
    "fail",
    "fail_step",
    "finish_step",
    "park",
    "pause",
    "queue_step",
    "release",
    "resume",
    "retry",
    "retry_step",
    "reuse_step",
    "skip_or_fail",
    "skip_step",
    "start_step",
    "take_input",
    "take_over",
    "time_out",
    "wait_step",
    "wake",
]
