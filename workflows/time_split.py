"""Where the time of a run went, as plain data: parts that add up to the whole, told from its rows and events."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Any

from django.db.models import Case, F, When

from workflows.definitions.models import CONTAINERS
from workflows.models import Run
from workflows.models.run import next_attempt_at
from workflows.states import StepStatus


class Part(StrEnum):
    """What a moment of a run counts as. Where branches overlap, it counts once, as the first of these."""

    FUNCTIONS = "functions"  # the attempt that decided a step
    RETRIES = "retries"  # attempts that another one followed, and the waits between
    CHILDREN = "children"
    PAUSED = "paused"
    LINE = "line"  # for a worker, or for a job of an agent
    PEOPLE = "people"
    EVENTS = "events"
    TIME = "time"  # until a time that was set
    OVERHEAD = "overhead"  # all else: deciding, writing, taking over


Span = tuple[Part, datetime, datetime]

WAITED_FOR = {"approval": Part.PEOPLE, "wait_for": Part.EVENTS, "workflow": Part.CHILDREN, "wait": Part.TIME}
"""Kinds of steps that wait → for what."""

LEADS_TO: dict[str, Part | None] = {
    "run_created": Part.LINE,
    "run_retried": Part.LINE,
    "run_released": Part.LINE,
    "run_woken": Part.LINE,
    "run_resumed": Part.LINE,
    "run_paused": Part.PAUSED,
    "run_started": None,
    "run_taken_over": None,
    "run_waiting": None,
    "workflow_complete": None,
}
"""Events of a run → what it is at from then on; None where its steps tell."""


@dataclass(frozen=True, slots=True)
class TimeSplit:
    """Milliseconds by part; together they are the time from ``begin`` to ``end``."""

    begin: datetime
    end: datetime
    parts: dict[Part, float]

    @property
    def total_ms(self) -> float:
        return _microseconds(self.end - self.begin) / 1000

    def to_json(self) -> dict[str, Any]:
        return {
            "begin": self.begin.isoformat(),
            "end": self.end.isoformat(),
            "total_ms": self.total_ms,
            "parts": {part.value: milliseconds for part, milliseconds in self.parts.items()},
        }


def time_split(run: Run, now: datetime) -> TimeSplit:
    """The time of the run's newest attempt, from its creation or its `retry` to its end, or to ``now``.

    Only light columns are read, and attempts only of steps with more than one: a step costs some microseconds.
    """
    begin, end = run.created_at, run.ended_at or now
    spans = []
    for type, span in _run_spans(run, end):
        begin = span[1] if type == "run_retried" else begin
        spans.append(span)
    return split(begin, max(begin, end), [*spans, *_step_spans(run, end)])


def split(begin: datetime, end: datetime, spans: Iterable[Span]) -> TimeSplit:
    """Sweep over the spans' ends in order: each moment goes to the first of the parts that are open."""
    order = {part: index for index, part in enumerate(Part)}
    whole = _microseconds(end - begin)
    marks = []
    for part, start, stop in spans:
        first, last = _microseconds(start - begin), _microseconds(stop - begin)
        if first < last:
            marks += [(max(first, 0), order[part], 1), (max(last, 0), order[part], -1)]
    marks.sort()
    opened, counted, at = [0] * len(order), [0] * len(order), 0
    for moment, part_index, change in [*marks, (whole, 0, 0)]:
        until = min(moment, whole)
        if until > at:
            counted[next((index for index, number in enumerate(opened) if number), -1)] += until - at
            at = until
        opened[part_index] += change
    return TimeSplit(begin, end, {part: counted[index] / 1000 for part, index in order.items()})


def _microseconds(length: timedelta) -> int:
    return (length.days * 86_400 + length.seconds) * 1_000_000 + length.microseconds


def _run_spans(run: Run, end: datetime) -> Iterator[tuple[str, Span]]:
    """In line for a worker, paused, or put off: with the type of the event with which each began."""
    events = run.events.filter(type__in=LEADS_TO).order_by("seq").values_list("type", "at", "data")
    before: tuple[str, Part | None, datetime] = ("", None, end)
    for type, at, told in [*events, ("", end, {})]:
        began_with, part, since = before
        if part is not None:
            yield began_with, (part, since, at)
        before = type, LEADS_TO.get(type), at
        if "run_at" in told:
            due = datetime.fromisoformat(told["run_at"])
            yield type, (Part.TIME, at, due)
            before = type, Part.LINE, due


def _step_spans(run: Run, end: datetime) -> Iterator[Span]:
    rows = run.steps.filter(superseded=False, started_at__isnull=False).exclude(kind__in=CONTAINERS).order_by()
    attempts = Case(When(attempt__gt=1, then=F("attempts")))
    columns = ("kind", "status", "started_at", "ended_at", "duration_ms", "waited_ms", attempts)
    for kind, status, started_at, ended_at, duration_ms, waited_ms, tried in rows.values_list(*columns).iterator():
        if kind in WAITED_FOR:
            yield WAITED_FOR[kind], started_at, ended_at or end
            continue
        if tried:
            yield from _attempts(tried, waited_ms, ended_at or end, status == StepStatus.RUNNING)
        else:
            running = status == StepStatus.RUNNING
            yield Part.FUNCTIONS, started_at, end if running else started_at + timedelta(milliseconds=duration_ms)
            yield Part.LINE, started_at - timedelta(milliseconds=waited_ms), started_at


def _attempts(tried: list[dict[str, Any]], waited_ms: float, until: datetime, running: bool) -> Iterator[Span]:
    """Of a step with several. For how long they stood in line is told of all together: gaps between take it first."""
    spans = [(_moment(each["started_at"]), _moment(each["ended_at"]), each.get("retry_in", 0)) for each in tried]
    if running:
        spans.append((next_attempt_at(tried), until, 0))
    waited = timedelta(milliseconds=waited_ms)
    for (start, stop, retry_in), (following, _, _) in pairwise([*spans, (until, until, 0)]):
        due = min(stop + timedelta(seconds=retry_in), until)
        decided = following == until and not retry_in
        yield (Part.FUNCTIONS if decided else Part.RETRIES), start, stop
        yield Part.RETRIES, stop, due
        if not decided:
            in_line = min(waited, max(following - due, timedelta()))
            yield Part.LINE, following - in_line, following
            waited -= in_line
    yield Part.LINE, spans[0][0] - waited, spans[0][0]


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
