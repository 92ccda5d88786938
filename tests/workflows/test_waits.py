"""Steps that wait: for time, people, events and child runs."""

import asyncio
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from tests.engines import in_engine, until
from tests.factories import make_workflow, results, run_to_end, statuses, step
from workflows import audit, invariants, publishing, requests, runs
from workflows.engine import Engine
from workflows.errors import AnswerRefused, EventNotFound, RunStateConflict, StepNotFound
from workflows.models import Event, Run, RunRequest, Workflow

ASK: dict[str, Any] = {"step_id": "ask", "approval": {"prompt": "Publish ${context.what}?", "assignees": ["ann"]}}
AWAIT: dict[str, Any] = {"step_id": "paid", "wait_for": {"event": "paid"}}


def started(*steps: dict[str, Any], **fields: Any) -> Run:
    input = fields.pop("input", {"what": "it"})
    return runs.start(make_workflow(*steps, **fields), input, trigger="api", actor="ann")


def fresh(run: Run) -> Run:
    return Run.objects.get(pk=run.pk)


def is_waiting(run: Run) -> bool:
    return fresh(run).status == "waiting"


def has_ended(run: Run) -> bool:
    return fresh(run).has_ended


def call(function: Any, *arguments: Any, **options: Any) -> Any:
    try:
        return function(*arguments, **options)
    finally:
        connection.close()


def carried_out(run: Run, *then: Any) -> Run:
    """Have an engine look after the run: until it waits, then each of ``then`` is done; until its end."""

    async def script(engine: Engine) -> None:
        await engine.take([run.pk])
        for do in then:
            await until(lambda: is_waiting(run))
            await asyncio.to_thread(call, do)
        await until(lambda: has_ended(run))

    in_engine(script)
    assert not list(invariants.broken(settled=True, run_ids=[run.pk]))
    return fresh(run)


# --- Time ------------------------------------------------------------------------------------------------------------


def test_a_short_wait_is_waited_for_and_a_long_one_parks_the_run() -> None:
    run = run_to_end({"step_id": "w", "wait": {"seconds": 0.1}}, step("a"))
    assert statuses(run) == {"w": "completed", "a": "completed"}
    run = started({"step_id": "w", "wait": {"seconds": "${input.s}"}}, input={"s": 60}, workflow_id="long")

    async def script(engine: Engine) -> None:
        await engine.take([run.pk])
        await until(lambda: is_waiting(run))

    in_engine(script)
    parked = fresh(run)
    assert (parked.worker, parked.paused_at) == (None, None)
    assert parked.due_at is not None
    assert timedelta(seconds=50) < parked.due_at - timezone.now() <= timedelta(seconds=60)
    Run.objects.filter(pk=run.pk).update(due_at=timezone.now())
    row = run.steps.get()
    row.parameters["until"] = timezone.now().isoformat()
    row.save()
    assert carried_out(run).status == "completed"


@pytest.mark.parametrize("until_when", ["yesterday", "", 5])
def test_a_time_that_is_none_fails_the_step(until_when: Any) -> None:
    run = run_to_end({"step_id": "w", "wait": {"until": "${input.t}"}}, input={"t": until_when})
    assert (run.status, run.error_code) == ("failed", "ExpressionError")
    assert "timestamp" in run.error_message


# --- People ----------------------------------------------------------------------------------------------------------


def test_an_answer_goes_on_with_the_run_and_says_whose_it_was() -> None:
    run = started(ASK, step("a", parameters={"message": "${steps.ask.result.answer} by ${context.answered_by}"}))
    run = carried_out(run, lambda: runs.answer(run.pk, "ask", "approve", actor="ann", comment="good"))
    assert results(run)["a"]["echo"] == "approve by ann"
    assert results(run)["ask"] == {"answer": "approve", "comment": "good", "answered_by": "ann"}
    asked = Event.objects.get(run=run, type="step_waiting")
    assert (asked.data["prompt"], asked.data["options"]) == ("Publish it?", ["approve", "reject"])
    answered = Event.objects.get(run=run, type="approval_answered")
    assert (answered.actor, answered.path, answered.data["answer"]) == ("ann", "ask", "approve")
    assert not RunRequest.objects.exists()
    assert audit.first_broken(run.pk) is None


def test_the_first_of_two_answers_counts() -> None:
    run = started(ASK)
    outcomes: list[str] = []

    def answer(name: str) -> None:
        try:
            call(runs.answer, run.pk, "ask", "approve", actor=name)
            outcomes.append("taken")
        except RunStateConflict:
            outcomes.append("conflict")

    def both() -> None:
        threads = [threading.Thread(target=answer, args=[name]) for name in ("ann", "bob")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    run = carried_out(run, both)
    assert sorted(outcomes) == ["conflict", "taken"]
    assert results(run)["ask"]["answered_by"] in ("ann", "bob")
    with pytest.raises(RunStateConflict, match="already"):
        runs.answer(run.pk, "ask", "approve", actor="eve")


def test_an_answer_that_is_none_is_refused() -> None:
    run = started(ASK)

    def wrong() -> None:
        with pytest.raises(AnswerRefused, match="approve, reject"):
            runs.answer(run.pk, "ask", "maybe", actor="ann")
        with pytest.raises(StepNotFound):
            runs.answer(run.pk, "nope", "approve", actor="ann")
        runs.answer(run.pk, "ask", "reject", actor="ann")

    assert results(carried_out(run, wrong))["ask"]["answer"] == "reject"


@pytest.mark.parametrize(
    ("on_timeout", "status"), [("fail", "timed_out"), ("approve", "completed"), ("reject", "completed")]
)
def test_nobody_answers_in_time(on_timeout: str, status: str) -> None:
    run = run_to_end({"step_id": "ask", "approval": {"prompt": "?", "timeout_seconds": 0.2, "on_timeout": on_timeout}})
    assert statuses(run) == {"ask": status}
    if on_timeout == "fail":
        assert (run.status, run.error_code) == ("failed", "ApprovalTimeout")
    else:
        assert results(run)["ask"] == {"answer": on_timeout, "comment": "", "answered_by": None}


def test_an_answer_in_time_counts_though_its_holder_has_not_read_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "of_holder", lambda who: [])
    run = started({"step_id": "ask", "approval": {"prompt": "?", "timeout_seconds": 2}})

    async def script(engine: Engine) -> None:
        await engine.take([run.pk])
        await until(lambda: run.steps.filter(path="ask", status="waiting").exists())
        await asyncio.to_thread(call, runs.answer, run.pk, "ask", "approve", actor="ann")
        await until(lambda: has_ended(run))

    in_engine(script)
    assert results(fresh(run))["ask"]["answered_by"] == "ann"


def test_time_in_an_approval_does_not_count_towards_the_deadline() -> None:
    run = started(ASK, max_execution_time_seconds=3)

    def an_hour_later() -> None:
        waiting = fresh(run)
        assert waiting.due_at is None
        assert waiting.paused_at is not None
        assert waiting.deadline_at is not None
        hour = timedelta(hours=1)
        past = {"paused_at": waiting.paused_at - hour, "deadline_at": waiting.deadline_at - hour}
        Run.objects.filter(pk=run.pk).update(**past)
        runs.answer(run.pk, "ask", "approve", actor="ann")

    assert carried_out(run, an_hour_later).status == "completed"


def test_an_approval_is_answered_while_another_branch_goes_on() -> None:
    both = {
        "step_id": "both",
        "parallel": {"ask": [ASK], "work": [step("work", "nap", {"seconds": 2.5})]},
    }
    run = started(both)

    async def script(engine: Engine) -> None:
        await engine.take([run.pk])
        await until(lambda: run.steps.filter(path="both.ask", status="waiting").exists())
        assert not await asyncio.to_thread(call, is_waiting, run)
        await asyncio.to_thread(call, runs.answer, run.pk, "both.ask", "approve", actor="ann")
        await until(lambda: run.steps.filter(path="both.ask", status="completed").exists())
        assert await asyncio.to_thread(call, lambda: run.steps.get(path="both.work").status) == "running"
        await until(lambda: has_ended(run))

    in_engine(script)
    assert results(fresh(run))["both"]["ask"]["answered_by"] == "ann"


# --- Events ----------------------------------------------------------------------------------------------------------


def test_events_are_kept_until_a_step_waits_for_them() -> None:
    again = {"step_id": "again", "wait_for": {"event": "paid"}}
    run = started(AWAIT, ASK, again)
    with pytest.raises(EventNotFound, match="wait for paid"):
        runs.send_event(run.pk, "other", 1, actor="bob")
    runs.send_event(run.pk, "paid", {"amount": 3}, actor="bob")
    runs.send_event(run.pk, "paid", {"amount": 4}, actor="bob")
    run = carried_out(run, lambda: runs.answer(run.pk, "ask", "approve", actor="ann"))
    assert results(run)["paid"] == {"event": "paid", "data": {"amount": 3}}
    assert results(run)["again"] == {"event": "paid", "data": {"amount": 4}}
    assert [event.actor for event in Event.objects.filter(run=run, type="event_received")] == ["bob", "bob"]
    with pytest.raises(RunStateConflict):
        runs.send_event(run.pk, "paid", actor="bob")


def test_an_event_wakes_the_run_that_waits_for_it() -> None:
    run = started(AWAIT, step("a"))
    run = carried_out(run, lambda: runs.send_event(run.pk, "paid", None, actor="bob"))
    assert statuses(run) == {"paid": "completed", "a": "completed"}


def test_an_event_that_does_not_come() -> None:
    run = run_to_end({"step_id": "paid", "wait_for": {"event": "paid", "timeout_seconds": 0.2}})
    assert (run.status, run.error_code) == ("failed", "EventTimeout")


# --- Children --------------------------------------------------------------------------------------------------------


def child_workflow(*steps: dict[str, Any], **fields: Any) -> Workflow:
    return make_workflow(*steps, workflow_id="child", **fields)


CALL: dict[str, Any] = {"step_id": "call", "workflow": "child", "input": {"who": "${input.what}"}}


def test_a_child_is_a_run_of_its_own_and_gives_what_its_steps_added() -> None:
    child_workflow(step("hello", parameters={"message": "hello ${input.who}"}))
    run = run_to_end(CALL, step("a", parameters={"message": "${context.echo}!"}), input={"what": "you"})
    assert run.status == "completed", run.error_message
    child = run.children.get()
    assert (child.parent_path, child.depth, child.actor, child.trigger) == ("call", 1, f"run {run.pk}", "workflow")
    assert results(run)["call"] == results(child)["hello"]
    assert results(run)["a"]["echo"] == "hello you!"
    assert run.steps.get(path="call").parameters["run_id"] == str(child.pk)
    assert not RunRequest.objects.exists()


@pytest.mark.parametrize(
    ("child", "code", "said"),
    [
        ([step("bad", "raise_text", {"text": "broken"}, max_retries=0)], "ChildFailed", "step bad failed"),
        ([], "WorkflowNotFound", "no workflow 'child'"),
    ],
)
def test_a_child_that_fails_or_is_not_there_fails_the_step(child: list[Any], code: str, said: str) -> None:
    if child:
        child_workflow(*child)
    run = run_to_end(CALL, input={"what": "you"})
    assert (run.status, run.error_code) == ("failed", code)
    assert said in run.error_message


def test_a_child_whose_input_is_refused_fails_the_step() -> None:
    child_workflow(step("a"), parameters={"type": "object", "required": ["nope"]})
    run = run_to_end(CALL, input={"what": "you"})
    assert (run.status, run.error_code) == ("failed", "InputInvalid")
    assert not run.children.exists()


def test_children_end_at_some_depth(settings: Any) -> None:
    settings.MAX_CHILD_DEPTH = 2
    make_workflow({"step_id": "call", "workflow": "child"}, workflow_id="child")  # which the checks would refuse
    run = run_to_end({"step_id": "call", "workflow": "child"})
    assert (run.status, run.error_code) == ("failed", "ChildFailed")
    assert "KOLOSAL_MAX_CHILD_DEPTH" in Run.objects.get(depth=2).error_message
    assert Run.objects.count() == 3


def test_children_in_a_loop_at_once() -> None:
    child_workflow(step("nap", "nap", {"seconds": 0.2}), step("hello", parameters={"message": "${input.who}"}))
    loop = {
        "step_id": "each",
        "for_each": "[1, 2, 3]",
        "max_concurrency": 3,
        "steps": [{"step_id": "call", "workflow": "child", "input": {"who": "${string(item)}"}}],
    }
    run = run_to_end(loop)
    assert [item["echo"] for item in results(run)["each"]] == ["1", "2", "3"]
    assert set(run.children.values_list("parent_path", flat=True)) == {f"each[{i}].call" for i in range(3)}


@pytest.mark.parametrize("verb", [runs.cancel, runs.pause])
def test_verbs_go_through_to_children(verb: Any) -> None:
    child_workflow(step("nap", "nap", {"seconds": 1.5}), step("end"))
    make_workflow({"step_id": "inner", "workflow": "child"}, workflow_id="middle")
    run = started({"step_id": "outer", "workflow": "middle"})

    async def script(engine: Engine) -> None:
        await engine.take([run.pk])
        await until(lambda: Run.objects.filter(depth=2, status="running").exists())
        await asyncio.to_thread(call, verb, run.pk, actor="ann")
        expected = "cancelled" if verb is runs.cancel else "paused"
        await until(lambda: set(Run.objects.values_list("status", flat=True)) == {expected})
        if verb is runs.pause:
            await asyncio.to_thread(call, runs.resume, run.pk, actor="ann")
            await until(lambda: has_ended(run))

    in_engine(script)
    assert set(Run.objects.values_list("status", flat=True)) == {"cancelled" if verb is runs.cancel else "completed"}


def test_a_failing_branch_cancels_the_child_of_another() -> None:
    child_workflow(step("nap", "nap", {"seconds": 30}))
    both = {
        "step_id": "both",
        "parallel": {
            "child": [CALL],
            "bad": [step("wait", "nap", {"seconds": 1}), step("bad", "raise_text", {"text": "x"}, max_retries=0)],
        },
    }
    run = carried_out(started(both))
    assert (run.status, run.children.get().status) == ("failed", "cancelled")


def test_a_child_has_no_more_time_than_its_parent() -> None:
    child_workflow(step("nap", "nap", {"seconds": 30}))
    run = carried_out(started(CALL, max_execution_time_seconds=1.5))
    assert (run.status, run.children.get().status) == ("timed_out", "timed_out")


def test_a_workflow_that_was_archived_meanwhile_is_told() -> None:
    child_workflow(step("a"))
    publishing.archive("child", actor="ann")
    run = run_to_end(CALL, input={"what": "x"})
    assert (run.status, run.error_code) == ("failed", "WorkflowNotFound")
