"""What the checks ask about agents, functions and other workflows; `workflows.catalog` answers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Protocol


class Catalog(Protocol):
    """Who is there, and what they can do."""

    def has_agent(self, name_or_uuid: str) -> bool:
        """Whether a step may name this agent."""
        ...

    def agent_names(self) -> Iterable[str]:
        """All names, for "did you mean"."""
        ...

    def agent_functions(self, name_or_uuid: str) -> Collection[str]:
        """The functions that the agent offers, aliases included."""
        ...

    def function_names(self) -> Iterable[str]:
        """All functions that there are."""
        ...

    def parameter_problems(
        self, function_name: str, parameters: Mapping[str, Any], agent_name: str
    ) -> list[dict[str, Any]]:
        """What is wrong with literal parameters: `[{path, message, severity, code}]`, paths below
        `parameters`. Some name other functions of the agent."""
        ...

    def workflow_ids(self) -> Iterable[str]:
        """All workflows that are not archived, for "did you mean"."""
        ...

    def workflow_versions(self, workflow_id: str) -> Collection[int] | None:
        """The numbers of its versions; None where no workflow of that id is there, or it is archived."""
        ...

    def children_of(self, workflow_id: str, version: int | None = None) -> Collection[tuple[str, int | None]]:
        """The workflows that this version, or the current one, runs: id, and version where one is named."""
        ...
