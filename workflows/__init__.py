"""Workflows: definitions, their runs, and the engine that carries them out."""

from typing import Any

__all__ = ["callable"]


def __getattr__(name: str) -> Any:
    # Lazy, so that importing the package loads no models: `@workflows.callable("name")` works before Django is set up.
    if name == "callable":
        from workflows.definitions.callables import register

        return register
    raise AttributeError(f"module 'workflows' has no attribute {name!r}")
