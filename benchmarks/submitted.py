"""Runs that are submitted to workers of their own: latency, many at once, waiting steps, and what rest costs."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import django

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db.models import F, Max, QuerySet  # noqa: E402
from django.utils import timezone  # noqa: E402

from agents.models import Agent  # noqa: E402
from benchmarks import machine  # noqa: E402
from benchmarks.limit import beside_limit, durations, limit_ms, rates  # noqa: E402
from workflows import dispatch, publishing, runs  # noqa: E402
from workflows.definitions import Definition  # noqa: E402
from workflows.models import Run, StepResult, Workflow  # noqa: E402
from workflows.questions import WHO, Question  # noqa: E402

AGENT = "unlimited"  # the shipped ones have a `max_concurrent_jobs`
APART = 0.05  # seconds between runs whose latency is measured
AT_ONCE = 500
WAITING = 5000
WAIT_SECONDS = 60


def main() -> None:
    call_command("migrate", verbosity=0)
    call_command("sync_agents", verbosity=0)
    Agent.objects.update_or_create(name=AGENT, defaults={"functions": ["echo", "delay"]})
    times = int(sys.argv[1])
    wanted = sys.argv[2:] or ["latency", "many", "naps", "waits", "rest"]
    figures: dict[str, float] = {}
    with _workers() as pid:
        _one(_echoes())  # its loop is begun, and its code loaded
        for name in wanted:
            figures |= MEASURES[name](pid, times)
    print(json.dumps(figures))


@contextmanager
def _workers() -> Iterator[int]:
    """The process id of a cluster of two loops."""
    worker = subprocess.Popen([sys.executable, "manage.py", "worker"], stdout=sys.stderr)
    try:
        yield worker.pid
    finally:
        worker.terminate()
        worker.wait()


def _latency(pid: int, times: int) -> dict[str, float]:
    """From the start of a run of 3 no-op steps until who started it sees its end. Milliseconds."""
    workflow = _echoes()
    for _ in range(20):  # both loops are begun, and know the statements
        _one(workflow)
    batches: list[list[float]] = []

    def p50() -> float:
        batches.append([_one_of_many(workflow) for _ in range(100)])
        return statistics.median(batches[-1])

    p50s = beside_limit(p50, times * 2, partial(limit_ms, rest=APART))
    p95s = [(sorted(batch)[len(batch) * 95 // 100], limit) for batch, (_, limit) in zip(batches, p50s, strict=True)]
    return durations("run_p50_ms", p50s) | durations("run_p95_ms", p95s) | {"cold_p50_ms": _cold(workflow, 3)}


def _one_of_many(workflow: Workflow) -> float:
    time.sleep(APART)
    return _one(workflow)


def _cold(workflow: Workflow, times: int) -> float:
    """The same, where no loop lingers any more."""
    taken = []
    for _ in range(times):
        time.sleep(15)
        taken.append(_one(workflow))
    return statistics.median(taken)


def _many(pid: int, times: int) -> dict[str, float]:
    """Runs of 3 no-op steps a second: submitted one after the other while workers work, and when all wait already."""
    workflow = _echoes()
    submitted = beside_limit(lambda: AT_ONCE / _submitted(workflow, ring_each=True)[0], 4 * times)
    queued = beside_limit(lambda: AT_ONCE / _submitted(workflow, ring_each=False)[0], 4 * times)
    return rates("submitted_runs_per_s", submitted) | rates("queued_runs_per_s", queued)


def _naps(pid: int, times: int) -> dict[str, float]:
    """Runs of 3 steps that each wait for 1 s: seconds until all have ended, and what all worker processes take then."""
    steps = [_step(f"nap{number}", "delay", ms=1000) for number in range(3)]
    workflow = _workflow("bench_naps", steps)
    taken = [_submitted(workflow, ring_each=False, pid=pid) for _ in range(max(1, times // 2))]
    return {
        "naps_500_s": statistics.median(seconds for seconds, _ in taken),
        "naps_500_mib": statistics.median(mib for _, mib in taken),
    }


def _waits(pid: int, times: int) -> dict[str, float]:
    """Runs that wait for a minute, in a block: how late the latest went on, and what all worker processes took."""
    workflow = _workflow("bench_waits", [{"step_id": "wait", "wait": {"seconds": WAIT_SECONDS}}])
    seconds, mib = _submitted(workflow, ring_each=False, pid=pid, count=WAITING)
    ended = StepResult.objects.filter(run__workflow=workflow, status="completed")
    late = ended.aggregate(most=Max(F("ended_at") - F("due_at")))["most"]
    assert ended.count() == WAITING
    return {"waits_5000_s": seconds, "waits_5000_late_s": late.total_seconds(), "waits_5000_mib": mib}


def _rest(pid: int, times: int) -> dict[str, float]:
    """With nothing to do: memory, and processor time in percent of one core."""
    time.sleep(15)  # loops have left, caches are warm
    family = machine.family(pid)
    return {"rest_mib": machine.pss_mib(family), "rest_cpu_percent": machine.cpu_percent(family, 20)}


MEASURES = {"latency": _latency, "many": _many, "naps": _naps, "waits": _waits, "rest": _rest}


def _submitted(
    workflow: Workflow, *, ring_each: bool, pid: int | None = None, count: int = AT_ONCE
) -> tuple[float, float]:
    """Seconds from the first submission, or from the bell, to the last end; and the most memory (MiB) of ``pid``."""
    earlier = workflow.runs.ended().count()
    started = timezone.now()
    put_off = started + timedelta(seconds=2 + count * 0.005)
    for _ in range(count):
        runs.start(workflow, {}, trigger="bench", actor="bench", run_at=None if ring_each else put_off)
    if not ring_each:
        time.sleep(max(0.0, (put_off - timezone.now()).total_seconds()))
        started = timezone.now()
        dispatch.wake()
    most = 0.0
    while workflow.runs.ended().count() < earlier + count:
        if pid is not None:
            most = max(most, machine.pss_mib(machine.family(pid)))
        time.sleep(0.01 if pid is None else 0.25)
    _require_success(workflow.runs.all())
    last = workflow.runs.aggregate(end=Max("ended_at"))["end"]
    return (last - started).total_seconds(), most


def _require_success(rows: QuerySet[Run]) -> None:
    if failed := rows.exclude(success=True).first():
        raise SystemExit(f"a run of the benchmark failed: {failed.error_message}")


def _one(workflow: Workflow) -> float:
    """Milliseconds from submitting one run to seeing its end."""
    started = time.perf_counter()
    run = runs.start(workflow, {}, trigger="bench", actor="bench")
    while not _HAS_ENDED.ask(run.pk)[1]["ended"]:
        time.sleep(0.001)
    return (time.perf_counter() - started) * 1000


_HAS_ENDED = Question(lambda: {"ended": Run.objects.ended().filter(pk=WHO)})  # asked often: it must cost little


def _echoes() -> Workflow:
    return _workflow("bench_echoes", [_step(step_id, "echo", message="x") for step_id in "abc"])


def _step(step_id: str, function: str, **parameters: Any) -> dict[str, Any]:
    return {"step_id": step_id, "agent_id": AGENT, "function_name": function, "parameters": parameters}


def _workflow(workflow_id: str, steps: list[dict[str, Any]]) -> Workflow:
    return publishing.save(Definition.model_validate({"workflow_id": workflow_id, "steps": steps}), actor="bench")


main()
