"""Plain factories: a definition, a workflow, a finished run."""

from collections.abc import Mapping
from typing import Any

from agents.models import Agent
from tests import scripted
from workflows import inprocess, publishing
from workflows.definitions import Definition
from workflows.models import Run, Workflow

BUILT_IN = ["echo", "add", "delay", "inference", "text_processing", "data_analysis", "http_request"]


def make_agent(**fields: Any) -> Agent:
    """An agent ``tester`` that offers the scripted functions and the common built-in ones."""
    return Agent.objects.create(**{"name": "tester", "functions": [*scripted.NAMES, *BUILT_IN], **fields})


def step(
    step_id: str, function: str = "echo", parameters: Mapping[str, Any] | None = None, **fields: Any
) -> dict[str, Any]:
    if parameters is None:
        parameters = {"message": step_id} if function == "echo" else {}
    return {
        "step_id": step_id,
        "agent_id": "tester",
        "function_name": function,
        "parameters": dict(parameters),
        **fields,
    }


def make_definition(*steps: dict[str, Any], **fields: Any) -> Definition:
    return Definition.model_validate({"workflow_id": "sample", "steps": list(steps) or [step("a")], **fields})


def make_workflow(*steps: dict[str, Any], **fields: Any) -> Workflow:
    return publishing.create(make_definition(*steps, **fields), actor="tester")


def run_to_end(*steps: dict[str, Any], input: Mapping[str, Any] | None = None, **fields: Any) -> Run:
    """Run a definition in this process."""
    return inprocess.run(make_definition(*steps, **fields), input)


def results(run: Run) -> dict[str, Any]:
    """path → result of the steps that completed."""
    return {row.path: row.result for row in run.steps.filter(status="completed", superseded=False)}


def statuses(run: Run) -> dict[str, str]:
    return {row.path: row.status for row in run.steps.filter(superseded=False)}
