"""What holds of all runs at any moment: one list of rules for tests, `manage.py verify_runs` and the admin."""

import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from django.conf import settings
from django.db.models import Count, F, Max, Q, QuerySet, Sum

from agents.models import Agent
from workflows.audit import ChainReader, stored
from workflows.definitions.models import CONTAINERS
from workflows.examination import Broken, Rule, examined
from workflows.models import AgentShare, Artifact, Event, Run, RunRequest, StepResult, StreamText, Workflow
from workflows.replay import Replay
from workflows.states import AWAITED, RUN_ENDED, STEP_FAILED, RunStatus, StepStatus
from workflows.workers import database_now, process_started, this_machine

A_DAY = timedelta(days=1)
TOLERANCE = timedelta(seconds=5)  # beyond a lease's length, until an expired one must be taken over
STEP_COLUMNS = ("run_id", "path", "status", "kind")


class Step(NamedTuple):
    """A result that counts."""

    path: str
    status: str
    kind: str


def broken(
    now: datetime | None = None,
    *,
    settled: bool = False,
    run_ids: Collection[uuid.UUID] | None = None,
    on_checked: Callable[[int], None] = lambda _: None,
) -> Iterator[Broken]:
    """Every rule that does not hold, of all runs or of those of ``run_ids``; limits are checked in any case.

    ``settled`` says that all work has come to rest: then no lease may have expired, and nothing may be left over that
    a sweep removes. ``now`` is the database's clock. ``on_checked`` is told after each batch of how many runs.
    Streams: memory does not grow with the number of runs, and a batch of 200 costs a handful of queries.
    """
    rows = Run.objects.select_related("worker").defer("input", "error_message")
    yield from examined(rows, partial(_of_runs, now=now, settled=settled), run_ids, on_checked)
    yield from _workflow_limits(now or database_now())
    yield from _agent_limits(now or database_now())


def _of_runs(rows: Sequence[Run], now: datetime | None, settled: bool) -> Iterator[Broken]:
    now = now or database_now()
    ids = [run.pk for run in rows]
    chains, replays = _read_events(ids)
    steps = _read_steps(ids)
    yield from _artifact_counters(rows)
    for run in rows:
        for rule, detail in _of_run(run, chains[run.pk], replays[run.pk], steps[run.pk], now, settled):
            yield Broken(run.pk, rule, detail)
    if settled:
        yield from _leftovers(ids)


def _read_events(ids: list[uuid.UUID]) -> tuple[dict[uuid.UUID, ChainReader], dict[uuid.UUID, Replay]]:
    chains = {run_id: ChainReader(run_id) for run_id in ids}
    replays = {run_id: Replay() for run_id in ids}
    for event in stored(Event.objects.filter(run__in=ids).order_by("run", "seq")):
        assert event.run_id is not None
        chains[event.run_id].read(event)
        replays[event.run_id].read(event)
    return chains, replays


def _read_steps(ids: list[uuid.UUID]) -> dict[uuid.UUID, list[Step]]:
    """Run → path, status and kind of the results that count."""
    steps: dict[uuid.UUID, list[Step]] = defaultdict(list)
    rows = StepResult.objects.filter(run__in=ids, superseded=False).order_by()
    for run_id, *step in rows.values_list(*STEP_COLUMNS).iterator(chunk_size=1000):
        steps[run_id].append(Step(*step))
    return steps


def _of_run(
    run: Run, chain: ChainReader, replay: Replay, steps: list[Step], now: datetime, settled: bool
) -> Iterator[tuple[Rule, str]]:
    ended = run.status in RUN_ENDED
    yield from ((Rule.END, detail) for detail in (_after_end(run) if ended else _before_end(run)))
    if not ended:
        yield from ((Rule.MOVED, detail) for detail in _moved(run, steps, now, settled))
    yield from ((Rule.RESULTS, detail) for detail in _results(steps))
    yield from ((Rule.COUNTERS, detail) for detail in _counters(run, steps))
    chain.end(run.event_seq, run.event_head)
    if chain.fault:  # what the events tell is worth nothing then
        yield Rule.CHAIN, chain.fault
    else:
        yield from (
            (Rule.REPLAY, detail) for detail in _replayed(run, replay, {step.path: step.status for step in steps})
        )


# --- Rules of one run ------------------------------------------------------------------------------------------------


def _moved(run: Run, steps: list[Step], now: datetime, settled: bool) -> Iterator[str]:
    """A run that has not ended has a live holder, a due time or a named wait."""
    if run.worker is not None:
        yield from _held(run, now, settled)
    elif run.status == RunStatus.RUNNING:
        yield "is running and nobody holds it"
    elif run.status == RunStatus.PAUSED:
        if run.paused_at is None:
            yield "is paused without a time since when"
        if run.due_at is not None:
            yield "is paused and due at a time: a worker would claim it"
    elif run.due_at is None and not _waits(run, steps) and not _is_reserved(run, now, settled):
        yield f"is {run.status}, nobody holds it, and it is never due"


def _waits(run: Run, steps: list[Step]) -> bool:
    """Whether something that has no time of its own ends the wait: a person, an event, the end of another run."""
    waiting = any(step.status == StepStatus.WAITING and step.kind in AWAITED for step in steps)
    return run.status == RunStatus.WAITING and waiting


def _held(run: Run, now: datetime, settled: bool) -> Iterator[str]:
    """An expired lease is taken over within the length of one; until then it is nobody's fault."""
    assert run.worker is not None
    if run.status != RunStatus.RUNNING:
        yield f"is {run.status}, and yet held by {run.worker}"
    grace = timedelta() if settled else timedelta(seconds=settings.LEASE_SECONDS) + TOLERANCE
    if run.worker.expires_at <= now - grace:
        yield f"is held by {run.worker}, whose lease expired at {run.worker.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    elif settled and run.worker.machine == this_machine() and process_started(run.worker.pid) < 0:
        yield f"is held by {run.worker}, whose process is gone"


def _is_reserved(run: Run, now: datetime, settled: bool) -> bool:
    """Waits for the one process that made it. Nobody can ask that process: for a day it is believed to live."""
    reserved = run.status == RunStatus.QUEUED and run.trigger == "python"
    return reserved and not settled and run.created_at > now - A_DAY


def _after_end(run: Run) -> Iterator[str]:
    if run.worker_id is not None:
        yield "has ended, and a worker still holds it"
    if run.due_at is not None:
        yield "has ended, and is due again"
    if run.ended_at is None:
        yield "has ended without a time"
    if run.success is None:
        yield "has ended, and does not say whether it succeeded"


def _before_end(run: Run) -> Iterator[str]:
    if run.ended_at is not None:
        yield f"is {run.status}, and has a time of its end"


def _results(steps: list[Step]) -> Iterator[str]:
    for path, number in Counter(step.path for step in steps).items():
        if number > 1:
            yield f"step {path} has {number} results that count"


def _counters(run: Run, steps: list[Step]) -> Iterator[str]:
    found = Counter(step.status for step in steps if step.kind not in CONTAINERS)
    failed = sum(found[status] for status in STEP_FAILED)
    counts = {"successful": found[StepStatus.COMPLETED], "failed": failed, "skipped": found[StepStatus.SKIPPED]}
    for name, number in counts.items():
        counted = getattr(run, f"{name}_steps")
        if counted != number:
            yield f"counts {counted} {name} steps, and has {number}"


def _artifact_counters(rows: Sequence[Run]) -> Iterator[Broken]:
    found = Artifact.objects.filter(run__in=[run.pk for run in rows]).order_by().values_list("run")
    stored = {pk: (count, size) for pk, count, size in found.annotate(Count("pk"), Sum("size"))}
    for run in rows:
        counted, there = (run.artifact_count, run.artifact_bytes), stored.get(run.pk, (0, 0))
        if counted != there:
            told = f"counts {counted[0]} artifacts of {counted[1]} bytes, and has {there[0]} of {there[1]}"
            yield Broken(run.pk, Rule.COUNTERS, told)


def _replayed(run: Run, replay: Replay, steps: dict[str, str]) -> Iterator[str]:
    yield from replay.faults
    if replay.status != run.status:
        yield f"is {run.status}, but its events make it {replay.status or 'no run at all'}"
    for path in sorted(replay.steps.keys() | steps.keys()):
        told, found = replay.steps.get(path, "missing"), steps.get(path, "missing")
        if told != found:
            yield f"step {path} is {found}, but the events make it {told}"


def _leftovers(ids: list[uuid.UUID]) -> Iterator[Broken]:
    ended = Q(run__in=ids, run__status__in=RUN_ENDED)
    for run_id in RunRequest.objects.filter(ended).values_list("run_id", flat=True).distinct():
        yield Broken(run_id, Rule.LEFTOVERS, "has ended, and a request to it is still there")
    for run_id in StreamText.objects.filter(ended).order_by().values_list("run_id", flat=True).distinct():
        yield Broken(run_id, Rule.LEFTOVERS, "has ended, and its streamed text is still there")


# --- Limits ----------------------------------------------------------------------------------------------------------
# A limit that was lowered is no breach while what began under the old one drains. It is one as soon as something began
# after the change: then somebody did not heed it.


def _workflow_limits(now: datetime) -> Iterator[Broken]:
    limit = F("workflow__concurrency_limit")
    held = Run.objects.held(now).filter(workflow__concurrency_limit__isnull=False).order_by()
    counts = held.values("workflow").annotate(runs=Count("pk")).filter(runs__gt=limit).values_list("workflow", "runs")
    for key, number in counts:
        workflow = Workflow.objects.select_related("current").get(pk=key)
        version = workflow.current
        changed = version.created_at if version is not None and version.number > 1 else None
        if not _drains(_newest_claim(held.filter(workflow=workflow)), changed):
            told = f"{number} runs of workflow {workflow.workflow_id} are held, its limit is"
            yield Broken(None, Rule.LIMITS, f"{told} {workflow.concurrency_limit}")


def _newest_claim(held: QuerySet[Run]) -> datetime | None:
    claims = Event.objects.filter(run__in=held.values("pk"), type__in=("run_started", "run_taken_over"))
    newest: datetime | None = claims.aggregate(newest=Max("at"))["newest"]
    return newest


def _agent_limits(now: datetime) -> Iterator[Broken]:
    shares = AgentShare.objects.filter(worker__expires_at__gt=now, agent__max_concurrent_jobs__isnull=False)
    counts = shares.values("agent").annotate(jobs=Sum("held")).filter(jobs__gt=F("agent__max_concurrent_jobs"))
    for key, jobs in counts.values_list("agent", "jobs"):
        agent = Agent.objects.get(pk=key)
        changed = agent.updated_at if agent.updated_at > agent.created_at + TOLERANCE else None
        if not _drains(_newest_start(agent, now), changed):
            told = f"{jobs} jobs of agent {agent.name} are under way, its limit is {agent.max_concurrent_jobs}"
            yield Broken(None, Rule.LIMITS, told)


def _newest_start(agent: Agent, now: datetime) -> datetime | None:
    steps = StepResult.objects.filter(agent=agent.name, status=StepStatus.RUNNING, run__worker__expires_at__gt=now)
    newest: datetime | None = steps.aggregate(newest=Max("started_at"))["newest"]
    return newest


def _drains(newest: datetime | None, changed: datetime | None) -> bool:
    """Whether all that is under way began before the limit was changed; ``changed`` is None if it never was."""
    return changed is not None and (newest is None or newest <= changed + TOLERANCE)
