"""Definitions on their way through a browser, which knows no whole numbers beyond 2⁵³, takes 1.0 for 1, and puts keys
such as "10" before others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workflows.definitions import tree
from workflows.definitions.problems import Path

LARGEST = 2**53 - 1


def as_written(value: Any, before: Any) -> Any:
    """``value`` with each number as it is written in ``before`` where the two are equal, and keys in the order there.

    Steps are found again by their ids, wherever they have been moved.
    """
    steps = before.get("steps") if isinstance(before, dict) else None
    known = {step["step_id"]: step for _, step in tree.walk(steps) if isinstance(step.get("step_id"), str)}
    return _as_written(value, before, known)


def _as_written(value: Any, before: Any, known: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        step_id = value.get("step_id")
        before = known.get(step_id, before) if isinstance(step_id, str) else before
        old = before if isinstance(before, dict) else {}
        return {key: _as_written(value[key], old.get(key), known) for key in _keys(value, old)}
    if isinstance(value, list):
        old_items = before if isinstance(before, list) else []
        return [_as_written(part, _at(old_items, index), known) for index, part in enumerate(value)]
    return before if _is_number(value) and _is_number(before) and value == before else value


def _keys(value: dict[str, Any], old: dict[str, Any]) -> list[str]:
    """The keys in their old order; each new one behind the key that it follows."""
    keys, before = [key for key in old if key in value], ""
    for key in value:
        if key not in old:
            keys.insert(keys.index(before) + 1 if before else 0, key)
        before = key
    return keys


def beyond_a_browser(value: Any, path: Path = ()) -> Path | None:
    """Where a whole number stands that a browser would change; None where none does."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        if (found := beyond_a_browser(part, (*path, key))) is not None:
            return found
    return path if _is_number(value) and isinstance(value, int) and abs(value) > LARGEST else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _at(items: list[Any], index: int) -> Any:
    return items[index] if index < len(items) else None
