from workflows.models.event import Event, SiteChain, StreamText
from workflows.models.run import Run, StepResult, new_run_id
from workflows.models.worker import RunRequest, Worker
from workflows.models.workflow import Step, Workflow, WorkflowVersion

__all__ = [
    "Event",
    "Run",
    "RunRequest",
    "SiteChain",
    "Step",
    "StepResult",
    "StreamText",
    "Worker",
    "Workflow",
    "WorkflowVersion",
    "new_run_id",
]
