"""Runs carried out by real `manage.py worker` processes, which are stopped and killed under way."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from django.utils import timezone

from tests.factories import make_workflow, step
from tests.workers.conftest import alive, descendants, ended, wait_for
from workflows import audit, runs
from workflows.models import Event, Run, RunRequest, Worker

Start = Callable[..., subprocess.Popen[bytes]]


def start(*steps: dict, **fields: object) -> Run:
    return runs.start(make_workflow(*steps, **fields), {}, trigger="api", actor="tester")


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def test_a_run_started_elsewhere_is_carried_out(start_worker: Start) -> None:
    start_worker()
    run = start(step("a"), step("b", "measure"), step("c"))
    wait_for(lambda: ended(run))
    assert run.status == "completed"
    assert [row.status for row in run.steps.all()] == ["completed"] * 3
    assert Event.objects.filter(run=run, type="step_start").first().actor.startswith("worker:")  # type: ignore[union-attr]


def test_a_run_that_nobody_was_rung_for_is_found(start_worker: Start) -> None:
    run = runs.start(make_workflow(step("a")), {}, trigger="api", actor="tester", wake=False)
    start_worker()
    wait_for(lambda: ended(run))
    assert run.status == "completed"


def test_a_retry_far_away_holds_nothing_until_it_is_due(start_worker: Start, tmp_path: Path) -> None:
    retry = {"initial_delay_seconds": 6, "jitter": "none"}
    flaky = step("a", "flaky", {"file": str(tmp_path / "f"), "failures": 1}, retry=retry)
    start_worker()
    run = start(flaky)
    wait_for(lambda: Run.objects.get(pk=run.pk).status == "waiting")
    parked = Run.objects.get(pk=run.pk)
    assert parked.worker_id is None
    assert parked.due_at is not None
    wait_for(lambda: ended(run))
    assert run.status == "completed"
    assert [e.type for e in Event.objects.filter(run=run).order_by("seq")].count("run_waiting") == 1


def test_cancelling_stops_what_is_under_way(start_worker: Start) -> None:
    start_worker()
    run = start(step("a", "nap", {"seconds": 60}), step("b"))
    wait_for(lambda: run.steps.filter(status="running").exists())
    assert runs.cancel(run.pk, actor="ann")
    wait_for(lambda: ended(run))
    assert run.status == "cancelled"
    assert {row.path: row.status for row in run.steps.all()} == {"a": "cancelled"}
    assert Event.objects.filter(run=run).last().actor == "ann"  # type: ignore[union-attr]
    assert not RunRequest.objects.exists()
    assert runs.cancel(run.pk, actor="bob") is False


def test_cancelling_a_queued_run_needs_no_worker() -> None:
    run = start(step("a"))
    assert runs.cancel(run.pk, actor="ann")
    assert ended(run)
    assert run.status == "cancelled"


def test_a_killed_loop_loses_nothing_and_repeats_nothing_that_was_finished(start_worker: Start, tmp_path: Path) -> None:
    worker = start_worker()
    done, slow = tmp_path / "done", tmp_path / "slow"
    run = start(
        step("a", "note", {"file": str(done)}),
        step("b", "note", {"file": str(slow)}),
        step("c", "nap", {"seconds": 2}),
        step("d", "note", {"file": str(done)}),
    )
    wait_for(lambda: run.steps.filter(path="c", status="running").exists())
    holder = Worker.objects.get(runs=run)
    assert holder.pid in descendants(worker.pid)
    os.kill(holder.pid, signal.SIGKILL)
    wait_for(lambda: Event.objects.filter(run=run, type="run_taken_over").exists(), 10)  # its lease takes 15 s
    wait_for(lambda: ended(run))
    assert run.status == "completed"
    assert [line.rsplit(":", 1)[1] for line in lines(done)] == ["a", "d"]
    assert len(lines(slow)) == 1
    row = run.steps.get(path="c")
    assert [attempt.get("interrupted") for attempt in row.attempts] == ["worker lost", None]
    assert audit.first_broken(run.pk) is None


def test_a_killed_worker_takes_all_its_processes_along_and_another_goes_on(start_worker: Start) -> None:
    worker = start_worker()
    run = start(step("a", "measure", {"seconds": 60}, timeout_seconds=120))
    wait_for(lambda: run.steps.filter(status="running").exists())
    wait_for(lambda: len(descendants(worker.pid)) >= 7)  # sentinel, workers, …, fork server, helper
    family = descendants(worker.pid)
    worker.kill()
    wait_for(lambda: not alive(family))
    start_worker()
    wait_for(lambda: Event.objects.filter(run=run, type="run_taken_over").exists(), 10)
    runs.cancel(run.pk, actor="tester")
    wait_for(lambda: ended(run))


def test_a_process_of_the_cluster_that_is_terminated_takes_no_other_along(start_worker: Start) -> None:
    """django-q2's sentinel does so to a worker that is at a task for too long."""
    worker = start_worker()
    wait_for(lambda: len(descendants(worker.pid)) >= 6)  # sentinel, three workers, pusher, monitor
    family = descendants(worker.pid)
    [sentinel] = {pid for pid in family if descendants(pid)}
    for pid in family - {sentinel}:
        os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not alive(family - {sentinel}))
    wait_for(lambda: len(descendants(sentinel)) >= 5)  # others in their place


def test_a_stopped_worker_gives_its_runs_back_and_leaves_nothing_behind(start_worker: Start) -> None:
    worker = start_worker()
    run = start(step("a", "nap", {"seconds": 60}))
    wait_for(lambda: run.steps.filter(status="running").exists())
    family = descendants(worker.pid)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(7) == 0  # grace of 2 s + 5 s
    assert not alive(family)
    released = Run.objects.get(pk=run.pk)
    assert (released.status, released.worker_id) == ("queued", None)
    assert run.steps.get().attempts[0]["interrupted"] == "the worker stops"
    assert not Worker.objects.live(timezone.now()).exists()


def test_a_run_that_kills_its_worker_each_time_is_given_up(start_worker: Start) -> None:
    start_worker(KOLOSAL_MAX_RECOVERIES="1")
    run = start(step("a", "nap", {"seconds": 60}), max_execution_time_seconds=600)
    for attempt in (1, 2):
        wait_for(lambda: run.steps.filter(status="running", attempt=attempt).exists())  # noqa: B023
        holder = Worker.objects.get(runs=run)
        os.kill(holder.pid, signal.SIGKILL)
        wait_for(lambda: not Worker.objects.filter(pk=holder.pk, runs=run).exists())  # noqa: B023
    wait_for(lambda: ended(run))
    assert (run.status, run.error_code) == ("failed", "TooManyRecoveries")
    assert run.steps.get().status == "failed"
