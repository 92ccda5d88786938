"""What goes wrong around a run: the database cut in the middle, leases lost, answers that can't be stored."""

import asyncio
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.db import OperationalError, transaction
from django.utils import timezone

from agents.functions import registry
from agents.functions.base import AgentSpec, Call
from tests.engines import and_close, in_engine, until
from tests.factories import make_workflow, run_to_end, step
from workflows import calling, changes, claims, requests, runs, workers
from workflows.engine import Engine
from workflows.errors import LeaseLost
from workflows.helper_processes import HelperPool
from workflows.lease import MARGIN
from workflows.models import Event, Run, RunRequest, StepResult, Worker
from workflows.workers import Identity


def start(*steps: dict) -> Run:
    return runs.start(make_workflow(*steps), {}, trigger="api", actor="tester", wake=False)


def ended(run: Run) -> Callable[[], bool]:
    return lambda: Run.objects.get(pk=run.pk).has_ended


def test_what_a_store_cannot_hold_does_not_stop_a_run() -> None:
    run = run_to_end(
        step("a", "hostile"),
        step("b", "hostile", {"fail": True}, max_retries=0, continue_on_failure=True),
        step("c", "speak", {"words": ["still ", "streams"], "pause": 0.06}),
    )
    assert run.status == "completed"
    assert {row.path: row.status for row in run.steps.all()} == {"a": "completed", "b": "failed", "c": "completed"}
    assert "half an emoji" in run.steps.get(path="b").error_message


def test_a_run_whose_change_cannot_be_written_fails_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    original = changes.write
    refused: list[object] = []

    def write(group):
        if not refused and any("a" in change.new_steps for change in group):
            refused.append(group)
            raise ValueError("the store refuses this")
        return original(group)

    monkeypatch.setattr(changes, "write", write)
    run = run_to_end(step("a"), step("b"))
    assert (run.status, run.error_code) == ("failed", "FunctionFailed")
    assert "the store refuses this" in run.error_message


def test_a_database_that_is_away_for_a_moment_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    original, failures = changes.write, iter(range(3))

    def write(group):
        if next(failures, None) is not None:
            raise OperationalError("gone")
        return original(group)

    run = start(step("a"), step("b"))
    monkeypatch.setattr(changes, "write", write)

    async def script(engine: Engine) -> None:
        await engine.take([run.pk])
        await until(ended(run))

    in_engine(script)
    assert Run.objects.get(pk=run.pk).status == "completed"


def test_a_loop_whose_lease_is_over_by_the_databases_clock_claims_nothing_of_its_own() -> None:
    run = start(step("a", "nap", {"seconds": 1.0}))

    async def script(engine: Engine) -> None:
        await engine.take([run.pk])
        await until(lambda: StepResult.objects.filter(run=run, status="running").exists())
        past = timezone.now() - timedelta(seconds=60)
        await asyncio.to_thread(and_close, lambda: bool(Worker.objects.update(expires_at=past)))
        await until(ended(run), 20)

    in_engine(script)
    run.refresh_from_db()
    assert run.status == "completed"
    assert Event.objects.filter(run=run, type="run_taken_over").count() == 1


def test_a_renewal_that_is_answered_too_late_does_not_revive_what_was_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the run would stay held under a lease that is renewed for ever, and nobody would work on it."""
    monkeypatch.setattr(settings, "LEASE_SECONDS", MARGIN + 3)
    original, late = workers.renew, threading.Event()

    def renew(who: Identity) -> bool:
        held = StepResult.objects.filter(run=first, status="running").exists()
        if held and not late.is_set():
            late.set()
            time.sleep(2.3)  # past the lease by the loop's own clock, not by the database's
        return original(who)

    first = start(step("a", "nap", {"seconds": 3.0}))
    other = make_workflow(step("a", "nap", {"seconds": 30.0}), workflow_id="other")
    second = runs.start(other, {}, trigger="api", actor="tester", wake=False)
    monkeypatch.setattr(workers, "renew", renew)

    async def script(engine: Engine) -> None:
        await engine.take([first.pk])
        await asyncio.to_thread(late.wait, 10)
        await engine.take([second.pk])  # whose lease is renewed as long as it is under way
        await until(ended(first), 20)
        assert not await asyncio.to_thread(and_close, ended(second))

    in_engine(script)
    first.refresh_from_db()
    assert first.status == "completed"
    assert Event.objects.filter(run=first, type="run_taken_over").count() == 1


def test_of_loops_that_enter_at_once_no_more_than_the_most_do() -> None:
    entered = threading.Event()

    def first() -> bool:
        with transaction.atomic():
            done = workers.enter(Identity.new("worker"), 1)
            entered.set()
            time.sleep(0.3)
            return done

    with ThreadPoolExecutor() as pool:
        one = pool.submit(and_close, first)
        entered.wait(10)
        assert not workers.enter(Identity.new("worker"), 1)
        assert one.result()


def test_an_expired_worker_can_claim_nothing() -> None:
    start(step("a"))
    who = Identity.new("local")
    workers.enter(who)
    Worker.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(LeaseLost):
        claims.claim(who, 1)


def test_more_runs_than_an_engine_has_room_for_are_all_carried_out() -> None:
    workflow = make_workflow(step("a", "nap", {"seconds": 0.2}))
    started = [runs.start(workflow, {}, trigger="api", actor="tester", wake=False) for _ in range(12)]

    async def script(engine: Engine) -> None:
        await asyncio.gather(*(engine.take([run.pk]) for run in started))
        most = 0
        async with asyncio.timeout(20):
            while not await asyncio.to_thread(and_close, lambda: not Run.objects.active().exists()):
                most = max(most, len(engine._active))
                await asyncio.sleep(0.02)
        assert most <= 5

    in_engine(script)
    assert {run.status for run in Run.objects.all()} == {"completed"}


def test_a_run_that_is_cancelled_before_its_first_turn_is_cancelled() -> None:
    run = start(step("a"))

    async def script(engine: Engine) -> None:
        original = engine._begin

        async def begin(claimed):
            await original(claimed)
            engine._active[run.pk].interrupt(lambda held: claims.transitions.cancel(held, "ann"))

        engine._begin = begin  # type: ignore[method-assign]
        await engine.take([run.pk])
        await until(ended(run))
        await engine.wait()
        assert not engine._active

    in_engine(script)
    assert Run.objects.get(pk=run.pk).status == "cancelled"


def test_a_cancel_that_comes_while_a_run_parks_is_not_forgotten() -> None:
    retry = {"initial_delay_seconds": 600, "max_delay_seconds": 600, "jitter": "none"}
    run = start(step("a", "raise_text", {"text": "no"}, retry=retry))

    async def script(engine: Engine) -> None:
        await engine.take([run.pk])
        await until(lambda: Run.objects.get(pk=run.pk).status == "waiting")

    in_engine(script)
    run.refresh_from_db()
    RunRequest.objects.create(run=run, verb="cancel", actor="ann")
    requests.settle()
    run.refresh_from_db()
    assert run.status == "cancelled"
    assert not RunRequest.objects.exists()


def test_a_parked_run_of_a_web_process_goes_on_when_it_is_due(tmp_path: Path) -> None:
    retry = {"initial_delay_seconds": 5.2, "jitter": "none"}
    run = start(step("a", "flaky", {"file": str(tmp_path / "f"), "failures": 1}, retry=retry))

    async def script(engine: Engine) -> None:
        await engine.take([run.pk])
        await until(ended(run), 15)

    in_engine(script)
    assert Run.objects.get(pk=run.pk).status == "completed"


def test_what_a_result_processor_gives_is_stored_as_json() -> None:
    run = run_to_end(step("a", result_processor="{1: 'x'}", max_retries=0))
    assert run.steps.get().result == {"1": "x"}


def test_a_reserved_run_is_left_to_whoever_knows_it() -> None:
    run = runs.start(make_workflow(step("a")), {}, trigger="python", actor="tester", reserved=True)
    who = Identity.new("worker")
    workers.enter(who)
    assert claims.claim(who, 10) == []
    assert [claimed.held.id for claimed in claims.claim(who, 10, [run.pk])] == [run.pk]


def test_an_idle_helper_that_was_killed_costs_no_step() -> None:
    async def main() -> None:
        pool = HelperPool(1)
        job = {"kind": "evaluate", "expression": "1 + 1", "scope": {}}
        assert (await pool.ask(job, timeout=30))["result"] == 2
        pool._idle[0]._process.kill()
        pool._idle[0]._process.join()
        assert (await pool.ask(job, timeout=30))["result"] == 2
        await pool.close()

    asyncio.run(main())


def test_a_script_is_not_run_again_in_its_helpers(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
            from workflows import WorkflowBuilder
            print("body")
            workflow = WorkflowBuilder("w").step("a", agent="data_analyst", function="data_analysis",
                                                 data=[{"x": 1}], operation="statistical_summary")
            print(workflow.run().status)
        """)
    )
    environment = {"KOLOSAL_DATA_DIR": str(tmp_path / "data"), "PYTHONPATH": str(settings.BASE_DIR)}
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["body", "completed"]


@pytest.mark.parametrize("function", ["note", "spawn"])  # in the loop, and in a helper process
def test_a_function_is_not_called_once_the_lease_is_over(function: str, tmp_path: Path) -> None:
    """Much may happen between the writing of an attempt and its beginning: a stall, a wait for a helper process."""
    witness = tmp_path / "called"

    def over() -> None:
        raise LeaseLost("it is over")

    async def main() -> None:
        pool = HelperPool(1)
        call = Call(agent=AgentSpec(id="1", name="tester"))
        try:
            with pytest.raises(LeaseLost):
                await calling.run_function(registry.get(function), call, {"file": str(witness)}, 30, pool, over)
        finally:
            await pool.close()

    asyncio.run(main())
    assert not witness.exists()
