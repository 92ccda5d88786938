"""The time of a run is split into parts that add up to the whole."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.time_split import Part, Span, split

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)

OFFSETS = st.integers(-50_000_000, 2_000_000_000)
SPANS = st.lists(st.tuples(st.sampled_from(Part), OFFSETS, OFFSETS), max_size=30)


def at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def parts(end: float, *spans: Span) -> dict[str, float]:
    """Seconds of the parts that have any."""
    return {part.value: ms / 1000 for part, ms in split(BEGIN, at(end), spans).parts.items() if ms}


@given(st.integers(0, 1_000_000_000), SPANS)
def test_parts_are_never_negative_and_add_up_to_the_whole(length: int, given: list[tuple[Part, int, int]]) -> None:
    moments = [(part, *(BEGIN + timedelta(microseconds=offset) for offset in offsets)) for part, *offsets in given]
    found = split(BEGIN, BEGIN + timedelta(microseconds=length), moments)  # type: ignore[arg-type]
    assert all(milliseconds >= 0 for milliseconds in found.parts.values())
    assert round(sum(found.parts.values()) * 1000) == length
    assert found.total_ms == length / 1000


@given(SPANS)
def test_the_first_part_has_all_of_its_spans_whatever_else_is_open(given: list[tuple[Part, int, int]]) -> None:
    end = 3_000_000_000
    covered: list[tuple[int, int]] = []
    for start, stop in sorted((max(0, a), b) for part, a, b in given if part is Part.FUNCTIONS and a < b and b > 0):
        if covered and start <= covered[-1][1]:
            covered[-1] = covered[-1][0], max(stop, covered[-1][1])
        else:
            covered.append((start, stop))
    spans = [(part, *(BEGIN + timedelta(microseconds=o) for o in offsets)) for part, *offsets in given]
    found = split(BEGIN, BEGIN + timedelta(microseconds=end), spans)  # type: ignore[arg-type]
    assert found.parts[Part.FUNCTIONS] * 1000 == pytest.approx(sum(b - a for a, b in covered))


def test_what_nothing_covers_is_overhead() -> None:
    assert parts(10) == {"overhead": 10}
    assert parts(10, (Part.FUNCTIONS, at(2), at(5))) == {"functions": 3, "overhead": 7}


def test_overlapping_branches_count_once_as_the_one_that_works() -> None:
    spans = ((Part.PEOPLE, at(0), at(10)), (Part.RETRIES, at(2), at(6)), (Part.FUNCTIONS, at(4), at(5)))
    assert parts(10, *spans) == {"people": 6, "retries": 3, "functions": 1}
    assert parts(10, *reversed(spans)) == parts(10, *spans)


def test_what_lies_outside_does_not_count() -> None:
    assert parts(10, (Part.LINE, at(-5), at(1)), (Part.EVENTS, at(9), at(99))) == {
        "line": 1,
        "events": 1,
        "overhead": 8,
    }
    assert parts(10, (Part.LINE, at(20), at(30)), (Part.LINE, at(-9), at(-1))) == {"overhead": 10}
    assert parts(0, (Part.LINE, at(0), at(5))) == {}
