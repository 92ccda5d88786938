"""Workflows: definitions, their runs, and the engine that carries them out.

From Python: ``from workflows import Steps, WorkflowBuilder``, and ``@workflows.callable("name")`` for functions that
YAML, JSON and the builder can all name.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workflows.builder import WorkflowBuilder
    from workflows.definitions.building import Steps
    from workflows.definitions.callables import register as callable

__all__ = ["Steps", "WorkflowBuilder", "callable"]


def __getattr__(name: str) -> Any:
    # Lazy: importing the package loads neither models nor the engine, and works before Django is set up.
    if name == "callable":
        from workflows.definitions.callables import register

        return register
    if name == "WorkflowBuilder":
        from workflows.builder import WorkflowBuilder

        return WorkflowBuilder
    if name == "Steps":
        from workflows.definitions.building import Steps

        return Steps
    raise AttributeError(f"module 'workflows' has no attribute {name!r}")
