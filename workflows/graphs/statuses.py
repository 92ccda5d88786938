"""What has become of each step of a definition in a run: one status, however often it was executed."""

from workflows.models import Run
from workflows.states import StepStatus

# Of a step in a loop, what most needs to be seen.
FIRST_SEEN = (
    StepStatus.RUNNING,
    StepStatus.RETRYING,
    StepStatus.WAITING,
    StepStatus.FAILED,
    StepStatus.TIMED_OUT,
    StepStatus.CANCELLED,
    StepStatus.COMPLETED,
    StepStatus.SKIPPED,
    StepStatus.PENDING,
)


def statuses_of(run: Run) -> dict[str, str]:
    """Step id → status, of those that have begun."""
    found: dict[str, str] = {}
    pairs = run.steps.filter(superseded=False).order_by().values_list("step_id", "status").distinct()
    for step_id, status in sorted(pairs, key=lambda pair: FIRST_SEEN.index(StepStatus(pair[1]))):
        found.setdefault(step_id, status)
    return found
