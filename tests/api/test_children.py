"""Runs that wait for runs of their own, seen and steered through the API; the engine is real."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.api.client import Api
from tests.api.shape import data_of
from tests.engines import and_close, in_engine, until
from tests.factories import make_definition, make_workflow, step
from workflows import publishing, runs
from workflows.engine import Engine
from workflows.models import Event, Run, StepResult

RUNS = "/api/v1/runs"
USAGE = {"input_tokens": 7, "output_tokens": 5, "cost": 0.25}


def sub(workflow: str, **fields: Any) -> dict[str, Any]:
    return {"step_id": "sub", "workflow": workflow, **fields}


def approval() -> dict[str, Any]:
    return {"step_id": "gate", "approval": {"prompt": "Go on?"}}


def family(*steps: dict[str, Any], **fields: Any) -> Run:
    """A run, queued, whose child has a child that does these steps."""
    publishing.create(make_definition(*steps, workflow_id="grandchild"), actor="tester")
    publishing.create(make_definition(sub("grandchild"), workflow_id="child"), actor="tester")
    workflow = make_workflow(sub("child"), step("end"), **fields)
    return runs.start(workflow, {}, trigger="api", actor="tester", wake=False)


def statuses() -> dict[str, str]:
    """workflow_id → status of its run."""
    return dict(Run.objects.values_list("workflow__workflow_id", "status"))


def all_are(status: str) -> Callable[[], bool]:
    return lambda: statuses() == dict.fromkeys(("sample", "child", "grandchild"), status)


def grandchild() -> Run:
    return Run.objects.get(workflow__workflow_id="grandchild")


def at_step(path: str, status: str) -> Callable[[], bool]:
    return lambda: StepResult.objects.filter(path=path, status=status).exists()


async def aside(ask: Callable[[], Any]) -> Any:
    """What a function that uses the database answers, in a thread that leaves no connection behind."""
    return await asyncio.to_thread(and_close, ask)


async def post(api: Api, run: Run, verb: str, body: Any = None) -> Any:
    return await aside(lambda: data_of(api.post(f"{RUNS}/{run.pk}/{verb}", body)))


def carried_out(run: Run, script: Callable[[Engine], Awaitable[None]]) -> None:
    """Do the script while an engine carries out the run."""

    async def main(engine: Engine) -> None:
        await engine.take([run.pk])
        await script(engine)

    in_engine(main)


NAP = step("nap", "nap", {"seconds": 30})


@pytest.mark.parametrize("steps", [[NAP], [approval()]], ids=["under way", "waiting"])
def test_cancelling_a_run_cancels_its_child_and_its_grandchild(api: Api, steps: list[dict[str, Any]]) -> None:
    run = family(*steps)
    begun = at_step("nap", "running") if steps == [NAP] else at_step("gate", "waiting")

    async def script(engine: Engine) -> None:
        await until(begun)
        assert (await post(api, run, "cancel"))["cancelled"]
        await until(all_are("cancelled"))

    carried_out(run, script)
    child = run.children.get()
    (said,) = [event["actor"] for event in events(api, child, "workflow_complete")]
    assert said == f"run {run.pk}"
    assert {row.status for row in StepResult.objects.all()} == {"cancelled"}


def events(api: Api, run: Run, type: str) -> list[dict[str, Any]]:
    return [event for event in data_of(api.get(f"{RUNS}/{run.pk}/events")) if event["type"] == type]


def test_cancelling_a_grandchild_fails_those_above_it_with_what_happened(api: Api) -> None:
    run = family(NAP)

    async def script(engine: Engine) -> None:
        await until(at_step("nap", "running"))
        below = await aside(grandchild)
        await post(api, below, "cancel")
        await until(lambda: statuses() == {"sample": "failed", "child": "failed", "grandchild": "cancelled"})

    carried_out(run, script)
    (step_body, *_) = data_of(api.get(f"{RUNS}/{run.pk}/steps"))
    assert step_body["error_code"] == "ChildFailed"
    assert "child is failed" in step_body["error_message"]
    assert "grandchild is cancelled" in step_body["error_message"]


def test_a_family_is_paused_and_resumed_together_and_goes_on_with_the_answer(api: Api) -> None:
    run = family(approval(), step("b", "give", {"value": {"said": "${context.answer}"}}))

    async def script(engine: Engine) -> None:
        await until(at_step("gate", "waiting"))
        await until(all_are("waiting"))
        await post(api, run, "pause")
        await until(all_are("paused"))
        await post(api, run, "resume")
        await until(all_are("waiting"))
        below = await aside(grandchild)
        await post(api, below, "signal", {"path": "gate", "answer": "approve"})
        await until(all_are("completed"))

    carried_out(run, script)
    result = data_of(api.get(f"{RUNS}/{run.pk}/steps"))[0]["result_data"]
    assert (result["answer"], result["said"]) == ("approve", "approve")
    assert [event["actor"] for event in events(api, grandchild(), "run_paused")] == [f"run {run.children.get().pk}"]
    assert events(api, run, "run_woken")


def test_a_grandchild_that_is_under_way_pauses_before_its_next_attempt(api: Api) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        run = family(step("hold", "hang", {"port": listener.getsockname()[1]}), step("b"))

        async def script(engine: Engine) -> None:
            await until(at_step("hold", "running"))
            await post(api, run, "pause")
            held = engine._active[(await aside(grandchild)).pk]
            await until(lambda: held._control.halting is not None)
            await asyncio.to_thread(let_go, listener)
            await until(all_are("paused"))
            assert await aside(at_step("hold", "completed"))
            assert not await aside(StepResult.objects.filter(path="b").exists)
            await post(api, run, "resume")
            await until(all_are("completed"))

        carried_out(run, script)
    assert Event.objects.filter(type="step_start", path="hold").count() == 1


def let_go(listener: socket.socket) -> None:
    """Answer the step that hangs."""
    with listener.accept()[0] as connection:
        connection.sendall(b"x")


def test_the_deadline_of_a_run_is_that_of_its_children_too(api: Api) -> None:
    run = family(NAP, max_execution_time_seconds=2)

    async def script(engine: Engine) -> None:
        await until(at_step("nap", "running"))
        await until(lambda: not Run.objects.active().exists())

    carried_out(run, script)
    bodies = [data_of(api.get(f"{RUNS}/{pk}")) for pk in Run.objects.values_list("pk", flat=True)]
    assert len({body["deadline_at"] for body in bodies}) == 1
    ended = statuses()
    assert ended["sample"] == "timed_out"
    assert set(ended.values()) <= {"timed_out", "cancelled", "failed"}


def test_what_a_child_costs_its_parent_costs(api: Api) -> None:
    run = family(step("spend", "give", {"value": {"usage": USAGE}}), step("again", "give", {"value": {"usage": USAGE}}))

    async def script(engine: Engine) -> None:
        await until(all_are("completed"))

    carried_out(run, script)
    for each in Run.objects.all():
        body = data_of(api.get(f"{RUNS}/{each.pk}"))
        assert (body["input_tokens"], body["output_tokens"], body["cost"]) == (14, 10, 0.5)
    (waited, *_) = data_of(api.get(f"{RUNS}/{run.pk}/steps"))
    assert waited["usage"] == {"input_tokens": 14, "output_tokens": 10, "total_tokens": 24, "cost": 0.5}


def test_a_failed_child_costs_its_parent_too(api: Api) -> None:
    broken = step("broken", "raise_text", {"text": "no"}, max_retries=0)
    run = family(step("spend", "give", {"value": {"usage": USAGE}}), broken)

    async def script(engine: Engine) -> None:
        await until(all_are("failed"))

    carried_out(run, script)
    assert data_of(api.get(f"{RUNS}/{run.pk}"))["cost"] == 0.25
