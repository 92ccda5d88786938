"""What the page of one run shows, as plain data for its template."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.core.paginator import Page, Paginator
from django.utils import timezone

from workflows import approvals
from workflows.admin.base import duration, entries, readable
from workflows.admin.places import Place, in_tree_order
from workflows.admin.questions import GivenAnswer, Question, answers_of, questions_of
from workflows.admin.run_artifacts import File, files_of
from workflows.admin.timeline import Row, Scale, pending_row, row
from workflows.definitions.models import step_model
from workflows.models import Event, Run, StepResult
from workflows.states import STEP_FAILED
from workflows.why import why

STEPS_ON_A_PAGE = 50
LONGEST_TIMELINE = 1000
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
    place: Place
    earlier: list[Earlier]  # newest first
    number: int
    decided: str
    answer: GivenAnswer | None
    question: Question | None
    child: Run | None
    length: str
    parameters: list[tuple[str, str]]
    result: list[tuple[str, str]]
    attempts: list[Attempt]
    logs: list[LogLine]
    files: list[File]

    @property
    def opened(self) -> bool:
        """Steps that failed or ask somebody are shown unfolded: they are what one came for."""
        return self.row.status in STEP_FAILED or self.question is not None


@dataclass(frozen=True, slots=True)
class Share:
    """A part of the progress bar, in per cent."""

    kind: str
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class RunPage:
    run: Run
    why: str  # it is where it is; nothing of one that failed, whose error stands on the page
    version: int
    length: str
    waited: str
    shares: list[Share]
    rows: list[Row]
    rows_left_out: int
    ticks: list[tuple[float, str]]
    questions: list[Question]  # the longest waiting first
    steps: Page[str]
    views: list[StepView]
    input: list[tuple[str, str]]
    reruns: list[Run]  # newest first
    events: list[Event]
    more_events: int


def page_of(run: Run, number: str | None, person: approvals.Person, now: datetime | None = None) -> RunPage:
    """The page of a run as ``person`` sees it; ``number`` is the page of its steps, `STEPS_ON_A_PAGE` on each.

    The timeline reads only the light columns, and of very many steps only the outer ones; results are read for one page
    of steps.
    """
    now = now or timezone.now()
    events = list(run.events.order_by("-seq")[:EVENTS_ON_A_PAGE])
    begun = dict(run.steps.filter(superseded=False).values_list("path", "pk"))
    paths = in_tree_order(begun)
    steps = Paginator(paths, STEPS_ON_A_PAGE).get_page(number)
    shown = _shown(paths, list(steps))
    scale = _scale(run, now)
    rows = _timeline(run, scale, begun, shown)
    pending = [line for line in _not_begun(run.version.definition) if line.place.path not in begun]
    questions = questions_of(run, person)
    return RunPage(
        run=run,
        why="" if run.error_message else why(run, now),
        version=run.version.number,
        length=duration(run.execution_ms(now)),
        waited=duration(((run.started_at or run.ended_at or now) - run.created_at).total_seconds() * 1000),
        shares=list(_shares(run)),
        rows=rows + pending,
        rows_left_out=len(begun) - len(rows),
        ticks=scale.ticks() if run.started_at else [],
        questions=questions,
        steps=steps,
        views=list(_views(run, steps, {question.row.path: question for question in questions})),
        input=entries(run.input),
        reruns=list(run.reruns.only("id", "status").order_by("-id")[:RERUNS_ON_A_PAGE]),
        events=events,
        more_events=max(0, run.event_seq - len(events)),
    )


def _scale(run: Run, now: datetime) -> Scale:
    start = run.started_at or run.created_at
    return Scale(start, max(run.ended_at or now, start))


def _shown(paths: list[str], on_page: list[str]) -> dict[str, int]:
    """Path → page of the list of steps, for those that the timeline shows.

    All, unless there are too many: then those down to the depth that fits, and those of the page.
    """
    pages = {path: 1 + index // STEPS_ON_A_PAGE for index, path in enumerate(paths)}
    if len(paths) <= LONGEST_TIMELINE:
        return pages
    depths = sorted(path.count(".") for path in paths)
    deepest = max(0, depths[LONGEST_TIMELINE] - 1)
    return {path: page for path, page in pages.items() if path.count(".") <= deepest or path in on_page}


def _timeline(run: Run, scale: Scale, begun: dict[str, int], shown: dict[str, int]) -> list[Row]:
    light = run.steps.filter(superseded=False).defer("parameters", "result", "logs")
    if len(shown) < len(begun):
        light = light.filter(pk__in=[begun[path] for path in shown])
    found = {step.path: step for step in light}
    return [row(found[path], scale, page) for path, page in shown.items() if path in found]


def _not_begun(definition: dict[str, Any]) -> Iterator[Row]:
    """Of blocks only themselves: which of their steps will run is not known before."""
    for step in definition["steps"]:
        yield pending_row(step["step_id"], step.get("step_name") or step["step_id"], step_model(step).kind)


def _shares(run: Run) -> Iterator[Share]:
    x = 0.0
    counts = {"completed": run.successful_steps, "failed": run.failed_steps, "skipped": run.skipped_steps}
    for kind, count in counts.items():
        width = 100 * count / max(run.known_steps, 1)
        if width:
            yield Share(kind, round(x, 3), round(width, 3))
        x += width


def _earlier(run: Run, paths: list[str]) -> dict[str, list[Earlier]]:
    """Path → what earlier retries discarded of these steps."""
    found: dict[str, list[Earlier]] = {}
    for step in run.steps.filter(superseded=True, path__in=paths).order_by("-id")[:EARLIER_ON_A_PAGE]:
        found.setdefault(step.path, []).append(Earlier(step, _took(step), entries(step.result)))
    return found


def _views(run: Run, steps: Page[str], questions: dict[str, Question]) -> Iterator[StepView]:
    paths = list(steps)
    found = {step.path: step for step in run.steps.filter(superseded=False, path__in=paths)}
    earlier = _earlier(run, paths) if run.attempt > 1 else {}
    files = files_of(run, paths)
    kinds = {step.kind for step in found.values()}
    answers = answers_of(run, found) if "approval" in kinds else {}
    children = {c.parent_path: c for c in run.children.filter(parent_path__in=paths)} if "workflow" in kinds else {}
    for number, path in enumerate(paths, steps.start_index()):
        if path not in found:  # a retry has discarded it meanwhile
            continue
        step = found[path]
        yield StepView(
            row=step,
            place=Place(path),
            earlier=earlier.get(path, []),
            number=number,
            decided=decided(step),
            answer=answers.get(path),
            question=questions.get(path),
            child=children.get(path),
            length=_took(step),
            parameters=entries(step.parameters),
            result=entries(step.result),
            attempts=[_attempt(attempt) for attempt in step.attempts],
            logs=[_log_line(line, step) for line in step.logs],
            files=files.get(path, []),
        )


def decided(step: StepResult) -> str:
    """What a block has come to, in a few words."""
    said, result = step.parameters or {}, step.result or {}
    match step.kind:
        case "if" | "switch" if "branch" in said:
            return f"branch {said['branch']}" if said["branch"] else "no branch"
        case "for_each" if "items" in said:
            return _counted(len(said["items"]), "item")
        case "while" if "iterations" in result:
            return _counted(result["iterations"], "iteration")
        case "wait_for" if "event" in said:
            return f"event {said['event']}"
        case "workflow" if "workflow" in said:
            return str(said["workflow"])
    return ""


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _took(step: StepResult) -> str:
    return duration(step.duration_ms) if step.started_at and (step.ended_at or step.duration_ms) else "–"


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
