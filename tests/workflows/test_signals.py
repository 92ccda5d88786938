"""Callbacks of the builder and signals: sent after the commit, and unable to harm a run."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import transaction

from tests.factories import make_workflow, run_to_end, step
from workflows import WorkflowBuilder, runs, signals
from workflows.models import Run, StepResult
from workflows.outcomes import ErrorRecord

Heard = list[tuple[str, dict[str, Any]]]
ALL = {
    "step_completed": signals.step_completed,
    "step_failed": signals.step_failed,
    "workflow_completed": signals.workflow_completed,
}
FAILING = step("b", "raise_text", {"text": "no"}, max_retries=0, continue_on_failure=True)


@pytest.fixture
def heard() -> Iterator[Heard]:
    """Every signal that is sent, by name, with its arguments."""
    found: Heard = []

    def listen(name: str) -> Any:
        def receive(signal: Any, sender: Any, **told: Any) -> None:
            assert sender is Run
            found.append((name, told))

        return receive

    receivers = {name: listen(name) for name in ALL}
    for name, signal in ALL.items():
        signal.connect(receivers[name])
    yield found
    for name, signal in ALL.items():
        signal.disconnect(receivers[name])


def test_steps_and_the_end_of_a_run_are_told_in_order(heard: Heard) -> None:
    run = run_to_end(step("a"), FAILING)
    assert [(name, told.get("path")) for name, told in heard] == [
        ("step_completed", "a"),
        ("step_failed", "b"),
        ("workflow_completed", None),
    ]
    assert {told["run_id"] for _, told in heard} == {run.pk}
    assert heard[0][1]["result"]["echo"] == "a"
    assert (heard[1][1]["error"].code, heard[1][1]["error"].message) == ("FunctionFailed", "RuntimeError: no")
    assert heard[2][1] | {"run_id": None} == {
        "run_id": None, "status": "completed", "success": True, "partial": True, "error": None,
    }  # fmt: skip


def test_what_is_told_is_stored_already() -> None:
    seen = []

    def receive(run_id: Any, path: str, **told: Any) -> None:
        seen.append(StepResult.objects.get(run=run_id, path=path).status)

    signals.step_completed.connect(receive)
    try:
        run_to_end(step("a"))
    finally:
        signals.step_completed.disconnect(receive)
    assert seen == ["completed"]


def test_a_verb_is_told_by_the_process_that_carries_it_out_and_only_once_it_is_committed(heard: Heard) -> None:
    run = runs.start(make_workflow(step("a")), {}, trigger="api", actor="tester", wake=False)
    with transaction.atomic():
        runs.cancel(run.pk, actor="tester")
        assert heard == []
    [(name, told)] = heard
    assert (name, told["status"], told["error"].code) == ("workflow_completed", "cancelled", "Cancelled")


def test_what_is_rolled_back_is_not_told(heard: Heard) -> None:
    run = runs.start(make_workflow(step("a")), {}, trigger="api", actor="tester", wake=False)
    with transaction.atomic():
        runs.cancel(run.pk, actor="tester")
        transaction.set_rollback(True)
    assert heard == []


def test_a_receiver_that_fails_harms_neither_the_run_nor_the_others(
    heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(**told: Any) -> None:
        raise ValueError("mine")

    signals.step_completed.connect(fail)
    try:
        run = run_to_end(step("a"), step("b"))
    finally:
        signals.step_completed.disconnect(fail)
    assert run.success
    assert len(heard) == 3
    assert "mine" in caplog.text


def test_the_builder_tells_of_its_run() -> None:
    told: list[Any] = []

    def failed(step_id: str, error: ErrorRecord) -> None:
        told.append((step_id, error.code))

    run = (
        WorkflowBuilder("told")
        .step("a", agent="tester", function="echo", message="hello")
        .step("b", agent="tester", function="raise_text", text="no", max_retries=0, continue_on_failure=True)
        .run(
            on_step_complete=lambda step_id, result: told.append((step_id, result["echo"])),
            on_step_error=failed,
            on_workflow_complete=lambda result: told.append((result["execution_id"], result["partial"])),
        )
    )
    assert told == [("a", "hello"), ("b", "FunctionFailed"), (str(run.pk), True)]


def test_a_callback_that_fails_is_logged_and_harms_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def fail(*told: Any) -> None:
        raise ValueError("mine")

    builder = WorkflowBuilder("told").step("a", agent="tester", function="echo", message="hello")
    run = builder.run(on_step_complete=fail, on_workflow_complete=fail)
    assert run.success
    assert caplog.text.count("ValueError: mine") == 2
