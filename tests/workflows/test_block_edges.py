"""Where blocks meet what is rare: cancelled branches, takeovers, answers at the last moment, very long runs."""

import asyncio
import contextlib
import gc
import sqlite3
import time
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from tests.engines import and_close, in_engine, until
from tests.factories import make_definition, make_workflow, results, run_to_end, step
from workflows import engine as engines
from workflows import inprocess, requests, retention, retrying, runs
from workflows.changes import Change
from workflows.control import Control
from workflows.engine import Engine
from workflows.errors import LeaseLost, RunStateConflict
from workflows.held import HeldRun
from workflows.ledger import Written
from workflows.models import Event, Run, RunRequest, StepResult
from workflows.recall import recalled
from workflows.results import context_at


def started(*steps: dict[str, Any], **fields: Any) -> Run:
    return runs.start(make_workflow(*steps, **fields), {}, trigger="api", actor="ann", wake=False)


def fresh(run: Run) -> Run:
    return Run.objects.get(pk=run.pk)


def has_ended(run: Run) -> bool:
    return fresh(run).has_ended


def failing(step_id: str, **fields: Any) -> dict[str, Any]:
    return step(step_id, "raise_text", {"text": f"{step_id} is broken"}, max_retries=0, **fields)


# --- Very long runs --------------------------------------------------------------------------------------------------


def test_steps_that_wait_for_nothing_are_written_in_pieces_and_let_other_runs_go_on() -> None:
    inner = {"step_id": "inner", "for_each": "input.l", "steps": [step("a", precondition="false")]}
    outer = {"step_id": "outer", "for_each": "input.l", "steps": [inner]}
    written: list[Change] = []
    run = inprocess.run(make_definition(outer), {"l": list(range(30))}, on_written=written.append)
    assert (run.status, run.skipped_steps) == ("completed", 900)
    assert max(len(change.events) for change in written) < 150


def test_blocks_count_towards_the_steps_that_a_run_may_execute(settings: Any) -> None:
    settings.MAX_STEPS_PER_RUN = 10
    gate = {"step_id": "gate", "if": "false", "then": [step("a")]}
    run = run_to_end({"step_id": "loop", "for_each": "input.l", "steps": [gate]}, input={"l": list(range(50))})
    assert (run.status, run.error_code) == ("failed", "TooManySteps")


def test_what_a_retry_keeps_of_a_long_loop_is_found_in_one_pass() -> None:
    each = {"step_id": "each", "for_each": "[1]", "max_iterations": 10_000, "steps": [step(name) for name in "abc"]}
    run = started(each)
    rows = [StepResult(run=run, path="each", step_id="each", kind="for_each", status="failed")]
    rows[0].parameters = {"items": list(range(8000))}
    for index in range(4000):
        rows += [StepResult(run=run, path=f"each[{index}].{name}", step_id=name, status="completed") for name in "abc"]
    StepResult.objects.bulk_create(rows, batch_size=500)
    began = time.process_time()
    plan = retrying.plan(runs.get(run.pk), "each[10]")
    assert time.process_time() - began < 10  # 20 s where each step goes over all rows
    assert set(plan.discarded) == {f"each[10].{name}" for name in "abc"}


@pytest.mark.skipif(connection.vendor != "sqlite", reason="about SQLite")
def test_a_retry_discards_more_results_than_a_statement_may_have_values() -> None:
    run = started({"step_id": "each", "for_each": "[1]", "steps": [step("a")]})
    rows = [StepResult(run=run, path=f"each[{index}].a", step_id="a", status="completed") for index in range(1500)]
    rows.append(StepResult(run=run, path="each", step_id="each", kind="for_each", status="failed"))
    StepResult.objects.bulk_create(rows, batch_size=30)
    Run.objects.filter(pk=run.pk).update(status="failed")
    usual = connection.connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 1100)  # 32,766 by SQLite's default
    try:
        runs.retry(run.pk, actor="ann", start_at="each")
    finally:
        connection.connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, usual)
    assert not run.steps.filter(superseded=False).exists()


# --- What is recalled ------------------------------------------------------------------------------------------------


def test_what_a_cancelled_branch_leaves_is_the_same_live_and_recalled() -> None:
    """Cut short inside a loop: what its items had added was not merged yet."""
    mark, slow = step("mark", "give", {"value": {"mark": 1}}), step("slow", "nap", {"seconds": 30})
    parallel = {
        "long": [
            step("before", "give", {"value": {"before": 1}}),
            {"step_id": "each", "for_each": "[1]", "steps": [mark, slow]},
        ],
        "bad": [step("wait", "nap", {"seconds": 0.5}), failing("bad")],
    }
    both = {"step_id": "both", "parallel": parallel, "continue_on_failure": True}
    parts = ["has(context.mark)", "has(context.before)"]
    parts += [f'steps.get("{name}.status", "none")' for name in ("mark", "slow", "each", "before", "bad")]
    seen = step("seen", "give", {"value": {"seen": [f"${{{part}}}" for part in parts]}})
    run = run_to_end(both, seen)
    assert run.steps.get(path="both.each").status == "cancelled"
    scope = recalled(run, "seen")
    names = ("mark", "slow", "each", "before", "bad")
    again = [scope.steps[name]["status"] if name in scope.steps else "none" for name in names]
    assert ["mark" in scope.context, "before" in scope.context, *again] == results(run)["seen"]["seen"]


def test_results_that_were_dropped_at_the_end_are_missed_by_nobody() -> None:
    outline = step("outline", "give", {"value": {"steps": [step("made")]}}, generate=True)
    loop = {"step_id": "loop", "for_each": "[1]", "steps": [step("x")]}
    last = step("last", "give", {"value": {"a": 1}})
    make_workflow(outline, loop, last, workflow_id="child", save_intermediate_results=False)
    run = run_to_end({"step_id": "call", "workflow": "child"})
    assert run.status == "completed", run.error_message
    assert results(run)["call"] == {"a": 1}
    assert context_at(run.children.get()) == {"a": 1}


# --- What comes from outside -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["answer", "event"])
def test_what_came_in_time_counts_though_the_holder_has_not_read_it_yet(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "RENEW_EVERY", 60)
    asked = {"approval": {"prompt": "?", "timeout_seconds": 1.5}}
    run = started(
        {"step_id": "ask", **(asked if kind == "answer" else {"wait_for": {"event": "e", "timeout_seconds": 1.5}})}
    )

    def give() -> bool:
        if kind == "answer":
            runs.answer(run.pk, "ask", "approve", actor="ann")
        else:
            runs.send_event(run.pk, "e", actor="ann")
        return True

    async def script(engine: Engine) -> None:
        await engine.take([run.pk])
        await until(lambda: run.steps.filter(path="ask", status="waiting").exists())
        await asyncio.to_thread(and_close, give)
        await until(lambda: has_ended(run))

    in_engine(script)
    assert fresh(run).status == "completed"
    assert not run.requests.exists()


# --- Children --------------------------------------------------------------------------------------------------------


def resume_child(run: Run) -> Run:
    child = Run.objects.get(parent=run)
    with contextlib.suppress(RunStateConflict):  # it was faster
        runs.resume(child.pk, actor="ann")
    return child


def paused_before_its_child_ended(*inside: dict[str, Any]) -> tuple[Run, Run]:
    make_workflow(*inside, workflow_id="child")
    run = started({"step_id": "call", "workflow": "child"})

    async def script(engine: Engine) -> None:
        await engine.take([run.pk])
        await until(lambda: fresh(run).status == "waiting")
        engine._offered.clear()
        await asyncio.to_thread(and_close, lambda: runs.pause(run.pk, actor="ann"))
        child = await asyncio.to_thread(and_close, lambda: resume_child(run))
        await engine.take([child.pk])
        await until(lambda: has_ended(child))

    in_engine(script)
    return run, Run.objects.get(parent=run)


def test_a_parent_sleeps_while_a_child_that_was_retried_goes_on() -> None:
    run, child = paused_before_its_child_ended(failing("bad"))
    runs.retry(child.pk, actor="ann")
    runs.resume(run.pk, actor="ann")
    Run.objects.filter(pk=child.pk).update(due_at=timezone.now() + timedelta(hours=1))

    async def script(engine: Engine) -> None:
        await engine.take([run.pk])
        await asyncio.sleep(1.5)

    in_engine(script)
    assert fresh(run).status == "waiting"
    assert Event.objects.filter(run=run, type="run_started").count() == 2


def test_an_ended_child_is_kept_as_long_as_its_parent_may_ask_for_it(settings: Any) -> None:
    settings.RETENTION_DAYS = 30
    run, child = paused_before_its_child_ended(step("a"))
    Run.objects.filter(pk=child.pk).update(ended_at=timezone.now() - timedelta(days=40))
    assert retention.delete_old() == 0
    runs.cancel(run.pk, actor="ann")
    assert retention.delete_old() == 1


def test_a_child_whose_deadline_strikes_while_its_end_is_written_still_wakes_its_parent() -> None:
    make_workflow(step("a", "nap", {"seconds": 0.5}), workflow_id="child", max_execution_time_seconds=2)
    run = started({"step_id": "call", "workflow": "child"})

    def slow(change: Change) -> None:
        if "workflow_complete" in [event.type for event in change.events]:
            time.sleep(2)

    async def script(engine: Engine) -> None:
        engine._ledger._on_written = slow
        await engine.take([run.pk])
        await until(lambda: Run.objects.filter(parent=run, status="completed").exists())
        engine._offered.discard(run.pk)
        await until(lambda: not engine._active)

    in_engine(script)
    assert fresh(run).status == "queued"


def test_a_child_is_asked_once_to_pause() -> None:
    make_workflow(step("nap", "nap", {"seconds": 30}), workflow_id="child")
    run = started({"step_id": "call", "workflow": "child"})

    def paused_and_swept() -> bool:
        runs.pause(run.pk, actor="ann")
        for _ in range(3):
            requests.settle_families()
        return RunRequest.objects.filter(run__parent=run).count() == 1

    async def script(engine: Engine) -> None:
        await engine.take([run.pk])
        await until(lambda: Run.objects.filter(parent=run, status="running").exists())
        await until(lambda: fresh(run).status == "waiting")
        assert await asyncio.to_thread(and_close, paused_and_swept)

    in_engine(script)


def test_a_request_that_was_carried_out_meanwhile_is_not_carried_out_again() -> None:
    """Two sweeps read it at once; between them somebody resumed the run."""
    run = started(step("a"))
    request = RunRequest.objects.create(run=run, verb="pause", actor="ann")
    again = RunRequest.objects.get(pk=request.pk)
    with transaction.atomic():
        requests._settle(request)
    runs.resume(run.pk, actor="ann")
    with transaction.atomic():
        requests._settle(again)
    assert fresh(run).status == "queued"


# --- Functions that behave badly -------------------------------------------------------------------------------------


@pytest.mark.parametrize("at_once", [1, 2])
def test_a_function_that_cancels_itself_has_failed(at_once: int) -> None:
    bad = step("bad", "cancel_itself", {}, max_retries=0)
    run = started({"step_id": "each", "for_each": "[1, 2]", "max_concurrency": at_once, "steps": [bad]})

    async def script(engine: Engine) -> None:
        await engine.take([run.pk])
        await until(lambda: has_ended(run), 5)

    in_engine(script)
    assert (fresh(run).status, fresh(run).error_code) == ("failed", "FunctionFailed")
    assert "CancelledError" in fresh(run).error_message


def test_a_write_that_failed_after_its_branch_was_cancelled_is_missed_by_nobody() -> None:
    held, missed = HeldRun.of(started(), "ann"), []
    held.open()

    async def script() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: missed.append(context["message"]))
        written = [Written()]
        ledger = SimpleNamespace(submit=lambda change: written[0])
        branch = asyncio.create_task(Control(held, ledger).commit())  # type: ignore[arg-type]
        await asyncio.sleep(0)
        branch.cancel()
        await asyncio.gather(branch, return_exceptions=True)
        written.pop().settle(None, LeaseLost("another has it"))
        del branch, ledger
        await asyncio.sleep(0)
        gc.collect()

    asyncio.run(script())
    assert missed == []


def test_a_run_whose_lease_only_seems_lost_is_not_left_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """A branch meets the change of another that could not be written before that one does."""

    async def commit(control: Control) -> None:
        raise LeaseLost("another wrote it, or nobody")

    run = started(step("a"))

    async def script(engine: Engine) -> None:
        monkeypatch.setattr(Control, "commit", commit)
        await engine.take([run.pk])
        await until(lambda: has_ended(run), 5)

    in_engine(script)
    assert (fresh(run).status, fresh(run).worker) == ("failed", None)


def test_a_request_whose_taker_is_cancelled_is_there_for_another() -> None:
    run, request = started(), RunRequest(pk=1, verb="event", arguments={"event": "e"})

    async def script() -> None:
        control = Control(HeldRun.of(run, "ann"), None)  # type: ignore[arg-type]
        control.branches = 3
        waiting = asyncio.create_task(control.wait("a", None, lambda found: True))
        await asyncio.sleep(0)
        control.deliver(request)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert waiting.cancelled()
        assert control.take([request], lambda found: True) == request

    asyncio.run(script())
