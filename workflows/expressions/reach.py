"""How much of a scope an expression gets, and whether its evaluation may take long."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from workflows.expressions.results import MAX_DEPTH, NotJson
from workflows.expressions.source import Reading, Reference

Tree = dict[str, "Tree | None"]
"""Keys to hand over, by level; None: everything below."""

MAX_ITEMS = 500
"""Longest list or object that a macro runs over inside the asking process."""

LIMIT = 100_000
"""Microseconds that an evaluation may be expected to take in the asking process."""


def tree(references: Iterable[Reference]) -> Tree:
    """The paths as one tree; a path that is the beginning of another one wins."""
    root: Tree = {}
    for reference in references:
        node = root
        *above, last = reference.path
        for key in above:
            below = node.setdefault(key, {})
            if below is None:
                break
            node = below
        else:
            node[last] = None
    return root


def cut(scope: Mapping[str, Any], wanted: Tree) -> dict[str, Any]:
    """Only what the tree names; what is no object stays whole. Raises `NotJson` for what nests too deep."""
    made = {}
    for key, below in wanted.items():
        if key in scope:
            value = scope[key]
            if below is not None and isinstance(value, Mapping):
                made[key] = cut(value, below)
            else:
                made[key] = _bounded(value)
    return made


def _bounded(value: Any) -> Any:
    if isinstance(value, dict | list):
        _check_depth(value, MAX_DEPTH)
    elif isinstance(value, Mapping):
        return _bounded(dict(value))
    return value


def _check_depth(value: Any, left: int) -> None:
    if left == 0:
        raise NotJson(f"a value nests more than {MAX_DEPTH} levels deep")
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, dict | list):
            _check_depth(item, left - 1)


def always_heavy(reading: Reading) -> bool:
    """Nested macros, a `map` over what a `map` made (it may double at each), several costly patterns."""
    if reading.nested or reading.macros.count("map") > 1 or len(reading.macros) > 3:
        return True
    costly = [pattern for pattern in reading.patterns if pattern is None or _costly(pattern)]
    return bool(costly) and (len(reading.patterns) > 1 or bool(reading.macros))


def _costly(pattern: str) -> bool:
    """Rust's engine is linear in the text, but building one for such patterns takes up to 90 ms."""
    return "{" in pattern or len(pattern) > 60


def heavy(reading: Reading, handed: dict[str, Any]) -> bool:
    """Whether evaluating over `handed` may take longer than the event loop can be held."""
    all_ = Weight.of(handed)
    inside = Weight.of([_at(reference.path, handed) for reference in reading.inside])
    loops = max(all_.longest, all_.text if reading.calls else 0) if reading.macros else 0
    return loops > MAX_ITEMS or microseconds(reading, loops, all_, inside) > LIMIT


def _at(path: tuple[str, ...], handed: Any) -> Any:
    """What stands at the path, or at its last part that is there."""
    for part in path:
        if not isinstance(handed, dict) or part not in handed:
            return handed
        handed = handed[part]
    return handed


class Weight:
    """Items, characters and the longest list or object of a value."""

    __slots__ = ("items", "longest", "text")

    def __init__(self) -> None:
        self.items = self.text = self.longest = 0

    @classmethod
    def of(cls, value: Any) -> Weight:
        weight = cls()
        weight.add(value)
        return weight

    def add(self, value: Any) -> None:
        if isinstance(value, str):
            self.text += len(value)
        elif isinstance(value, dict | list) and self.items < LIMIT:
            self.items += len(value)
            self.longest = max(self.longest, len(value))
            for item in value.values() if isinstance(value, dict) else value:
                self.add(item)


def microseconds(reading: Reading, loops: int, whole: Weight, inside: Weight) -> float:
    """About how long an evaluation takes at the worst, as measured with version 0.10 of the library.

    Converting costs 1.5 µs an item and 1 µs for 150 characters, each way. `map` and `filter` copy what they
    have made so far, deeply, for each item. Regular expressions are built anew at each call.
    """
    uses = len(reading.references)
    once = 1.5 * whole.items + whole.text / 150 + uses * (0.1 * whole.items + whole.text / 150)
    if not reading.macros:
        return once + (whole.items + whole.text / 100) * reading.calls
    made_items = whole.items * reading.bound_uses + loops * inside.items
    made_text = whole.text * reading.bound_uses + loops * inside.text
    looping = loops * (0.05 * reading.tokens + 0.1 * inside.items + inside.text / 1000)
    growing = 0.125 * loops * made_items + 1.5 * made_items + made_text / 100
    calling = reading.calls_in_macros * (5 * loops + 3 * made_items + made_text / 20)
    building = loops * sum(50 + 100 * (pattern or "").count("\\") for pattern in reading.patterns)
    return once + looping + growing + calling + building
