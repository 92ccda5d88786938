"""What a follower of a run is told, in order: events that are public, and the streamed text between them.

Text has its place in that order when it is stored: after which event, and after how many characters since then, of
whichever attempts. So all followers are told the same, however many attempts stream at once, and a place in the stream
is enough to go on from.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workflows.errors import WorkflowError
from workflows.models import Event

PUBLIC = frozenset({"step_start", "step_retry", "step_complete", "step_skipped"})
"""Events that are told as they come; ``workflow_complete`` is told when it is known to be the last."""


class PositionInvalid(WorkflowError):
    """A `Last-Event-ID` that no stream of ours has sent."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a stream: number of the last event, and characters of text since then."""

    event: int = 0
    characters: int = 0

    @classmethod
    def parse(cls, text: str) -> "Position":
        """Reads ``<event>`` or ``<event>.<characters>``; empty is the beginning. Raises `PositionInvalid`."""
        if not text:
            return cls()
        match = re.fullmatch(r"([0-9]{1,9})(?:\.([0-9]{1,9}))?", text)
        if match is None:
            raise PositionInvalid(f"Last-Event-ID {text[:50]!r} is no id of this stream, such as 7 or 7.120")
        return cls(int(match[1]), int(match[2] or 0))

    def __str__(self) -> str:
        return f"{self.event}.{self.characters}" if self.characters else str(self.event)


@dataclass(frozen=True, slots=True, order=True)
class Piece:
    """Text of an attempt, and its place in the stream."""

    begin: Position
    path: str
    attempt: int
    text: str

    @property
    def end(self) -> Position:
        return Position(self.begin.event, self.begin.characters + len(self.text))

    def after(self, told: Position) -> str:
        """What of it lies behind ``told``."""
        return self.text[told.characters - self.begin.characters :] if told > self.begin else self.text


@dataclass(frozen=True, slots=True)
class StreamItem:
    """One event of a stream: its ``id`` as text, and a JSON object with its ``type``."""

    id: str
    body: dict[str, Any]


class Transcript:
    """How far one follower has read a run, and what it is told next.

    Reading always begins at the first event, so that the attempts under way at ``after`` are known; what lies before
    ``after`` is not told again. A run that was retried has ended before: only the end that nothing follows is told, by
    `conclude`.
    """

    tells_result = True

    def __init__(self, after: Position) -> None:
        self.seq = 0
        self.done = False
        self.end: Event | None = None  # the end that was read, as long as no retry follows it
        self.under_way: dict[str, int] = {}  # path → number of the attempt that may stream
        self.text_from = Position(after.event)  # pieces that begin before this are not needed
        self._told = after

    def read(self, events: Sequence[Event], pieces: Iterable[Piece]) -> Iterator[StreamItem]:
        """What follows from new events, in order, and all text that was stored by then; the end excepted."""
        waiting = deque(sorted(pieces))
        for event in events:
            yield from self._tokens(waiting)
            yield from self._event(event)
        yield from self._tokens(waiting)

    def conclude(self, result: Mapping[str, Any]) -> Iterator[StreamItem]:
        """The end that was read last, where nothing follows it: ``result`` is that of the run."""
        end, self.end, self.done = self.end, None, True
        if end is not None and Position(end.seq) > self._told:
            yield StreamItem(str(end.seq), {"type": end.type, "result": result})

    def _event(self, event: Event) -> Iterator[StreamItem]:
        place = Position(event.seq)
        self._note(event, place)
        if _is_public(event) and place > self._told:
            self._told = place
            yield StreamItem(str(place), {"type": event.type, **_place(event.path), **event.data})

    def _note(self, event: Event, place: Position) -> None:
        """Which attempts are under way, and whether the run has ended."""
        self.seq = event.seq
        self.text_from = max(self.text_from, place)
        if event.type == "step_start" and "kind" not in event.data:  # blocks don't stream
            self.under_way[event.path] = event.data.get("attempt", 1)
        elif event.type in {"step_retry", "step_complete"}:
            self.under_way.pop(event.path, None)
        if event.type in {"workflow_complete", "run_retried"}:
            self.end = event if event.type == "workflow_complete" else None

    def _tokens(self, pieces: deque[Piece]) -> Iterator[StreamItem]:
        """Text up to the event that comes next. What follows on events that are not read yet is left for later."""
        while pieces and pieces[0].begin.event <= self.seq:
            piece = pieces.popleft()
            self.text_from = max(self.text_from, piece.end)
            # Text of another attempt comes from a worker that had lost the run when it wrote.
            if piece.end > self._told and self.under_way.get(piece.path) == piece.attempt:
                token, self._told = piece.after(self._told), piece.end
                yield StreamItem(str(self._told), {"type": "llm_token", **_place(piece.path), "token": token})


def _is_public(event: Event) -> bool:
    """Waits for a time, a person, an event or a child are told; not those in line for an agent, which have no kind."""
    return event.type in PUBLIC or (event.type == "step_waiting" and "kind" in event.data)


def _place(path: str) -> dict[str, str]:
    return {"step_id": path.rpartition(".")[2], "path": path}
