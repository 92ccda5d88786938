"""What a follower is told, from plain events and text, without threads."""

import itertools
import uuid
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workflows.held import HeldRun
from workflows.models import Event
from workflows.states import RunStatus
from workflows.streaming import Piece, Position, PositionInvalid, StreamItem, Transcript


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


def pieces(seq: int, path: str, attempt: int, *texts: str) -> list[Piece]:
    """Text of one attempt that was stored after the event of that number."""
    offsets = itertools.accumulate((len(text) for text in texts), initial=0)
    return [Piece(Position(seq, offset), path, attempt, text) for offset, text in zip(offsets, texts, strict=False)]


def read(transcript: Transcript, events: list[Event], texts: list[Piece]) -> list[StreamItem]:
    """What is told of these events; where the last of them ends the run, that it has ended."""
    items = list(transcript.read(events, texts))
    return items + (list(transcript.conclude({"success": True})) if transcript.end else [])


def tokens(items: list[StreamItem]) -> str:
    return "".join(item.body["token"] for item in items if item.body["type"] == "llm_token")


TEXTS = [*pieces(3, "a", 1, "void"), *pieces(5, "a", 2, "one ", "two "), *pieces(6, "a", 2, "three")]


def test_text_stands_between_the_events_of_its_attempt() -> None:
    transcript = Transcript(Position())
    items = read(transcript, story(), TEXTS)
    assert [item.id for item in items] == ["3", "3.4", "4", "5", "5.4", "5.8", "6.5", "7", "8", "9"]
    assert items[1].body == {"type": "llm_token", "step_id": "a", "path": "a", "token": "void"}
    assert transcript.done


def test_text_of_an_earlier_attempt_is_not_told_with_a_later_one() -> None:
    transcript = Transcript(Position())
    read(transcript, story()[:5], [])
    late = pieces(5, "a", 1, "from a worker that had lost the run")
    assert tokens(read(transcript, [], [*late, *pieces(5, "a", 2, "good")])) == "good"


def test_text_behind_an_event_that_is_not_read_yet_waits_for_it() -> None:
    transcript = Transcript(Position())
    assert tokens(read(transcript, story()[:5], TEXTS)) == "voidone two "
    assert transcript.text_from == Position(5, 8)
    assert tokens(read(transcript, story()[5:], TEXTS)) == "three"


def test_inside_blocks_the_path_is_told_and_the_steps_own_id() -> None:
    path = "chapters[2].improve[0].check"
    events = [
        make_event(1, "step_start", "chapters", kind="for_each"),
        make_event(2, "step_start", path, attempt=1),
    ]
    block, start, token = read(Transcript(Position()), events, pieces(2, path, 1, "x"))
    assert (block.body["step_id"], block.body["kind"]) == ("chapters", "for_each")
    assert start.body == {"type": "step_start", "step_id": "check", "path": path, "attempt": 1}
    assert token.body == {"type": "llm_token", "step_id": "check", "path": path, "token": "x"}


def test_that_a_person_is_asked_is_told_and_not_that_a_step_is_in_line_for_its_agent() -> None:
    events = [
        make_event(1, "step_waiting", "a", limit=1),
        make_event(2, "step_waiting", "gate", kind="approval", prompt="Publish?"),
    ]
    (item,) = read(Transcript(Position()), events, [])
    assert (item.id, item.body["type"], item.body["prompt"]) == ("2", "step_waiting", "Publish?")


@dataclass
class Recorder:
    """Events and text in the order in which a holder stores them."""

    held: HeldRun = field(
        default_factory=lambda: HeldRun(uuid.UUID(int=1), 1, RunStatus.RUNNING, 0, "", "tester", counts={})
    )
    stored: list[Event | Piece] = field(default_factory=list)

    def event(self, type: str, path: str = "", **data: Any) -> None:
        self.held.seq += 1
        self.stored.append(make_event(self.held.seq, type, path, **data))

    def text(self, path: str, text: str) -> None:
        place = self.held.place(text)
        self.stored.append(Piece(Position(place["seq"], place["offset"]), path, 1, text))

    def events(self, since: int, until: int) -> list[Event]:
        return [entry for entry in self.stored[since:until] if isinstance(entry, Event)]

    def texts(self, until: int, gone: set[str] | None = None) -> list[Piece]:
        """Text that was stored by then; that of the steps ``gone`` is deleted."""
        found = [entry for entry in self.stored[:until] if isinstance(entry, Piece)]
        return [piece for piece in found if piece.path not in (gone or ())]


@st.composite
def stories(draw: st.DrawFn, attempts: int) -> Recorder:
    """A run in which so many attempts stream at once, and end in any order."""
    recorder, running = Recorder(), [f"all.s{number}" for number in range(attempts)]
    for path in running:
        recorder.event("step_start", path, attempt=1)
    for _ in range(draw(st.integers(0, 40))):
        path = draw(st.sampled_from(running))
        what = draw(st.sampled_from(["text", "text", "text", "other", "end"]))
        if what == "text":
            recorder.text(path, draw(st.text(min_size=1, max_size=4)))
        elif what == "other":
            recorder.event("run_taken_over")
        elif len(running) > 1:
            running.remove(path)
            recorder.event("step_complete", path, success=True)
    return recorder


def of_path(items: list[StreamItem], path: str) -> str:
    return tokens([item for item in items if item.body.get("path") == path])


@pytest.mark.parametrize("attempts", [2, 10])
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_text_of_attempts_at_once_is_told_once_however_it_is_polled(attempts: int, data: st.DataObject) -> None:
    recorder = data.draw(stories(attempts))
    transcript, told, since = Transcript(Position()), list[StreamItem](), 0
    whole = len(recorder.stored)
    for until in [*sorted(data.draw(st.lists(st.integers(0, whole), max_size=5))), whole]:
        later = data.draw(st.integers(until, whole))  # text is asked for after events
        told += read(transcript, recorder.events(since, until), recorder.texts(later))
        since = until
    for path in {piece.path for piece in recorder.texts(whole)}:
        assert of_path(told, path) == "".join(p.text for p in recorder.texts(whole) if p.path == path)
    places = [Position.parse(item.id) for item in told]
    assert places == sorted(set(places))


@pytest.mark.parametrize("attempts", [2, 10])
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_attempts_at_once_are_taken_up_at_any_id_without_loss_or_repeat(attempts: int, data: st.DataObject) -> None:
    recorder = data.draw(stories(attempts))
    whole = read(Transcript(Position()), recorder.events(0, 1000), recorder.texts(1000))
    ended = {event.path for event in recorder.events(0, 1000) if event.type == "step_complete"}
    for index, item in enumerate(whole):
        after = Position.parse(item.id)
        assert read(Transcript(after), recorder.events(0, 1000), recorder.texts(1000)) == whole[index + 1 :]
        rest = read(Transcript(after), recorder.events(0, 1000), recorder.texts(1000, gone=ended))
        assert rest == [
            item for item in whole[index + 1 :] if item.body["type"] != "llm_token" or item.body["path"] not in ended
        ]


@given(st.lists(st.integers(0, 9), max_size=4), st.lists(st.text(min_size=1, max_size=5), max_size=6))
def test_however_it_is_polled_each_character_is_told_once(cuts: list[int], words: list[str]) -> None:
    texts = pieces(5, "a", 2, *words)
    transcript, told = Transcript(Position()), []
    bounds = [0, *sorted(cuts), 9]
    for begin, end in itertools.pairwise(bounds):
        told += read(transcript, story()[begin:end], texts[: end - 3] if end < 7 else texts)
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
    assert [item.id for item in rest] == ["5.8", "6.5", "7", "8", "9"]


def test_an_end_before_a_retry_is_not_told() -> None:
    transcript = Transcript(Position())
    assert [item.id for item in read(transcript, retried_story()[:5], [])] == ["1", "2", "5"]
    assert not transcript.done
    rest = read(transcript, retried_story()[5:], [])
    assert [(item.id, item.body["type"]) for item in rest] == [("6", "step_complete"), ("7", "workflow_complete")]
    assert transcript.done


def test_an_end_that_is_read_before_its_retry_waits_until_it_is_known_to_be_the_last() -> None:
    transcript = Transcript(Position())
    told = list(transcript.read(retried_story()[:3], []))
    assert [item.id for item in told] == ["1", "2"]
    assert transcript.end is not None
    assert not transcript.done
    assert list(transcript.read(retried_story()[3:4], [])) == []
    assert transcript.end is None


def test_from_an_earlier_end_what_followed_its_retry_is_told() -> None:
    rest = read(Transcript(Position.parse("3")), retried_story(), [])
    assert [item.id for item in rest] == ["5", "6", "7"]


def test_who_knows_the_last_end_is_told_nothing_and_let_go() -> None:
    transcript = Transcript(Position.parse("7"))
    assert read(transcript, retried_story(), []) == []
    assert transcript.done


@pytest.mark.parametrize("known", range(8))
def test_text_after_a_retry_is_told_once_though_its_attempt_bears_an_earlier_name(known: int) -> None:
    texts = pieces(5, "a", 1, "good")
    transcript = Transcript(Position())
    told = read(transcript, retried_story()[:known], texts if known > 4 else [])
    told += read(transcript, retried_story()[known:], texts)
    assert tokens(told) == "good"


@pytest.mark.parametrize("text", ["x", "-1", "1.", ".1", "1.2.3", "1e3", "٣", "9" * 20])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(PositionInvalid):
        Position.parse(text)
