from workflows.models.artifact import Artifact
from workflows.models.cached import CachedResult
from workflows.models.draft import Draft
from workflows.models.event import Event, SiteChain, StreamText
from workflows.models.run import Run, StartKey, StepResult, new_run_id
from workflows.models.template import Template, TemplateBatch, TemplateBatchRow
from workflows.models.worker import AgentShare, RunRequest, Worker
from workflows.models.workflow import Step, Workflow, WorkflowVersion

__all__ = [
    "AgentShare",
    "Artifact",
    "CachedResult",
    "Draft",
    "Event",
    "Run",
    "RunRequest",
    "SiteChain",
    "StartKey",
    "Step",
    "StepResult",
    "StreamText",
    "Template",
    "TemplateBatch",
    "TemplateBatchRow",
    "Worker",
    "Workflow",
    "WorkflowVersion",
    "new_run_id",
]
