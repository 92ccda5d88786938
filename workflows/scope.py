"""What a run's expressions and functions see: the context, and the names beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workflows.definitions.models import Definition
from workflows.errors import ContextTooLarge
from workflows.models.fields import dumps

RESERVED = ("steps", "run", "workflow", "global", "input")


@dataclass(frozen=True, slots=True)
class Additions:
    """What the steps of one item or branch have recorded, and added to the context; ``sizes`` in bytes of JSON.

    ``own`` is without what stands in the list of a loop inside already.
    """

    steps: dict[str, dict[str, Any]]
    context: dict[str, Any]
    own: dict[str, Any]
    sizes: dict[str, int]


class Scope:
    """The context starts as global context overlaid with input; what each step gives is merged into it.

    The names in `RESERVED` always win over keys of that name. ``limit`` bounds the context's size in bytes of JSON;
    it is counted by what each step adds, so that the cost of a step doesn't grow with the number of steps.
    """

    def __init__(
        self, definition: Definition, input: Mapping[str, Any], *, run: Mapping[str, Any], version: int, limit: int
    ) -> None:
        self.steps: dict[str, dict[str, Any]] = {}
        self.items: tuple[str, ...] = ()
        """Names of the items of the loops around."""
        self.added: dict[str, Any] = {}
        """What the steps have added to the context, since the fork if it is one."""
        self._own: dict[str, Any] = {}
        self._recorded: dict[str, dict[str, Any]] = {}
        self._limit = limit
        self._reserved: dict[str, Any] = {
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

    def fork_for(self, name: str, item: Any, index: int) -> Scope:
        """A scope for one item of a loop; its name and ``index`` win over all keys."""
        fork = self.fork()
        fork.items = (*self.items, name)
        fork._reserved |= {name: item, "index": index}
        fork.context |= {name: item, "index": index}
        return fork

    def fork(self) -> Scope:
        """A scope for one branch: it sees this one as it is now, and what is its own."""
        fork = object.__new__(Scope)
        fork.items = self.items
        fork.steps = dict(self.steps)
        fork.added, fork._own, fork._recorded = {}, {}, {}
        fork._limit, fork._size, fork._sizes = self._limit, self._size, dict(self._sizes)
        fork._reserved = {**self._reserved, "steps": fork.steps}
        fork.context = {**self.context, "steps": fork.steps}
        return fork

    def take(self) -> Additions:
        """What a fork has come to."""
        return Additions(self._recorded, self.added, self._own, {key: self._sizes[key] for key in self.added})

    def join(self, fork: Additions, *, listed: bool = False) -> None:
        """Take over what a fork has come to; ``listed``: its own stands in a list that is added besides."""
        self.steps |= fork.steps
        self._recorded |= fork.steps
        self._merge(fork.context, fork.sizes)
        if not listed:
            self._own |= fork.own

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

    def add(
        self,
        step_id: str,
        record: dict[str, Any],
        merged: Mapping[str, Any] | None = None,
        sizes: Mapping[str, int] | None = None,
    ) -> None:
        """Record an ended step: ``{result, status, error, attempts, duration_ms}``.

        ``merged`` is what it adds to the context; ``sizes`` are those of `encode`, where it was just encoded.
        """
        self.steps[step_id] = self._recorded[step_id] = record
        if merged:
            self._merge(merged, sizes or {key: len(dumps(value)) for key, value in merged.items()})
            self._own |= {key: value for key, value in merged.items() if key not in RESERVED}

    def _merge(self, values: Mapping[str, Any], sizes: Mapping[str, int]) -> None:
        for key, value in values.items():
            if key not in RESERVED:
                self._size += sizes[key] - self._sizes.get(key, 0)
                self._sizes[key] = sizes[key]
                self.added[key] = value
                if key not in self._reserved:
                    self.context[key] = value

    def _too_large(self, size: int, sizes: Mapping[str, int]) -> str:
        everything = {**self._sizes, **sizes}
        largest = sorted(everything, key=everything.__getitem__, reverse=True)[:3]
        told = ", ".join(f"{key} ({everything[key]:,} bytes)" for key in largest)
        return f"the context would grow to {size:,} bytes, past its limit of {self._limit:,}; the largest keys: {told}"
