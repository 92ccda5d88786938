"""Two texts side by side."""

from typing import Any

import pytest
from django.template.loader import render_to_string
from hypothesis import given
from hypothesis import strategies as st

from workflows.admin.line_diff import LONGEST_PART, MOST_LINES, Line, LineDiff, line_diff, value_diff

TEXTS = st.lists(st.sampled_from(["", "a", "ab", "b", "}"]), max_size=40).map("\n".join)


def written(line: Line) -> str:
    return line.head + line.marked + line.tail


def kinds(diff: LineDiff) -> list[str]:
    return [row.kind for row in diff.rows]


@given(TEXTS, TEXTS)
def test_every_line_is_shown_at_its_number_or_equal_and_counted(before: str, after: str) -> None:
    diff = line_diff(before, after)
    assert bool(diff) == (before != after)
    for side, text in (("before", before), ("after", after)):
        lines = text.split("\n") if text else []
        number = 1
        for row in diff.rows:
            line = getattr(row, side)
            if line is not None:
                assert (line.number, written(line)) == (number, lines[number - 1])
                number += 1
            number += row.hidden
        assert number == len(lines) + 1 or not diff
    for row in diff.rows:
        if row.before and row.after:
            assert (row.kind == "same") == (written(row.before) == written(row.after))


@given(TEXTS, TEXTS)
def test_no_more_than_a_few_equal_lines_stand_around_a_difference(before: str, after: str) -> None:
    run = 0
    for kind in kinds(line_diff(before, after)):
        run = run + 1 if kind == "same" else 0
        assert run <= 6


def test_what_differs_within_a_line_is_marked() -> None:
    (row,) = line_diff("the red owl", "the blue owl").rows
    assert (row.before, row.after) == (Line(1, "the ", "red", " owl"), Line(1, "the ", "blue", " owl"))
    (row,) = line_diff("aa", "aaa").rows
    assert (row.before, row.after) == (Line(1, "aa"), Line(1, "aa", "a"))


def test_lines_that_only_one_has_stand_alone() -> None:
    assert kinds(line_diff("a\nb", "a\nx\nb")) == ["same", "inserted", "same"]
    assert kinds(line_diff("a\nx\nb", "a\nb")) == ["same", "deleted", "same"]
    assert kinds(line_diff("", "a")) == ["inserted"]
    assert kinds(line_diff("a", "")) == ["deleted"]


def test_equal_stretches_are_folded() -> None:
    lines = [str(number) for number in range(100)]
    changed = [*lines[:20], "x", *lines[21:60], "y", *lines[61:]]
    diff = line_diff("\n".join(lines), "\n".join(changed))
    assert [row.hidden for row in diff.rows if row.hidden] == [17, 33, 36]
    assert [row.after.number for row in diff.rows if row.kind == "changed" and row.after] == [21, 61]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x\n" * 100_000, "x\ny\n" * 50_000),
        ("\n".join(f"{n}" for n in range(100_000)), "\n".join(f"{-n}" for n in range(100_000))),
        ("\n".join(f"{n % 7}" for n in range(100_000)), "\n".join(f"{n % 11}" for n in range(100_000))),
    ],
)
def test_of_long_texts_a_beginning_is_compared(before: str, after: str) -> None:
    diff = line_diff(before, after)
    assert len(diff.rows) <= 2 * MOST_LINES
    assert diff.left_out > 90_000


def test_a_difference_deep_in_a_long_line_is_seen() -> None:
    before, after = ("x" * 1_000_000 + middle + "y" * 1_000_000 for middle in ("owl", "cat"))
    (row,) = line_diff(before, after).rows
    assert row.before is not None
    assert row.before.marked == "owl"
    assert len(written(row.before)) < LONGEST_PART
    assert "more characters" in written(row.before)


def test_values_are_compared_as_they_are_read() -> None:
    assert not value_diff({"a": 1}, {"a": 1})
    assert kinds(value_diff({"a": 1, "b": 2}, {"a": 1, "b": 3})) == ["same", "same", "changed", "same"]
    assert kinds(value_diff(None, "text")) == ["inserted"]


@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", "<img src=x onerror=alert(2)>"])
def test_text_stays_text(hostile: str) -> None:
    shown: Any = render_to_string(
        "admin/workflows/diff.html",
        {"diff": line_diff(f"{hostile}\n1", f"{hostile}\n{hostile}2"), "earlier": hostile, "later": hostile},
    )
    assert hostile not in shown
    assert "<ins>&lt;" in shown
