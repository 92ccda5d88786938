"""What a follower is told, from plain events and text, without threads."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.models import Event
from workflows.streaming import Attempt, Piece, Position, PositionInvalid, StreamItem, Transcript

Texts = dict[Attempt, list[Piece]]


def make_event(seq: int, type: str, path: str = "", **data: Any) -> Event:
    stored: Any = data  # the stubs take a JSON column for text
    return Event(seq=seq, type=type, path=path, data=stored)


def story() -> list[Event]:
    return [
        make_event(1, "run_created"),
        make_event(2, "run_started"),
        make_event(3, "step_start", "a", attempt=1),
        make_event(4, "step_retry", "a", attempt=1),
        make_event(5, "step_start", "a", attempt=2),
        make_event(6, "run_taken_over"),
        make_event(7, "step_complete", "a", success=True),
        make_event(8, "step_skipped", "b"),
        make_event(9, "workflow_complete"),
    ]


def retried_story() -> list[Event]:
    """A run that failed, was retried from its step `a` on, and succeeded."""
    return [
        make_event(1, "step_start", "a", attempt=1),
        make_event(2, "step_complete", "a", success=False),
        make_event(3, "workflow_complete"),
        make_event(4, "run_retried"),
        make_event(5, "step_start", "a", attempt=1),
        make_event(6, "step_complete", "a", success=True),
        make_event(7, "workflow_complete"),
    ]


def pieces(*texts: str) -> list[Piece]:
    offsets = itertools.accumulate((len(text) for text in texts), initial=0)
    return list(zip(offsets, texts, strict=False))


def read(transcript: Transcript, events: list[Event], texts: Texts) -> list[StreamItem]:
    """What is told of these events; where the last of them ends the run, that it has ended."""
    items = list(transcript.read(events, texts))
    return items + (list(transcript.conclude({"success": True})) if transcript.end else [])


def tokens(items: list[StreamItem]) -> str:
    return "".join(item.body["token"] for item in items if item.body["type"] == "llm_token")


TEXTS: Texts = {("a", 1): pieces("void"), ("a", 2): pieces("one ", "two ", "three")}


def test_text_stands_between_the_events_of_its_attempt() -> None:
    transcript = Transcript(Position())
    items = read(transcript, story(), TEXTS)
    assert [item.id for item in items] == ["3", "3.4", "4", "5", "5.4", "5.8", "5.13", "7", "8", "9"]
    assert transcript.done


def test_text_of_an_earlier_attempt_is_not_told_with_a_later_one() -> None:
    transcript = Transcript(Position())
    read(transcript, story()[:5], {})
    assert tokens(read(transcript, [], {("a", 1): pieces("void"), ("a", 2): pieces("good")})) == "good"


@given(st.lists(st.integers(0, 9), max_size=4), st.lists(st.text(min_size=1, max_size=5), max_size=6))
def test_however_it_is_polled_each_character_is_told_once(cuts: list[int], words: list[str]) -> None:
    texts: Texts = {("a", 2): pieces(*words)}
    transcript, told = Transcript(Position()), []
    bounds = [0, *sorted(cuts), 9]
    for begin, end in itertools.pairwise(bounds):
        known = {key: rows[: end - 3] if end < 7 else rows for key, rows in texts.items()}
        told += read(transcript, story()[begin:end], known)
    assert tokens(told) == "".join(words)
    assert [item.id for item in told if "." not in item.id] == ["3", "4", "5", "7", "8", "9"]


def test_from_any_id_the_rest_follows_without_loss_or_repeat() -> None:
    whole = read(Transcript(Position()), story(), TEXTS)
    for index, item in enumerate(whole):
        rest = read(Transcript(Position.parse(item.id)), story(), TEXTS)
        assert rest == whole[index + 1 :], item.id


def test_from_the_middle_of_a_piece_the_rest_of_it_follows() -> None:
    rest = read(Transcript(Position.parse("5.6")), story(), TEXTS)
    assert tokens(rest) == "o three"


def test_an_end_before_a_retry_is_not_told() -> None:
    transcript = Transcript(Position())
    assert [item.id for item in read(transcript, retried_story()[:5], {})] == ["1", "2", "5"]
    assert not transcript.done
    rest = read(transcript, retried_story()[5:], {})
    assert [(item.id, item.body["type"]) for item in rest] == [("6", "step_complete"), ("7", "workflow_complete")]
    assert transcript.done


def test_an_end_that_is_read_before_its_retry_waits_until_it_is_known_to_be_the_last() -> None:
    transcript = Transcript(Position())
    told = list(transcript.read(retried_story()[:3], {}))
    assert [item.id for item in told] == ["1", "2"]
    assert transcript.end is not None
    assert not transcript.done
    assert list(transcript.read(retried_story()[3:4], {})) == []
    assert transcript.end is None


def test_from_an_earlier_end_what_followed_its_retry_is_told() -> None:
    rest = read(Transcript(Position.parse("3")), retried_story(), {})
    assert [item.id for item in rest] == ["5", "6", "7"]


def test_who_knows_the_last_end_is_told_nothing_and_let_go() -> None:
    transcript = Transcript(Position.parse("7"))
    assert read(transcript, retried_story(), {}) == []
    assert transcript.done


@pytest.mark.parametrize("known", range(8))
def test_text_after_a_retry_is_told_once_though_its_attempt_bears_an_earlier_name(known: int) -> None:
    texts: Texts = {("a", 1): pieces("good")}
    transcript = Transcript(Position())
    told = read(transcript, retried_story()[:known], texts if known > 4 else {})
    told += read(transcript, retried_story()[known:], texts)
    assert tokens(told) == "good"


@pytest.mark.parametrize("text", ["x", "-1", "1.", ".1", "1.2.3", "1e3", "٣", "9" * 20])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(PositionInvalid):
        Position.parse(text)
