"""What a run's expressions and functions see: the context, and the names beside it."""

from collections.abc import Mapping
from typing import Any

from workflows.definitions.models import Definition
from workflows.errors import ContextTooLarge
from workflows.models.fields import dumps
from workflows.states import StepStatus

RESERVED = ("steps", "run", "workflow", "global", "input")


class Scope:
    """The context starts as global context overlaid with input; each completed step's result is merged into it.

    The names in `RESERVED` always win over keys of that name. ``limit`` bounds the context's size in bytes of JSON;
    it is counted by what each step adds, so that the cost of a step doesn't grow with the number of steps.
    """

    def __init__(
        self, definition: Definition, input: Mapping[str, Any], *, run: Mapping[str, Any], version: int, limit: int
    ) -> None:
        self.steps: dict[str, dict[str, Any]] = {}
        self._limit = limit
        self._reserved = {
            "steps": self.steps,
            "run": dict(run),
            "workflow": {"id": definition.workflow_id, "name": definition.name, "version": version},
            "global": definition.global_context,
            "input": dict(input),
        }
        self.context: dict[str, Any] = {**definition.global_context, **input}
        self._sizes = {key: len(dumps(value)) for key, value in self.context.items()}
        self._size = sum(self._sizes.values())
        self.context |= self._reserved

    def names(self, **more: Any) -> dict[str, Any]:
        """The names that an expression may use."""
        return {"context": self.context, **self._reserved, **more}

    def encode(self, result: Mapping[str, Any]) -> tuple[str, dict[str, int]]:
        """A step's result as JSON text, and the size of each key; nothing is encoded again later.

        Raises `ContextTooLarge`, naming the largest keys, if the result would not fit into the context.
        """
        parts = {key: dumps(value) for key, value in result.items()}
        sizes = {key: len(part) for key, part in parts.items()}
        size = self._size + sum(added - self._sizes.get(key, 0) for key, added in sizes.items())
        if size > self._limit:
            raise ContextTooLarge(self._too_large(size, sizes))
        return "{" + ",".join(f"{dumps(key)}:{part}" for key, part in parts.items()) + "}", sizes

    def add(self, step_id: str, record: dict[str, Any], sizes: Mapping[str, int] | None = None) -> None:
        """Record an ended step: ``{result, status, error, attempts, duration_ms}``.

        The result of a completed one is merged; ``sizes`` are those of `encode`, where it was just encoded.
        """
        self.steps[step_id] = record
        result = record["result"]
        if record["status"] != StepStatus.COMPLETED or not isinstance(result, dict):
            return
        for key, value in result.items():
            if key not in RESERVED:
                size = sizes[key] if sizes else len(dumps(value))
                self._size += size - self._sizes.get(key, 0)
                self._sizes[key] = size
                self.context[key] = value

    def _too_large(self, size: int, sizes: Mapping[str, int]) -> str:
        everything = {**self._sizes, **sizes}
        largest = sorted(everything, key=everything.__getitem__, reverse=True)[:3]
        told = ", ".join(f"{key} ({everything[key]:,} bytes)" for key in largest)
        return f"the context would grow to {size:,} bytes, past its limit of {self._limit:,}; the largest keys: {told}"
