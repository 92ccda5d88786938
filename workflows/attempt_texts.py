"""The text that running attempts stream, on its way to the database."""

import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Exists

from workflows.changes import write_texts
from workflows.ledger import Ledger
from workflows.models import StepResult, StreamText
from workflows.states import StepStatus

KEEP = 1.0  # seconds after an attempt's end, so that whoever follows it has read it


@dataclass(slots=True)
class AttemptText:
    """What one attempt has written and what of it is stored: ``offset`` counts stored characters."""

    run_id: uuid.UUID
    path: str
    attempt: int
    offset: int = 0
    pieces: list[str] = field(default_factory=list)

    def write(self, text: str) -> None:
        self.pieces.append(text)

    def take(self) -> dict[str, Any] | None:
        """The columns of a row with what is not stored yet."""
        if not self.pieces:
            return None
        text, self.pieces = "".join(self.pieces), []
        row = {"run": self.run_id, "path": self.path, "attempt": self.attempt, "offset": self.offset, "text": text}
        self.offset += len(text)
        return row


class AttemptTexts:
    """All texts of one loop. Those of running attempts are written together; those of ended ones go a little later."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._running: dict[tuple[uuid.UUID, str], AttemptText] = {}
        self._ended: list[tuple[float, AttemptText]] = []

    def begin(self, run_id: uuid.UUID, path: str, attempt: int) -> AttemptText:
        text = self._running[run_id, path] = AttemptText(run_id, path, attempt)
        return text

    def end(self, run_id: uuid.UUID, path: str | None = None) -> list[dict[str, Any]]:
        """The attempt of a step, or all of the run, have ended: rows not stored yet, to be written with that."""
        rows = []
        for key in [key for key in self._running if key[0] == run_id and path in (None, key[1])]:
            text = self._running.pop(key)
            if row := text.take():
                rows.append(row)
            if text.offset:
                self._ended.append((time.monotonic() + KEEP, text))
        return rows

    async def store(self) -> None:
        """Write what has come, and delete what has been kept long enough. Raises DatabaseError."""
        rows = [row for text in self._running.values() if (row := text.take())]
        if rows:
            await self._ledger.call(write_texts, rows)
        await self.delete(before=time.monotonic())

    async def delete(self, before: float = float("inf")) -> None:
        old = [text for due, text in self._ended if due < before]
        if old:
            self._ended = [item for item in self._ended if item[0] >= before]
            await self._ledger.call(_delete, old)


def _delete(ended: list[AttemptText]) -> None:
    # After a `retry` of the run an attempt under way may bear the same number: its text stays, and goes at its end.
    for text in ended:
        same = StepResult.objects.filter(run=text.run_id, path=text.path, attempt=text.attempt, superseded=False)
        rows = StreamText.objects.filter(run=text.run_id, path=text.path, attempt=text.attempt)
        rows.exclude(Exists(same.filter(status=StepStatus.RUNNING))).delete()
