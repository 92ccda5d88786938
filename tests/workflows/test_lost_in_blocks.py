"""A worker that lost its run while it is inside blocks: it writes nothing more, of the run or of its children."""

import asyncio
from typing import Any

import pytest
from django.db.models import F

from tests.engines import and_close, in_engine, until
from tests.factories import make_workflow, statuses, step
from workflows import children, runs
from workflows.engine import Engine
from workflows.errors import LeaseLost
from workflows.models import Run

CALL: dict[str, Any] = {"step_id": "call", "workflow": "child"}


def started(*steps: dict[str, Any], **fields: Any) -> Run:
    return runs.start(make_workflow(*steps, **fields), {}, trigger="api", actor="ann", wake=False)


def test_a_run_that_was_lost_inside_a_block_is_left_alone_and_so_are_its_children() -> None:
    make_workflow(step("nap", "nap", {"seconds": 3.0}), workflow_id="child")
    gate = {"step_id": "gate", "if": "true", "then": [step("wait", "nap", {"seconds": 2.0}), step("after")]}
    both = {"step_id": "both", "parallel": {"x": [gate], "y": [CALL]}}
    run = started(both)

    def taken_by_another() -> bool:
        return bool(Run.objects.filter(pk=run.pk).update(epoch=F("epoch") + 1, worker=None))

    async def script(engine: Engine) -> None:
        await engine.take([run.pk])
        await until(lambda: Run.objects.filter(parent=run, status="running").exists())
        await asyncio.to_thread(and_close, taken_by_another)
        await until(lambda: run.pk not in engine._active)
        engine._offered.discard(run.pk)
        await until(lambda: Run.objects.get(parent=run).has_ended)

    in_engine(script)
    assert Run.objects.get(parent=run).status == "completed"
    assert statuses(run) == dict.fromkeys(["both", "both.gate", "both.gate.wait"], "running") | {"both.call": "waiting"}


def test_only_the_holder_of_a_run_starts_its_children() -> None:
    make_workflow(step("a"), workflow_id="child")
    run = started(CALL)
    decision = {"workflow": "child", "input": {}, "run_id": "0190a1b2-0000-7000-8000-000000000001"}
    with pytest.raises(LeaseLost):
        children.ensure(run.pk, run.epoch + 1, "call", decision)
    assert not run.children.exists()
    assert children.ensure(run.pk, run.epoch, "call", decision) is None
    assert children.ensure(run.pk, run.epoch, "call", decision) is None
    assert run.children.count() == 1
