"""The context as a step saw it, and as it left it: told again from the results before it, and compared by lines."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from workflows.admin.base import readable
from workflows.definitions.models import BaseStep
from workflows.models import Run
from workflows.recall import Reached, Recall, scope_of
from workflows.scope import RESERVED, Scope

MOST_KEYS = 100
NEAR = 2  # lines that are shown around those that differ
MOST_LINES = 2_000
"""Lines of one value that are compared; of longer ones the first."""


@dataclass(frozen=True, slots=True)
class Line:
    """``mark``: ``+``, ``-``, a blank for one that is in both, or ``…`` where lines are left out."""

    mark: str
    text: str


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a key: ``added``, ``changed`` or ``removed``."""

    key: str
    kind: str
    lines: list[Line]


@dataclass(frozen=True, slots=True)
class StepContext:
    before: list[tuple[str, str]]
    changes: list[Change]
    left_out: int  # keys beyond `MOST_KEYS`


class _Around(Recall):
    """A walk that keeps what stood in the context before the step at ``path`` and after it, and stops there."""

    def __init__(self, rows: Mapping[str, Any], path: str) -> None:
        super().__init__(rows)
        self._path = path
        self.before: dict[str, Any] = {}

    def step(self, step: BaseStep, scope: Scope, path: str) -> None:
        if path != self._path:
            super().step(step, scope, path)
            return
        self.before = _plain(scope)
        super().step(step, scope, path)
        raise Reached(scope)


def context_of(run: Run, path: str) -> StepContext:
    """Before and after a step. It reads the results of all steps of the run, so it is made on demand."""
    rows = {row.path: row for row in run.steps.filter(superseded=False).defer("attempts", "logs")}
    walk = _Around(rows, path)
    after: dict[str, Any] = {}
    try:
        walk.steps(run.definition.steps, scope_of(run), "")
    except Reached as reached:
        after = _plain(reached.scope)
    changes = list(_changes(walk.before, after))
    before = [(key, readable(value)) for key, value in list(walk.before.items())[:MOST_KEYS]]
    left_out = max(0, len(walk.before) - MOST_KEYS) + max(0, len(changes) - MOST_KEYS)
    return StepContext(before, changes[:MOST_KEYS], left_out)


def _plain(scope: Scope) -> dict[str, Any]:
    return {key: value for key, value in scope.context.items() if key not in RESERVED}


def _changes(before: dict[str, Any], after: dict[str, Any]) -> Iterator[Change]:
    for key, value in after.items():
        if key not in before:
            yield Change(key, "added", _marked("+", readable(value)))
        elif value is not before[key] and value != before[key]:
            yield Change(key, "changed", list(compared(readable(before[key]), readable(value))))
    for key in before.keys() - after.keys():
        yield Change(key, "removed", _marked("-", readable(before[key])))


def compared(old: str, new: str) -> Iterator[Line]:
    """What differs, with a few lines around it."""
    left, right = old.splitlines()[:MOST_LINES], new.splitlines()[:MOST_LINES]
    for group in SequenceMatcher(None, left, right, autojunk=False).get_grouped_opcodes(NEAR):
        if group[0][1]:
            yield Line("…", "")
        for kind, start, end, begin, stop in group:
            if kind == "equal":
                yield from (Line(" ", text) for text in left[start:end])
            else:
                yield from (Line("-", text) for text in left[start:end])
                yield from (Line("+", text) for text in right[begin:stop])


def _marked(mark: str, text: str) -> list[Line]:
    return [Line(mark, line) for line in text.splitlines() or [""]]
