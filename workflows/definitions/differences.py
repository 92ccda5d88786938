"""What differs between two definitions, as plain data: fields with their values, and steps by their ids."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from workflows.definitions import tree
from workflows.definitions.problems import written

Steps = Sequence[Mapping[str, Any]]


class _Absent(Enum):
    ABSENT = "absent"


ABSENT: Final = _Absent.ABSENT
"""The value of a field that was not written. Null is a value that was."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field that was added (`before` is `ABSENT`), removed (`after` is) or changed. `path` is inside its part."""

    path: tuple[str, ...]
    before: Any
    after: Any

    def to_json(self) -> dict[str, Any]:
        """`{path, before?, after?}`; what was absent is left out."""
        values = {"before": self.before, "after": self.after}
        return {"path": written(self.path), **{name: value for name, value in values.items() if value is not ABSENT}}


@dataclass(frozen=True, slots=True)
class StepPlace:
    """A step that one of the two definitions lacks. `index` counts from 0 in the list of the one that has it.

    `inside` is the list, as in `gate.then`: the block's id and the key; empty for the workflow's own. A block comes
    without the steps inside it, which have entries of their own.
    """

    step_id: str
    index: int
    step: Mapping[str, Any]
    inside: str = ""

    def to_json(self) -> dict[str, Any]:
        """`{step_id, index, step, inside?}`."""
        inside = {"inside": self.inside} if self.inside else {}
        return {"step_id": self.step_id, "index": self.index, **inside, "step": dict(self.step)}


@dataclass(frozen=True, slots=True)
class StepMove:
    """A step that stands elsewhere among those that both have.

    `before` and `after` are its indices, from 0, in the lists `inside_before` and `inside_after`.
    """

    step_id: str
    before: int
    after: int
    inside_before: str = ""
    inside_after: str = ""

    def to_json(self) -> dict[str, Any]:
        """`{step_id, before, after, inside_before?, inside_after?}`."""
        lists = {"inside_before": self.inside_before, "inside_after": self.inside_after}
        return {
            "step_id": self.step_id,
            "before": self.before,
            "after": self.after,
            **{name: inside for name, inside in lists.items() if inside},
        }


@dataclass(frozen=True, slots=True)
class StepChange:
    """A step that both have, with the fields that differ."""

    step_id: str
    fields: list[FieldChange]

    def to_json(self) -> dict[str, Any]:
        return {"step_id": self.step_id, "fields": [change.to_json() for change in self.fields]}


@dataclass(frozen=True, slots=True)
class Differences:
    """`fields` are the workflow's own. Steps stand in the order of the later definition, removed ones in the earlier's.

    False where there are none.
    """

    fields: list[FieldChange]
    added: list[StepPlace]
    removed: list[StepPlace]
    moved: list[StepMove]
    changed: list[StepChange]

    def __bool__(self) -> bool:
        return bool(self.fields or self.added or self.removed or self.moved or self.changed)

    def to_json(self) -> dict[str, Any]:
        """`{fields, steps: {added, removed, moved, changed}}`."""
        return {
            "fields": [change.to_json() for change in self.fields],
            "steps": {
                "added": [place.to_json() for place in self.added],
                "removed": [place.to_json() for place in self.removed],
                "moved": [move.to_json() for move in self.moved],
                "changed": [change.to_json() for change in self.changed],
            },
        }


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> Differences:
    """What leads from one definition to the other, both as they were written; the order of keys means nothing.

    Objects are compared key by key, lists as a whole, steps by their ids wherever they stand. Of a `parallel` the
    names of its branches are compared in their order, since the later one wins.
    """
    old, new = dict(_placed(before["steps"])), dict(_placed(after["steps"]))
    changed = [
        StepChange(step_id, fields)
        for step_id, place in new.items()
        if step_id in old and (fields := list(_fields(old[step_id].step, place.step)))
    ]
    return Differences(
        fields=list(_fields(_without_steps(before), _without_steps(after))),
        added=[place for step_id, place in new.items() if step_id not in old],
        removed=[place for step_id, place in old.items() if step_id not in new],
        moved=_moved(old, new),
        changed=changed,
    )


def _placed(steps: Steps, inside: str = "") -> Iterator[tuple[str, StepPlace]]:
    """Every step by its id, each before those inside it."""
    for index, step in enumerate(steps):
        step_id = step["step_id"]
        yield step_id, StepPlace(step_id, index, _own(step), inside)
        for below, inner in tree.branches(step):
            yield from _placed(inner, written((step_id, *below)))


def _own(step: Mapping[str, Any]) -> dict[str, Any]:
    branches = {"parallel": list(step["parallel"])} if tree.kind_of(step) == "parallel" else {}
    return tree.own(step) | branches


def _without_steps(definition: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in definition.items() if key != "steps"}


def _fields(before: Mapping[str, Any], after: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[FieldChange]:
    for key in [*before, *(key for key in after if key not in before)]:
        old, new = before.get(key, ABSENT), after.get(key, ABSENT)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from _fields(old, new, (*path, key))
        elif ABSENT in (old, new) or _text(old) != _text(new):
            yield FieldChange((*path, key), old, new)


def _text(value: Any) -> str:
    """One text for one value: Python takes 1, 1.0 and True for the same, which definitions don't."""
    return json.dumps(value, sort_keys=True)


def _moved(old: Mapping[str, StepPlace], new: Mapping[str, StepPlace]) -> list[StepMove]:
    """The fewest steps whose moving explains the new order of those that both have."""
    stayed = set(_stayed(old, new))
    return [
        StepMove(step_id, old[step_id].index, place.index, old[step_id].inside, place.inside)
        for step_id, place in new.items()
        if step_id in old and step_id not in stayed
    ]


def _stayed(old: Mapping[str, StepPlace], new: Mapping[str, StepPlace]) -> Iterator[str]:
    """The steps that are in the same list still, in the same order."""
    lists: dict[str, list[str]] = {}
    for step_id, place in old.items():
        if step_id in new and new[step_id].inside == place.inside:
            lists.setdefault(place.inside, []).append(step_id)
    for kept in lists.values():
        yield from (kept[index] for index in _longest_rising([new[step_id].index for step_id in kept]))


def _longest_rising(numbers: Sequence[int]) -> Collection[int]:
    """Indices of a longest rising subsequence, by patience sorting.

    Ids are unique in both lists, so this is their longest common subsequence, in n log n.
    """
    tops: list[int] = []  # smallest last number of a rising subsequence, by its length
    ends: list[int] = []  # its index
    previous: list[int | None] = []
    for index, number in enumerate(numbers):
        length = bisect_left(tops, number)
        tops[length : length + 1], ends[length : length + 1] = [number], [index]  # replaces one, or appends
        previous.append(ends[length - 1] if length else None)
    found: list[int] = []
    at = ends[-1] if ends else None
    while at is not None:
        found.append(at)
        at = previous[at]
    return found
