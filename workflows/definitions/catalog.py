"""What the checks ask about agents and functions; `agents.catalog` answers."""

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

    def parameter_problems(self, function_name: str, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What is wrong with literal parameters: `[{path, message, severity, code}]`, paths below
        `parameters`."""
        ...
