"""Why a run is where it is, in one plain sentence: what it waits for, who is at it, or how it ended."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q

from workflows import loads, workers
from workflows.definitions.models import CONTAINERS
from workflows.models import AgentShare, Run, RunRequest, StepResult, Worker
from workflows.models.run import next_attempt_at
from workflows.states import RunStatus, StepStatus

SHOWN = 3  # steps, of those under way
JUST = timedelta(seconds=5)
SILENT = 3.0  # seconds without renewal, which comes each second, after which a worker is told of
MOST_COUNTED = 1000  # runs before this one

OPEN = (StepStatus.RUNNING, StepStatus.RETRYING, StepStatus.WAITING)
ASKED: dict[str, str] = {
    RunRequest.Verb.CANCEL: "It is about to be cancelled",
    RunRequest.Verb.PAUSE: "It is about to be paused",
}


def why(run: Run, now: datetime | None = None) -> str:
    """The sentence, for a run with its workflow and worker. Of a run that goes on it costs a few queries."""
    now = now or workers.database_now()
    match run.status:
        case RunStatus.QUEUED:
            return _queued(run, now)
        case RunStatus.RUNNING:
            return _running(run, now)
        case RunStatus.WAITING:
            return _together(_under_way(run, now)) or f"It waits until {_clock(run.due_at)}."
        case RunStatus.PAUSED:
            return f"Paused {_by_whom(run, 'run_paused')}{_since(run.paused_at, now)}; resume goes on with it."
        case RunStatus.COMPLETED:
            failures = ", with failures that its definition tolerates" if run.partial else ""
            return f"Completed: it reached its end{failures}."
        case RunStatus.CANCELLED:
            return f"Cancelled {_by_whom(run, 'workflow_complete')}{_ago(run.ended_at, now)}; retry goes on with it."
    return run.error_message


def why_step(step: StepResult, now: datetime) -> str:
    """The same for a step that goes on by itself or waits; nothing for any other."""
    if step.kind in CONTAINERS or step.status not in OPEN:
        return ""
    return f"{_open_step(step, now)}."


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
    return f"Due{_since(run.due_at, now)}; {_line(run, now)}."


def _line(run: Run, now: datetime) -> str:
    """Its place among the runs that are due, and whether workers have room."""
    earlier = Q(priority__gt=run.priority) | Q(priority=run.priority, due_at__lt=run.due_at)
    before = Run.objects.due(now).filter(earlier).order_by()[:MOST_COUNTED].count()
    found = loads.loads(now)
    held, capacity = sum(load.held for load in found), sum(load.capacity for load in found)
    room = f"all workers are full, with {held} runs" if found and held >= capacity else "a worker with room takes it"
    if not before:
        return f"it is the next in line, and {room}"
    more = " or more" if before == MOST_COUNTED else ""
    return f"{before}{more} run{'s' if before > 1 else ''} before it in line, and {room}"


def _running(run: Run, now: datetime) -> str:
    worker = run.worker
    if worker is not None:
        unheard = (now - worker.expires_at).total_seconds() + settings.LEASE_SECONDS
        heard = f"Its {worker} has not been heard of for {unheard:.0f} s"
        if worker.expires_at <= now:
            return f"{heard}; {_successor(worker, now)}."
        if unheard > SILENT:
            return f"{heard}; after {settings.LEASE_SECONDS:.0f} s {_successor(worker, now)}."
    asked = run.requests.filter(verb__in=ASKED).order_by("-pk").first()
    verb = f" {ASKED[asked.verb]}, asked by {asked.actor}." if asked else ""
    return (_together(_under_way(run, now)) or "Between two steps.") + verb


def _successor(worker: Worker, now: datetime) -> str:
    others = Worker.objects.live(now).exclude(kind=Worker.Kind.LOCAL).exclude(pk=worker.pk).exists()
    return "another worker takes it over" if others else "no other worker runs to take it over"


def _under_way(run: Run, now: datetime) -> Iterator[str]:
    rows = run.steps.filter(superseded=False, status__in=OPEN).exclude(kind__in=CONTAINERS)
    for step in rows.defer("result", "logs").order_by("pk")[: SHOWN + 1]:
        yield _open_step(step, now)


def _open_step(step: StepResult, now: datetime) -> str:
    if step.status == StepStatus.RETRYING:
        return _next_attempt(step, now)
    if step.status == StepStatus.RUNNING:
        attempt = f", attempt {step.attempt}" if step.attempt > 1 else ""
        return f"{step.path} is under way{_at(step.agent)}{attempt}{_since(step.started_at, now)}"
    if step.kind == "function":
        return f"{step.path} is in line for {step.agent}{_busy(step.agent, now)}"
    return _wait(step, now)


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


def _by_whom(run: Run, type: str) -> str:
    """Who made the newest event of that type."""
    event = run.events.filter(type=type).order_by("-seq").first()
    return f"by {event.actor}" if event is not None else ""


def _together(told: Iterator[str]) -> str:
    sentences = list(told)
    more = "; and others" if len(sentences) > SHOWN else ""
    return "; ".join(sentences[:SHOWN]) + more + "." if sentences else ""


def _since(moment: datetime | None, now: datetime) -> str:
    return f" since {_span(now - moment)}" if moment is not None and now - moment > JUST else ""


def _at(agent: str) -> str:
    return f" at {agent}" if agent else ""


def _ago(moment: datetime | None, now: datetime) -> str:
    return f" {_span(now - moment)} ago" if moment is not None else ""


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
