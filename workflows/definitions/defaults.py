"""Filling in what a JSON Schema gives as `default`."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

MOST = 1_000
"""Defaults filled into one value. They may hold each other, and `$ref` lets them do so without end."""

DEEPEST = 50
"""Defaults within defaults."""


class EndlessDefaults(ValueError):
    """The defaults hold each other without end, or are more than anybody means."""


def filled(value: Any, schema: Any, root: Any = None) -> Any:
    """A copy of the JSON value in which each property that is missing has its `default`, in objects below too.

    Followed are `properties`, `$ref` inside the document and `allOf`, not items of lists nor the alternatives of
    `anyOf`, `oneOf`, `if`. An object that is missing is not made up for the defaults in it. ``root`` is the document
    that references are into, if not the schema itself. Raises `EndlessDefaults`.
    """
    return _Filling(schema if root is None else root).fill(value, schema, 0)


class _Filling:
    def __init__(self, root: Any) -> None:
        self._root = root
        self._room = MOST

    def fill(self, value: Any, schema: Any, depth: int) -> Any:
        """``depth`` counts the defaults around the value."""
        if not isinstance(value, dict):
            return value
        made = dict(value)
        for part in self._applied(schema, set()):
            for name, below in part.get("properties", {}).items():
                if name in made:
                    made[name] = self.fill(made[name], below, depth if name in value else depth + 1)
                else:
                    self._insert(made, name, below, depth + 1)
        return made

    def _insert(self, made: dict[str, Any], name: str, schema: Any, depth: int) -> None:
        for part in self._applied(schema, set()):
            if "default" in part:
                self._room -= 1
                if self._room < 0 or depth > DEEPEST:
                    raise EndlessDefaults(f'the defaults hold each other without end, at "{name}"')
                made[name] = self.fill(deepcopy(part["default"]), schema, depth)
                return

    def _applied(self, schema: Any, followed: set[str]) -> Iterator[dict[str, Any]]:
        """The schema and those that hold together with it; each reference once."""
        if not isinstance(schema, dict):
            return
        yield schema
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference not in followed:
            followed.add(reference)
            yield from self._applied(self._at(reference), followed)
        for part in schema.get("allOf", ()):
            yield from self._applied(part, followed)

    def _at(self, reference: str) -> Any:
        """What stands at `#/$defs/name`; None where nothing does, which the check of the value will tell."""
        found = self._root
        for word in reference.removeprefix("#").split("/")[1:]:
            key = word.replace("~1", "/").replace("~0", "~")
            found = found.get(key) if isinstance(found, dict) else None
        return found
