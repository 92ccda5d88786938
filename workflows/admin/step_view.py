"""One step of a run as plain data for its template: what it was given, what it gave, and its attempts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from workflows.admin.base import duration, entries, readable
from workflows.admin.questions import GivenAnswer, answers_of
from workflows.models import Run, StepResult

EARLIER_ON_A_PAGE = 100
LOG_LINES = 500


@dataclass(frozen=True, slots=True)
class LogLine:
    after: str
    level: str
    message: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """``retry``: the wait that followed it, as text; ``mark`` is the status in whose colour it is shown."""

    number: int
    began: datetime | None
    length: str
    error: str
    code: str
    trace: str
    retry: str

    @property
    def mark(self) -> str:
        return "failed" if self.code else "completed"


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
    answer: GivenAnswer | None
    child: Run | None
    waited: str  # in line for its agent
    parameters: list[tuple[str, str]]
    result: list[tuple[str, str]]
    attempts: list[Attempt]
    logs: list[LogLine]
    more_logs: int


def views_of(run: Run, pks: Sequence[int]) -> dict[str, StepView]:
    """Path → what is shown of the step, of those with these keys."""
    rows = {row.path: row for row in run.steps.filter(pk__in=pks)} if pks else {}
    kinds = {row.kind for row in rows.values()}
    earlier = _earlier(run, rows) if run.attempt > 1 and rows else {}
    answers = answers_of(run, rows) if "approval" in kinds else {}
    children = {c.parent_path: c for c in run.children.filter(parent_path__in=rows)} if "workflow" in kinds else {}
    return {path: _view(row, earlier.get(path, []), answers, children) for path, row in rows.items()}


def _view(
    row: StepResult, earlier: list[Earlier], answers: Mapping[str, GivenAnswer], children: Mapping[str, Run]
) -> StepView:
    return StepView(
        row=row,
        earlier=earlier,
        answer=answers.get(row.path),
        child=children.get(row.path),
        waited=duration(row.waited_ms) if row.waited_ms else "",
        parameters=entries(row.parameters),
        result=entries(row.result),
        attempts=[_attempt(attempt) for attempt in row.attempts],
        logs=[_log_line(line, row) for line in row.logs[:LOG_LINES]],
        more_logs=max(0, len(row.logs) - LOG_LINES),
    )


def _earlier(run: Run, paths: Mapping[str, object]) -> dict[str, list[Earlier]]:
    """Path → what earlier retries discarded of these steps."""
    found: dict[str, list[Earlier]] = {}
    for step in run.steps.filter(superseded=True, path__in=paths).order_by("-id")[:EARLIER_ON_A_PAGE]:
        found.setdefault(step.path, []).append(Earlier(step, took(step), entries(step.result)))
    return found


def decided(step: StepResult) -> str:
    """What a block has come to, in a few words; of a function nothing, whose values need not be read for it."""
    if step.kind == "function":
        return ""
    said, result = step.parameters or {}, step.result or {}
    match step.kind:
        case "if" | "switch" if "branch" in said:
            return f"branch {said['branch']}" if said["branch"] else "no branch"
        case "for_each" if "items" in said:
            return counted(len(said["items"]), "item")
        case "while" if "iterations" in result:
            return counted(result["iterations"], "iteration")
        case "wait_for" if "event" in said:
            return f"event {said['event']}"
        case "workflow" if "workflow" in said:
            return str(said["workflow"])
    return ""


def counted(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def took(step: StepResult) -> str:
    return duration(step.duration_ms) if step.started_at and (step.ended_at or step.duration_ms) else ""


def _attempt(attempt: dict[str, Any]) -> Attempt:
    retry_in = attempt.get("retry_in")
    began, ended = (_moment(attempt.get(key)) for key in ("started_at", "ended_at"))
    return Attempt(
        number=attempt["number"],
        began=began,
        length=duration((ended - began).total_seconds() * 1000) if began and ended else "–",
        error=readable(attempt.get("error") or attempt.get("interrupted") or ""),
        code=attempt.get("error_code") or ("Interrupted" if attempt.get("interrupted") else ""),
        trace=readable(attempt.get("trace") or ""),
        retry="" if retry_in is None else duration(retry_in * 1000),
    )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _log_line(line: dict[str, Any], step: StepResult) -> LogLine:
    after = datetime.fromtimestamp(line["at"], UTC) - step.started_at if step.started_at else None
    return LogLine(
        after=f"+{duration(max(0.0, after.total_seconds() * 1000))}" if after is not None else "",
        level=line["level"],
        message=readable(line["message"]),
    )
