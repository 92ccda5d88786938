"""Two texts side by side, line by line, as plain data: which lines differ, and where within them. Bounded."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any

from workflows.admin.base import readable

AROUND = 3
"""Equal lines that are shown before and after those that differ."""

MOST_LINES = 600
"""Lines from the first that differs on which are compared, of each text: difflib's time grows with their square."""

LONGEST_PART = 2_000
"""Characters of a differing part of a line that are shown; of what is equal before and after it, a tenth."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of one text: ``marked`` is what differs from the line beside it. ``number`` counts from 1."""

    number: int
    head: str
    marked: str = ""
    tail: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """Lines that stand beside each other; None where a text has none there. ``hidden`` equal lines are left out."""

    kind: str  # same, changed, deleted, inserted, or hidden
    before: Line | None = None
    after: Line | None = None
    hidden: int = 0


@dataclass(frozen=True, slots=True)
class LineDiff:
    """``left_out``: lines of the longer text, behind those that are compared, which may differ too."""

    rows: list[Row]
    left_out: int = 0

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return bool(self.rows)


def value_diff(before: Any, after: Any) -> LineDiff:
    """What differs between two JSON values, written as pages show them; None stands for a value that is not there."""
    return line_diff(*("" if value is None else readable(value, longest=None) for value in (before, after)))


def line_diff(before: str, after: str) -> LineDiff:
    """What differs between two texts, with a few equal lines around it."""
    old, new = _lines(before), _lines(after)
    start = _equal(old, new)
    if before == after:
        return LineDiff([])
    end = _equal(old[start:][::-1], new[start:][::-1])
    first, last = max(0, start - AROUND), max(0, end - AROUND)
    old, new = (lines[first : len(lines) - last] for lines in (old, new))
    left_out = max(0, max(len(old), len(new)) - MOST_LINES)
    pairs = _pairs(old[:MOST_LINES], new[:MOST_LINES])
    shown = _folded(list(_rows(pairs, first + 1)))
    return LineDiff([*_hidden(first), *shown, *_hidden(0 if left_out else last)], left_out)


def _lines(text: str) -> list[str]:
    return text.split("\n") if text else []


def _equal(old: Sequence[str], new: Sequence[str]) -> int:
    """How many lines, or characters, at the beginning are equal: by halving, as comparing slices is fast."""
    fewest, most = 0, min(len(old), len(new))
    while fewest < most:
        middle = (fewest + most + 1) // 2
        if old[fewest:middle] == new[fewest:middle]:
            fewest = middle
        else:
            most = middle - 1
    return fewest


def _pairs(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[str | None, str | None]]:
    """Lines beside each other. Those of a changed stretch are paired in their order."""
    for _, i1, i2, j1, j2 in SequenceMatcher(None, old, new).get_opcodes():
        yield from zip_longest(old[i1:i2], new[j1:j2])


def _rows(pairs: Iterable[tuple[str | None, str | None]], first: int) -> Iterator[Row]:
    before = after = first
    for old, new in pairs:
        if old is None:
            yield Row("inserted", after=Line(after, "", _cut(new or "")))
        elif new is None:
            yield Row("deleted", before=Line(before, "", _cut(old)))
        elif old == new:
            yield Row("same", Line(before, _cut(old)), Line(after, _cut(new)))
        else:
            was, becomes = _parts(old, new)
            yield Row("changed", Line(before, *was), Line(after, *becomes))
        before, after = before + (old is not None), after + (new is not None)


def _parts(old: str, new: str) -> list[tuple[str, str, str]]:
    """Of both lines: the part in which they begin alike, what differs, and the part in which they end alike."""
    head = _equal(old, new)
    rests = [text[head:] for text in (old, new)]
    tail = _equal(rests[0][::-1], rests[1][::-1])
    cut = [(rest[: len(rest) - tail], rest[len(rest) - tail :]) for rest in rests]
    return [(_end_of(old[:head]), _cut(marked), _cut(alike, LONGEST_PART // 10)) for marked, alike in cut]


def _cut(text: str, longest: int = LONGEST_PART) -> str:
    return text if len(text) <= longest else f"{text[:longest]} … {len(text) - longest:,} more characters"


def _end_of(text: str) -> str:
    longest = LONGEST_PART // 10
    return text if len(text) <= longest else f"{len(text) - longest:,} characters … {text[-longest:]}"


def _folded(rows: Sequence[Row]) -> Iterator[Row]:
    """The rows, with long stretches of equal lines between changes left out."""
    differing = [index for index, row in enumerate(rows) if row.kind != "same"]
    near = {at for index in differing for at in range(index - AROUND, index + AROUND + 1)}
    hidden = 0
    for index, row in enumerate(rows):
        if index in near:
            yield from _hidden(hidden)
            yield row
        hidden = 0 if index in near else hidden + 1
    yield from _hidden(hidden)


def _hidden(number: int) -> list[Row]:
    return [Row("hidden", hidden=number)] if number else []
