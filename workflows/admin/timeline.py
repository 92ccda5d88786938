"""The timeline of a run as plain data: a row for each step, bars in per cent of the whole length."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from math import ceil, floor, log10

from workflows.admin.base import duration
from workflows.admin.places import Place
from workflows.models import Run, StepResult
from workflows.models.run import next_attempt_at
from workflows.states import STEP_ENDED, StepStatus

MINUTES = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 360, 720, 1440)
ROOM = 8  # a part of so many of the time that has passed is left to grow into
SHORTEST_ROOM = timedelta(seconds=2)
NARROWEST = 0.35
"""Per cent: no bar is drawn narrower, so that a step of a millisecond can be seen."""


@dataclass(frozen=True, slots=True)
class Bar:
    """``kind`` is a step's status, ``gap`` (the wait before a retry) or ``interrupted``; in per cent."""

    kind: str
    x: float
    width: float
    title: str
    grows: bool = False  # what it shows goes on


@dataclass(frozen=True, slots=True)
class Row:
    """A step's line; ``is_begun``: it has a place in the tree of steps."""

    place: Place
    name: str
    kind: str
    status: str
    length: str
    is_begun: bool = True
    bars: list[Bar] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Scale:
    """From moments to per cent of the time between ``start`` and ``end``, with ``room`` behind it to grow into."""

    start: datetime
    end: datetime
    room: timedelta = timedelta()

    @classmethod
    def of(cls, run: Run, now: datetime) -> "Scale":
        """From a run's start to its end, or a little into the future."""
        start = run.started_at or run.created_at
        end = max(run.ended_at or now, start)
        return cls(start, end, timedelta() if run.has_ended else max((end - start) / ROOM, SHORTEST_ROOM))

    @property
    def passed(self) -> int:
        """Milliseconds until ``end``."""
        return round((self.end - self.start).total_seconds() * 1000)

    @property
    def milliseconds(self) -> float:
        return max((self.end + self.room - self.start).total_seconds() * 1000, 1.0)

    def bar(self, kind: str, start: datetime, end: datetime, title: str, grows: bool = False) -> Bar:
        x = min(self._percent(start), 100 - NARROWEST)
        width = max(self._percent(end) - x, NARROWEST)
        return Bar(kind, round(x, 3), round(min(width, 100 - x), 3), title, grows)

    def ticks(self) -> list[tuple[float, str]]:
        """At most six round moments: (per cent, text)."""
        step = _round_up(self.milliseconds / 5)
        count = floor(self.milliseconds / step)
        moments = [step * number for number in range(count + 1)]
        shown = [(100 * moment / self.milliseconds, duration(moment)) for moment in moments]
        return [(round(x, 3), text) for x, text in shown if x < 97]

    def _percent(self, moment: datetime) -> float:
        passed = (moment - self.start).total_seconds() * 1000
        return min(100.0, max(0.0, 100 * passed / self.milliseconds))


def row(step: StepResult, scale: Scale) -> Row:
    """The step's line: its attempts, the waits between them, and what is under way."""
    return Row(
        place=Place(step.path),
        name=step.name or step.path,
        kind=step.kind,
        status=step.status,
        length=duration(step.duration_ms) if step.duration_ms else "",
        bars=[*_ended_attempts(step, scale), *_gaps(step, scale), *_under_way(step, scale), *_whole(step, scale)],
    )


def pending_row(step_id: str, name: str, kind: str) -> Row:
    """The line of a step that has not begun."""
    return Row(Place(step_id), name, kind, StepStatus.PENDING, length="", is_begun=False)


def _ended_attempts(step: StepResult, scale: Scale) -> Iterator[Bar]:
    last = len(step.attempts) - 1
    for position, (number, start, end, attempt) in enumerate(_spans(step)):
        kind = "interrupted" if attempt.get("interrupted") else _kind(step, position == last, attempt)
        length = duration((end - start).total_seconds() * 1000)
        what = attempt.get("error") or attempt.get("interrupted") or "done"
        yield scale.bar(kind, start, end, f"attempt {number}: {length}, {str(what)[:200]}")


def _kind(step: StepResult, is_last: bool, attempt: dict[str, object]) -> str:
    if is_last and step.status in STEP_ENDED:
        return step.status
    return StepStatus.FAILED if attempt.get("error_code") else StepStatus.COMPLETED


def _gaps(step: StepResult, scale: Scale) -> Iterator[Bar]:
    for (_, _, end, _), (_, start, _, _) in pairwise(_spans(step)):
        yield scale.bar("gap", end, start, f"waited {duration((start - end).total_seconds() * 1000)}")
    if step.status in {StepStatus.RETRYING, StepStatus.WAITING} and step.attempts:
        end = datetime.fromisoformat(step.attempts[-1]["ended_at"])
        yield scale.bar("gap", end, scale.end, "waiting for the next attempt", grows=True)


def _under_way(step: StepResult, scale: Scale) -> Iterator[Bar]:
    if step.status == StepStatus.RUNNING and step.started_at:
        title = f"attempt {step.attempt}: running" if step.attempt else "under way"
        yield scale.bar(StepStatus.RUNNING, _newest_start(step), scale.end, title, grows=True)


def _whole(step: StepResult, scale: Scale) -> Iterator[Bar]:
    """Steps without attempts: blocks and waits, from their beginning to their end."""
    if step.attempts or step.started_at is None:
        return
    if step.ended_at is not None:
        yield scale.bar(step.status, step.started_at, step.ended_at, f"{step.kind}: {duration(step.duration_ms)}")
    elif step.status == StepStatus.WAITING:
        yield scale.bar(StepStatus.WAITING, step.started_at, scale.end, f"{step.kind}: waiting", grows=True)


def _newest_start(step: StepResult) -> datetime:
    assert step.started_at is not None
    if not step.attempts:
        return step.started_at
    return next_attempt_at(step.attempts)


def _spans(step: StepResult) -> Iterable[tuple[int, datetime, datetime, dict[str, object]]]:
    for attempt in step.attempts:
        if attempt.get("started_at") and attempt.get("ended_at"):
            start, end = (datetime.fromisoformat(attempt[key]) for key in ("started_at", "ended_at"))
            yield attempt["number"], start, end, attempt


def _round_up(milliseconds: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50, … milliseconds; beyond 20 s round minutes, beyond a day whole days."""
    if milliseconds > 20_000:
        day = 86_400_000.0
        return next((m * 60_000 for m in MINUTES if m * 60_000 >= milliseconds), ceil(milliseconds / day) * day)
    magnitude = 10.0 ** floor(log10(milliseconds))
    return next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= milliseconds)
