"""What a definition may name: agents and their functions, and other workflows, as they are stored."""

from typing import Any

from agents import catalog
from workflows.definitions import tree
from workflows.models import Workflow, WorkflowVersion


class Catalog(catalog.Catalog):
    """The view of agents, functions and workflows that the checks of definitions take."""

    def workflow_ids(self) -> list[str]:
        return list(Workflow.objects.active().values_list("workflow_id", flat=True))

    def workflow_versions(self, workflow_id: str) -> set[int] | None:
        """The numbers of its versions; None where no workflow of that id is there, or it is archived."""
        found = WorkflowVersion.objects.filter(workflow__in=Workflow.objects.active().filter(workflow_id=workflow_id))
        return set(found.values_list("number", flat=True)) or None

    def children_of(self, workflow_id: str, version: int | None = None) -> set[tuple[str, int | None]]:
        """The workflows that this version, or the current one, runs: id, and version where one is named."""
        workflow = Workflow.objects.active().filter(workflow_id=workflow_id).select_related("current").first()
        if workflow is None:
            return set()
        found = workflow.current if version is None else workflow.versions.filter(number=version).first()
        return set(_children(found.definition)) if found else set()


def _children(definition: dict[str, Any]) -> list[tuple[str, int | None]]:
    blocks = [step for _, step in tree.walk(definition["steps"]) if tree.kind_of(step) == "workflow"]
    return [(block["workflow"], block.get("version")) for block in blocks]
