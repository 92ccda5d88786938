"""Why a run is where it is, in words."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test import override_settings
from django.utils import timezone

from agents import catalog
from agents.models import Agent
from tests.engines import and_close, in_engine, until
from tests.factories import make_workflow, run_to_end, step
from workflows import runs
from workflows.engine import Engine
from workflows.models import Run, Worker
from workflows.why import why

LATER = {"initial_delay_seconds": 60, "jitter": "none"}


def started(*steps: dict[str, Any], run_at: Any = None, **fields: Any) -> Run:
    return runs.start(make_workflow(*steps, **fields), {}, trigger="api", actor="ann", run_at=run_at)


def told(run: Run, status: str, *more: Run) -> str:
    """Why, once an engine has brought the run there."""
    said: list[str] = []

    async def script(engine: Engine) -> None:
        await engine.take([run.pk, *(other.pk for other in more)])
        await until(lambda: run.steps.filter(status=status).exists())
        said.append(await asyncio.to_thread(and_close, lambda: why(runs.get(run.pk))))

    in_engine(script)
    return said[0]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (
            {"approval": {"prompt": "?", "assignees": ["ann", "group:editors"]}},
            "a waits for an answer by ann, group:editors.",
        ),
        ({"wait_for": {"event": "paid"}}, "a waits for the event 'paid'."),
        ({"wait": {"until": "2999-01-01T00:00:00Z"}}, "a waits until 2999-01-01 00:00:00 UTC."),
    ],
)
def test_a_run_that_waits_says_for_whom(asked: dict[str, Any], expected: str) -> None:
    assert told(started({"step_id": "a", **asked}), "waiting") == expected


def test_a_run_between_attempts_says_when_and_after_what() -> None:
    run = started(step("a", "raise_text", {"text": "HTTP 429"}, retry=LATER))
    said = told(run, "retrying")
    assert said.startswith("a is tried again in ")
    assert said.endswith("after FunctionFailed: RuntimeError: HTTP 429.")


def test_a_step_in_line_says_how_many_are_before_it() -> None:
    Agent.objects.update(max_concurrent_jobs=1)
    catalog.forget()
    first = started(step("a", "nap", {"seconds": 3}), workflow_id="first")
    second = started(step("a", "nap", {"seconds": 0}), workflow_id="second")
    said = told(second, "waiting", first)
    assert said == "a is in line for tester: 1 of its 1 jobs are taken."


def test_a_run_that_is_queued_says_whose_turn_it_is() -> None:
    later = started(step("a"), run_at=timezone.now() + timedelta(minutes=30), workflow_id="later")
    assert "in 30 min" in why(runs.get(later.pk))
    queued = started(step("a"))
    assert "no worker runs" in why(runs.get(queued.pk))
    now = timezone.now()
    Worker.objects.create(kind="worker", host="here", pid=1, started_at=now, expires_at=now + timedelta(minutes=1))
    assert why(runs.get(queued.pk)) == "Due; it is the next in line, and a worker with room takes it."
    behind = started(step("a"), workflow_id="behind")
    assert "1 run before it in line" in why(runs.get(behind.pk))


@override_settings(WORKERS=1, RUNS_PER_WORKER=1)
def test_a_run_that_nobody_has_room_for_says_so() -> None:
    now, later = timezone.now(), timezone.now() + timedelta(minutes=1)
    for kind in ("pacemaker", "worker"):
        worker = Worker.objects.create(kind=kind, host="here", pid=1, started_at=now, expires_at=later)
    Run.objects.filter(pk=started(step("a"), workflow_id="first").pk).update(worker=worker, status="running")
    assert "all workers are full, with 1 runs" in why(runs.get(started(step("a")).pk))


def test_a_run_whose_worker_is_gone_or_that_was_paused_says_so() -> None:
    run = started(step("a"))
    past = timezone.now() - timedelta(seconds=8)
    worker = Worker.objects.create(kind="worker", host="there", pid=7, started_at=past, expires_at=past)
    Run.objects.filter(pk=run.pk).update(status="running", worker=worker, due_at=None)
    gone = "Its worker there:7 has not been heard of for 23 s; no other worker runs to take it over."
    assert why(runs.get(run.pk), past + timedelta(seconds=8)) == gone
    soon = "Its worker there:7 has not been heard of for 8 s; after 15 s no other worker runs to take it over."
    assert why(runs.get(run.pk), past - timedelta(seconds=7)) == soon
    Worker.objects.create(kind="pacemaker", host="b", pid=8, started_at=past, expires_at=past + timedelta(hours=1))
    assert why(runs.get(run.pk), past).endswith("for 15 s; another worker takes it over.")
    other = started(step("a"), workflow_id="other")
    runs.pause(other.pk, actor="bob")
    assert why(runs.get(other.pk)) == "Paused by bob; resume goes on with it."


def test_a_run_that_ended_tells_its_error() -> None:
    assert why(run_to_end(step("a"))) == "Completed: it reached its end."
    failed = run_to_end(step("a", "raise_text", {"text": "no"}, max_retries=0))
    assert why(failed) == "step a failed: RuntimeError: no"


def test_a_run_that_was_cancelled_tells_by_whom() -> None:
    run = started(step("a"))
    runs.cancel(run.pk, actor="bob")
    assert why(runs.get(run.pk)).startswith("Cancelled by bob 0 s ago")


def test_a_run_whose_holder_was_asked_says_by_whom() -> None:
    run = started(step("a"))
    now = timezone.now()
    later = now + timedelta(seconds=settings.LEASE_SECONDS)
    worker = Worker.objects.create(kind="worker", host="there", pid=7, started_at=now, expires_at=later)
    Run.objects.filter(pk=run.pk).update(status="running", worker=worker, due_at=None)
    runs.pause(run.pk, actor="bob")
    assert why(runs.get(run.pk), now).endswith("It is about to be paused, asked by bob.")
