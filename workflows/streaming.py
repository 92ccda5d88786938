"""What a follower of a run is told, in order: events that are public, and the streamed text between them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workflows.errors import WorkflowError
from workflows.models import Event

PUBLIC = frozenset({"step_start", "step_retry", "step_complete", "step_skipped"})
"""Events that are told as they come; ``workflow_complete`` is told when it is known to be the last."""

Attempt = tuple[str, int]
"""Path of a step and number of the attempt."""

Piece = tuple[int, str]
"""Characters of the attempt's text before this piece, and the piece."""


class PositionInvalid(WorkflowError):
    """A `Last-Event-ID` that no stream of ours has sent."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a stream: number of the last event, and characters since then of the text under way."""

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


@dataclass(frozen=True, slots=True)
class StreamItem:
    """One event of a stream: its ``id`` as text, and a JSON object with its ``type``."""

    id: str
    body: dict[str, Any]


class Transcript:
    """How far one follower has read a run, and what it is told next.

    Reading always begins at the first event, so that what was under way at ``after`` is known; what lies
    before ``after`` is not told again. A run that was retried has ended before: only the end that nothing follows is
    told, by `conclude`.
    """

    def __init__(self, after: Position) -> None:
        self.seq = 0
        self.done = False
        self.end: Event | None = None  # the end that was read, as long as no retry follows it
        self.under_way: Attempt | None = None
        self.text_from = 0  # pieces that begin before this are told already
        self._told = 0  # characters of the attempt under way
        self._after = after

    def read(self, events: Sequence[Event], texts: Mapping[Attempt, Sequence[Piece]]) -> Iterator[StreamItem]:
        """What follows from new events (in order) and the text of their attempts; the end excepted."""
        retried = max((event.seq for event in events if event.type == "run_retried"), default=0)
        for event in events:
            # An attempt before a retry may bear the name of one after it, whose text this would be.
            yield from self._tokens(texts if event.seq > retried else {})
            yield from self._event(event)
        yield from self._tokens(texts)

    def conclude(self, result: Mapping[str, Any]) -> Iterator[StreamItem]:
        """The end that was read last, where nothing follows it: ``result`` is that of the run."""
        end, self.end, self.done = self.end, None, True
        if end is not None and end.seq > self._after.event:
            yield StreamItem(str(end.seq), {"type": end.type, "result": result})

    def _event(self, event: Event) -> Iterator[StreamItem]:
        self.seq = event.seq
        if event.type == "step_start":
            self._begin((event.path, event.data.get("attempt", 1)))
        elif event.type in {"step_retry", "step_complete"}:
            self._begin(None)
        if event.seq == self._after.event:
            self._told = self._after.characters
        if event.type in {"workflow_complete", "run_retried"}:
            self.end = event if event.type == "workflow_complete" else None
        elif event.type in PUBLIC and event.seq > self._after.event:
            yield StreamItem(str(event.seq), {"type": event.type, "step_id": event.path, **event.data})

    def _begin(self, attempt: Attempt | None) -> None:
        self.under_way, self._told, self.text_from = attempt, 0, 0

    def _tokens(self, texts: Mapping[Attempt, Sequence[Piece]]) -> Iterator[StreamItem]:
        if self.under_way is None or self.seq < self._after.event:
            return
        for offset, text in sorted(texts.get(self.under_way, ())):
            end = offset + len(text)
            if offset <= self._told < end:
                token, self._told = text[self._told - offset :], end
                body = {"type": "llm_token", "step_id": self.under_way[0], "token": token}
                yield StreamItem(f"{self.seq}.{end}", body)
            self.text_from = max(self.text_from, min(end, self._told))
