"""Why a run is where it is, in one plain sentence: what it waits for, who is at it, or how it ended."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings

from workflows import workers
from workflows.definitions.models import CONTAINERS
from workflows.models import AgentShare, Run, StepResult, Worker
from workflows.models.run import next_attempt_at
from workflows.states import RunStatus, StepStatus

SHOWN = 3  # steps, of those under way
JUST = timedelta(seconds=5)


def why(run: Run, now: datetime | None = None) -> str:
    """The sentence, for a run with its workflow and worker. Of a run that goes on it costs a few queries."""
    now = now or workers.database_now()
    match run.status:
        case RunStatus.QUEUED:
            return _queued(run, now)
        case RunStatus.RUNNING:
            return _running(run, now)
        case RunStatus.WAITING:
            return _together(_waits(run, now)) or f"It waits until {_clock(run.due_at)}."
        case RunStatus.PAUSED:
            return f"Paused {_by_whom(run)}{_since(run.paused_at, now)}; resume goes on with it."
        case RunStatus.COMPLETED:
            return "It reached its end, with failures that its definition tolerates." if run.partial else ""
    return run.error_message


def _queued(run: Run, now: datetime) -> str:
    if run.due_at is None:
        return "It waits for the process that made it."
    if run.due_at > now:
        return f"It begins at {_clock(run.due_at)}, in {_span(run.due_at - now)}."
    limit = run.workflow.concurrency_limit
    if limit is not None and (held := Run.objects.held(now).filter(workflow=run.workflow_id).count()) >= limit:
        return f"In line: {held} of {limit} runs of {run.workflow.workflow_id} that may be under way at once are."
    if not Worker.objects.live(now).exclude(kind=Worker.Kind.LOCAL).exists():
        return "Nobody is there to take it: no worker runs. `manage.py worker` starts one."
    return f"Due{_since(run.due_at, now)}; a worker with room takes it."


def _running(run: Run, now: datetime) -> str:
    worker = run.worker
    if worker is not None and worker.expires_at <= now:
        gone = _span(now - worker.expires_at + timedelta(seconds=settings.LEASE_SECONDS))
        return f"Its {worker} has not been heard of for {gone}; another worker takes it over, if one is there."
    return _together(_under_way(run, now)) or "Between two steps."


def _under_way(run: Run, now: datetime) -> Iterator[str]:
    for step in _open_steps(run):
        if step.status == StepStatus.RUNNING and step.kind == "function":
            attempt = f", attempt {step.attempt}" if step.attempt > 1 else ""
            yield f"{step.path} is under way at {step.agent}{attempt}{_since(step.started_at, now)}"
        elif step.status == StepStatus.WAITING and step.kind == "function":
            yield f"{step.path} is in line for {step.agent}{_busy(step.agent, now)}"
        elif step.status == StepStatus.RETRYING:
            yield _next_attempt(step, now)
        elif step.status == StepStatus.WAITING:
            yield _wait(step, now)


def _waits(run: Run, now: datetime) -> Iterator[str]:
    for step in _open_steps(run):
        if step.status == StepStatus.WAITING:
            yield _wait(step, now)
        elif step.status == StepStatus.RETRYING:
            yield _next_attempt(step, now)


def _open_steps(run: Run) -> list[StepResult]:
    statuses = (StepStatus.RUNNING, StepStatus.RETRYING, StepStatus.WAITING)
    rows = run.steps.filter(superseded=False, status__in=statuses).exclude(kind__in=CONTAINERS)
    return list(rows.defer("result", "logs").order_by("pk")[: SHOWN + 1])


def _wait(step: StepResult, now: datetime) -> str:
    asked, since = step.parameters or {}, _since(step.started_at, now)
    match step.kind:
        case "approval":
            people = ", ".join(asked.get("assignees") or ["anybody who may"])
            return f"{step.path} waits for an answer by {people}{since}"
        case "wait_for":
            return f"{step.path} waits for the event {asked.get('event')!r}{since}"
        case "workflow":
            return f"{step.path} waits for run {asked.get('run_id')} of workflow {asked.get('workflow')}{since}"
    return f"{step.path} waits until {_clock(step.due_at)}"


def _next_attempt(step: StepResult, now: datetime) -> str:
    last = step.attempts[-1] if step.attempts else {}
    after = f" after {last['error_code']}: {last['error']}" if last.get("error_code") else ""
    due = next_attempt_at(step.attempts) if step.attempts else now
    when = f"in {_span(due - now)}" if due > now else "now"
    return f"{step.path} is tried again {when}{after[:300]}"


def _busy(agent: str, now: datetime) -> str:
    shares = AgentShare.objects.filter(agent__name=agent, worker__expires_at__gt=now).select_related("agent")
    rows = list(shares)
    if not rows or rows[0].agent.max_concurrent_jobs is None:
        return ""
    return f": {sum(row.held for row in rows)} of its {rows[0].agent.max_concurrent_jobs} jobs are taken"


def _by_whom(run: Run) -> str:
    event = run.events.filter(type="run_paused").order_by("-seq").first()
    return f"by {event.actor}" if event is not None else ""


def _together(told: Iterator[str]) -> str:
    sentences = list(told)
    more = "; and others" if len(sentences) > SHOWN else ""
    return "; ".join(sentences[:SHOWN]) + more + "." if sentences else ""


def _since(moment: datetime | None, now: datetime) -> str:
    return f" since {_span(now - moment)}" if moment is not None and now - moment > JUST else ""


def _clock(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else "something comes"


def _span(length: timedelta) -> str:
    """A length for people: ``12 s``, ``3 min``, ``2 h 5 min``, ``3 days``."""
    seconds = max(0, round(length.total_seconds()))
    if seconds < 120:
        return f"{seconds} s"
    minutes = seconds // 60
    if minutes < 120:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} days"
