"""Fifty workflows that a company might have, each of steps that need no model: what seeded runs are runs of."""

from dataclasses import dataclass
from typing import Any

from workflows import publishing
from workflows.definitions import Definition
from workflows.models import Workflow

SUBJECTS = (
    "Invoices", "Support tickets", "Product news", "Sales calls", "Contracts",
    "Job applications", "Research papers", "Server incidents", "Customer feedback", "Market prices",
)  # fmt: skip
KINDS = ("digest", "review", "report", "intake", "check")
STEPS = (
    ("collect", "Collect the material", "research_assistant"),
    ("sort", "Sort out what matters", "data_analyst"),
    ("draft", "Write a draft", "content_creator"),
    ("review", "Review the draft", "qa_specialist"),
    ("plan", "Plan what follows", "project_manager"),
    ("code", "Write the script", "code_assistant"),
    ("measure", "Measure the result", "data_analyst"),
    ("publish", "Publish", "content_creator"),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """A stored workflow, as the stories of its runs need it."""

    workflow: int
    version: int
    steps: tuple[tuple[str, str, str], ...]  # step_id, name, agent
    fails: float  # share of its runs
    pace: float  # seconds that a step of it takes, about


def make(steps: int) -> list[Plan]:
    """Fifty workflows, half of them with ``steps`` steps (1 to 7), half with one more."""
    names = [f"{subject} {kind}" for subject in SUBJECTS for kind in KINDS]
    return [_made(number, name, STEPS[: steps + number % 2]) for number, name in enumerate(names)]


def _made(number: int, name: str, steps: tuple[tuple[str, str, str], ...]) -> Plan:
    subject, _, kind = name.rpartition(" ")
    written = {
        "workflow_id": name.lower().replace(" ", "_"),
        "workflow_name": name,
        "tags": [kind, subject.lower()],
        "steps": [_step(*step) for step in steps],
    }
    workflow = publishing.create(Definition.model_validate(written), actor="seed")
    return _plan(workflow, steps, number)


def _step(step_id: str, name: str, agent: str) -> dict[str, Any]:
    parameters = {"message": f"{name}: ${{context.topic}}"}
    return {"step_id": step_id, "step_name": name, "agent_id": agent, "function_name": "echo", "parameters": parameters}


def _plan(workflow: Workflow, steps: tuple[tuple[str, str, str], ...], number: int) -> Plan:
    assert workflow.current_id is not None
    fails = 0.25 if number % 17 == 5 else 0.02 + number % 7 / 200
    return Plan(workflow.pk, workflow.current_id, steps, fails, 0.2 * 1.09**number)
