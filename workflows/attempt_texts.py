"""The text that running attempts stream, on its way to the database."""

import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Exists

from workflows.changes import write_texts
from workflows.held import HeldRun
from workflows.ledger import Ledger
from workflows.models import StepResult, StreamText
from workflows.states import StepStatus

KEEP = 1.0  # seconds after an attempt's end, so that whoever follows it has read it


@dataclass(slots=True)
class AttemptText:
    """What one attempt has written, and what of it is not stored yet."""

    held: HeldRun
    path: str
    attempt: int
    stored: bool = False
    pieces: list[str] = field(default_factory=list)

    def write(self, text: str) -> None:
        self.pieces.append(text)

    def take(self) -> dict[str, Any] | None:
        """The columns of a row with what is not stored yet. Whoever takes it stores it before what comes later."""
        text, self.pieces = "".join(self.pieces), []
        if not text:
            return None
        self.stored = True
        place = self.held.place(text)
        return {"run": self.held.id, "path": self.path, "attempt": self.attempt, "text": text, **place}


class AttemptTexts:
    """All texts of one loop. Those of running attempts are written together; those of ended ones go a little later."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._running: dict[tuple[uuid.UUID, str], AttemptText] = {}
        self._ended: list[tuple[float, AttemptText]] = []

    def begin(self, held: HeldRun, path: str, attempt: int) -> AttemptText:
        text = self._running[held.id, path] = AttemptText(held, path, attempt)
        return text

    def end(self, run_id: uuid.UUID, path: str | None = None) -> list[dict[str, Any]]:
        """The attempt of a step, or all of the run, have ended: rows not stored yet, to be written with that."""
        rows = []
        for key in [key for key in self._running if key[0] == run_id and path in (None, key[1])]:
            text = self._running.pop(key)
            if row := text.take():
                rows.append(row)
            if text.stored:
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
        same = StepResult.objects.filter(run=text.held.id, path=text.path, attempt=text.attempt, superseded=False)
        rows = StreamText.objects.filter(run=text.held.id, path=text.path, attempt=text.attempt)
        rows.exclude(Exists(same.filter(status=StepStatus.RUNNING))).delete()
