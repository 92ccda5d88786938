"""What the page of one run shows, as plain data for its template."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.core.paginator import Page, Paginator
from django.utils import timezone

from workflows.admin.base import duration, entries, readable
from workflows.admin.timeline import Row, Scale, pending_row, row
from workflows.models import Event, Run, StepResult
from workflows.states import StepStatus

STEPS_ON_A_PAGE = 50
EVENTS_ON_A_PAGE = 100
EARLIER_ON_A_PAGE = 100
RERUNS_ON_A_PAGE = 10


@dataclass(frozen=True, slots=True)
class LogLine:
    after: str
    level: str
    message: str


@dataclass(frozen=True, slots=True)
class Attempt:
    number: int
    length: str
    error: str
    code: str
    trace: str
    retry: str


@dataclass(frozen=True, slots=True)
class Earlier:
    """A result that was discarded by a retry."""

    row: StepResult
    length: str
    result: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class StepView:
    """A step's result with its values made readable; long ones are cut."""

    row: StepResult
    earlier: list[Earlier]  # newest first
    number: int
    length: str
    parameters: list[tuple[str, str]]
    result: list[tuple[str, str]]
    attempts: list[Attempt]
    logs: list[LogLine]

    @property
    def opened(self) -> bool:
        """Steps that failed are shown unfolded: they are what one came for."""
        return self.row.status in {StepStatus.FAILED, StepStatus.TIMED_OUT}


@dataclass(frozen=True, slots=True)
class Share:
    """A part of the progress bar, in per cent."""

    kind: str
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class RunPage:
    run: Run
    version: int
    length: str
    waited: str
    shares: list[Share]
    rows: list[Row]
    ticks: list[tuple[float, str]]
    steps: Page[StepResult]
    views: list[StepView]
    input: list[tuple[str, str]]
    reruns: list[Run]  # newest first
    events: list[Event]
    more_events: int


def page_of(run: Run, number: str | None, now: datetime | None = None) -> RunPage:
    """The page of a run; ``number`` is the page of its steps, `STEPS_ON_A_PAGE` on each.

    The timeline shows every step but reads only the light columns; results are read for one page of steps.
    """
    now = now or timezone.now()
    events = list(run.events.order_by("-seq")[:EVENTS_ON_A_PAGE])
    steps = Paginator(run.steps.filter(superseded=False).order_by("id"), STEPS_ON_A_PAGE).get_page(number)
    earlier = _earlier(run, steps) if run.attempt > 1 else {}
    scale = _scale(run, now)
    return RunPage(
        run=run,
        version=run.version.number,
        length=duration(run.execution_ms(now)),
        waited=duration(((run.started_at or run.ended_at or now) - run.created_at).total_seconds() * 1000),
        shares=list(_shares(run)),
        rows=_timeline(run, scale),
        ticks=scale.ticks() if run.started_at else [],
        steps=steps,
        views=[
            _view(step, number, earlier.get(step.path, [])) for number, step in enumerate(steps, steps.start_index())
        ],
        input=entries(run.input),
        reruns=list(run.reruns.only("id", "status").order_by("-id")[:RERUNS_ON_A_PAGE]),
        events=events,
        more_events=max(0, run.event_seq - len(events)),
    )


def _scale(run: Run, now: datetime) -> Scale:
    start = run.started_at or run.created_at
    return Scale(start, max(run.ended_at or now, start))


def _timeline(run: Run, scale: Scale) -> list[Row]:
    begun = run.steps.filter(superseded=False).order_by("id").defer("parameters", "result", "logs")
    rows = [row(step, scale, 1 + index // STEPS_ON_A_PAGE) for index, step in enumerate(begun)]
    seen = {line.path for line in rows}
    return rows + [line for line in _not_begun(run.version.definition) if line.path not in seen]


def _not_begun(definition: dict[str, Any]) -> Iterator[Row]:
    for step in definition["steps"]:
        yield pending_row(step["step_id"], step.get("step_name") or step["step_id"])


def _shares(run: Run) -> Iterator[Share]:
    x = 0.0
    counts = {"completed": run.successful_steps, "failed": run.failed_steps, "skipped": run.skipped_steps}
    for kind, count in counts.items():
        width = 100 * count / max(run.total_steps, 1)
        if width:
            yield Share(kind, round(x, 3), round(width, 3))
        x += width


def _earlier(run: Run, steps: Page[StepResult]) -> dict[str, list[Earlier]]:
    """Path → what earlier retries discarded of these steps."""
    paths = [step.path for step in steps]
    found: dict[str, list[Earlier]] = {}
    for step in run.steps.filter(superseded=True, path__in=paths).order_by("-id")[:EARLIER_ON_A_PAGE]:
        found.setdefault(step.path, []).append(Earlier(step, _took(step), entries(step.result)))
    return found


def _view(step: StepResult, number: int, earlier: list[Earlier]) -> StepView:
    return StepView(
        row=step,
        earlier=earlier,
        number=number,
        length=_took(step),
        parameters=entries(step.parameters),
        result=entries(step.result),
        attempts=[_attempt(attempt) for attempt in step.attempts],
        logs=[_log_line(line, step) for line in step.logs],
    )


def _took(step: StepResult) -> str:
    return duration(step.duration_ms) if step.started_at else "–"


def _attempt(attempt: dict[str, Any]) -> Attempt:
    retry_in = attempt.get("retry_in")
    return Attempt(
        number=attempt["number"],
        length=_length(attempt.get("started_at"), attempt.get("ended_at")),
        error=readable(attempt.get("error") or attempt.get("interrupted") or ""),
        code=attempt.get("error_code") or ("Interrupted" if attempt.get("interrupted") else ""),
        trace=readable(attempt.get("trace") or ""),
        retry="" if retry_in is None else duration(retry_in * 1000),
    )


def _length(start: str | None, end: str | None) -> str:
    if not start or not end:
        return "–"
    return duration((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds() * 1000)


def _log_line(line: dict[str, Any], step: StepResult) -> LogLine:
    after = datetime.fromtimestamp(line["at"], UTC) - step.started_at if step.started_at else None
    return LogLine(
        after=f"+{duration(max(0.0, after.total_seconds() * 1000))}" if after is not None else "",
        level=line["level"],
        message=line["message"],
    )
