"""Steps at any depth of a definition as it was written. Whoever reads raw values asks here where steps stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from workflows.definitions.models import step_model
from workflows.definitions.problems import Path

RULES = ("precondition", "validation", "result_processor")
"""Fields of steps that hold an expression as a whole, or a callable."""

CONDITIONS = frozenset({"if", "switch", "for_each", "while"})
"""Keys of blocks that hold an expression as a whole."""

NAMED = {"switch": "cases", "parallel": "parallel"}
"""Blocks with lists of steps by name, and the key that holds them."""

LISTS = {"if": ("then", "else"), "switch": ("default",), "for_each": ("steps",), "while": ("steps",)}
"""Blocks with lists of steps, and their keys."""

OBJECTS = frozenset({"wait", "approval", "wait_for"})
"""Keys of blocks that hold an object of fields."""

Written = Mapping[str, Any]


def kind_of(step: Written) -> str:
    """The kind of a step: that of the first block whose key it has."""
    return step_model(step).kind


def branches(step: Written) -> Iterator[tuple[Path, Any]]:
    """Where lists of steps stand in a block, as paths below it, and what stands there, a list or not."""
    kind = kind_of(step)
    holder = NAMED.get(kind)
    named = step.get(holder) if holder else None
    for name, steps in named.items() if isinstance(named, dict) else ():
        yield (NAMED[kind], name), steps
    for key in LISTS.get(kind, ()):
        if key in step:
            yield (key,), step[key]


def own(step: Written) -> dict[str, Any]:
    """The step without the steps inside it."""
    kind = kind_of(step)
    lists = (*LISTS.get(kind, ()), NAMED.get(kind))
    return {key: value for key, value in step.items() if key not in lists}


def objects(steps: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    """The steps of a list that are objects at all, with their places."""
    for index, step in enumerate(steps if isinstance(steps, list) else ()):
        if isinstance(step, dict):
            yield index, step


def walk(steps: Any, path: Path = ("steps",)) -> Iterator[tuple[Path, dict[str, Any]]]:
    """All steps with their paths, each before those inside it."""
    for index, step in objects(steps):
        yield (*path, index), step
        for below, inner in branches(step):
            yield from walk(inner, (*path, index, *below))


def places(steps: Any, path: Path = ("steps",)) -> Iterator[Path]:
    """Where lists of steps stand, objects of such lists, and steps, whatever stands there."""
    yield path
    for index in range(len(steps) if isinstance(steps, list) else 0):
        yield (*path, index)
    for index, step in objects(steps):
        if key := NAMED.get(kind_of(step)):
            yield (*path, index, key)
        for below, inner in branches(step):
            yield from places(inner, (*path, index, *below))


def expressions(steps: Any) -> Iterator[Path]:
    """Where fields stand that hold an expression as a whole."""
    for path, step in walk(steps):
        yield from ((*path, key) for key in step if key in RULES or key in CONDITIONS)


def count(steps: Any) -> int:
    """Entries of this list of steps and of all lists inside it, whatever they are."""
    below = sum(count(inner) for _, step in objects(steps) for _, inner in branches(step))
    return (len(steps) if isinstance(steps, list) else 0) + below


def ids(steps: Any) -> Iterator[str]:
    """The ids of all steps, in the order of the definition."""
    for _, step in walk(steps):
        if isinstance(step_id := step.get("step_id"), str):
            yield step_id
