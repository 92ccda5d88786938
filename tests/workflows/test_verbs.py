"""The verbs of runs, cell by cell as docs/state_machine.md has them, and what they do to a run under way."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from tests.engines import and_close, in_engine, until
from tests.factories import make_workflow, results, run_to_end, statuses, step
from workflows import audit, claims, publishing, requests, runs, transitions, workers
from workflows.engine import Engine
from workflows.errors import IllegalTransition, RunStateConflict, StepNotFound
from workflows.held import HeldRun, load, write
from workflows.models import Event, Run, RunRequest, Worker
from workflows.outcomes import ErrorRecord
from workflows.states import RUN_TRANSITIONS, VERBS, Answer, RunStatus
from workflows.workers import Identity

ERROR = ErrorRecord("FunctionFailed", "no")
SOON = {"initial_delay_seconds": 0.6, "jitter": "none"}
LATE = {"initial_delay_seconds": 600, "max_delay_seconds": 600, "jitter": "none"}


def start(*steps: dict, **fields: object) -> Run:
    return runs.start(make_workflow(*steps, **fields), {"given": 1}, trigger="api", actor="tester", wake=False)


def claimed(run: Run) -> HeldRun:
    who = Identity.new(Worker.Kind.LOCAL)
    workers.enter(who)
    (found,) = claims.claim(who, 1, [run.pk])
    return found.held


def put_into(status: RunStatus) -> Run:
    """A run in that status, reached by real transitions."""
    run = start(step("a"), step("b"))
    if status == RunStatus.PAUSED:
        runs.pause(run.pk, actor="ann")
    elif status != RunStatus.QUEUED:
        held = claimed(run)
        moves: dict[str, Callable[[], None]] = {
            RunStatus.RUNNING: lambda: None,
            RunStatus.WAITING: lambda: transitions.park(held, timezone.now() + timedelta(hours=1), "test"),
            RunStatus.COMPLETED: lambda: transitions.complete(held, None),
            RunStatus.FAILED: lambda: transitions.fail(held, ERROR),
            RunStatus.CANCELLED: lambda: transitions.cancel(held, "ann"),
            RunStatus.TIMED_OUT: lambda: transitions.time_out(held, ERROR),
        }
        moves[status]()
        write(held)
    run.refresh_from_db()
    assert run.status == status
    return run


CALLS: dict[str, Callable[[Run], object]] = {
    "cancel": lambda run: runs.cancel(run.pk, actor="bob"),
    "pause": lambda run: runs.pause(run.pk, actor="bob"),
    "resume": lambda run: runs.resume(run.pk, actor="bob"),
    "retry": lambda run: runs.retry(run.pk, actor="bob"),
    "rerun": lambda run: runs.rerun(run.pk, actor="bob"),
}
BECOMES = {"cancel": "cancelled", "pause": "paused", "resume": "queued", "retry": "queued"}


@pytest.mark.parametrize("status", list(RunStatus))
@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_does_to_a_run_what_the_table_says(verb: str, status: RunStatus) -> None:
    run, answer = put_into(status), VERBS[verb][status]
    before = run.event_seq
    if answer == Answer.REFUSED:
        with pytest.raises(RunStateConflict, match=status):
            CALLS[verb](run)
    else:
        told = CALLS[verb](run)
        assert (told is False) == (answer == Answer.NOTHING)
    run.refresh_from_db()
    if answer == Answer.AT_ONCE:
        assert run.status == BECOMES[verb]
        assert Event.objects.get(run=run, seq=before + 1).actor == "bob"
    else:
        assert (run.status, run.event_seq) == (status, before)
    asked = [(request.verb, request.actor) for request in run.requests.all()]
    assert asked == ([(verb, "bob")] if answer == Answer.ASKED else [])
    assert run.reruns.count() == (answer == Answer.NEW_RUN)
    assert audit.first_broken(run.pk) is None


@pytest.mark.parametrize("status", list(RunStatus))
@pytest.mark.parametrize("arrow", ["pause", "resume", "retry"])
def test_the_arrows_of_the_verbs_are_taken_only_where_the_table_has_them(arrow: str, status: RunStatus) -> None:
    held = load(put_into(status), "ann")
    take = {
        "pause": lambda: transitions.pause(held, "ann"),
        "resume": lambda: transitions.resume(held, "ann"),
        "retry": lambda: transitions.retry(held, "ann", [], [], [], "a"),
    }[arrow]
    if BECOMES[arrow] in RUN_TRANSITIONS[status] and (arrow != "retry" or status in VERBS["retry"]):
        take()
    else:
        with pytest.raises(IllegalTransition):
            take()


# --- Pause and resume ------------------------------------------------------------------------------------------------


def test_time_spent_paused_does_not_count_towards_the_deadline() -> None:
    run = start(step("a"), max_execution_time_seconds=60)
    write_released(claimed(run))
    runs.pause(run.pk, actor="ann")
    run.refresh_from_db()
    deadline, paused_at = run.deadline_at, run.paused_at
    assert deadline is not None
    assert paused_at is not None
    Run.objects.filter(pk=run.pk).update(paused_at=paused_at - timedelta(hours=1))
    runs.resume(run.pk, actor="ann")
    run.refresh_from_db()
    assert run.deadline_at is not None
    assert timedelta(minutes=59) < run.deadline_at - deadline < timedelta(minutes=61)
    assert (run.paused_at, run.status) == (None, "queued")


def write_released(held: HeldRun) -> None:
    transitions.release(held, "test")
    write(held)


def test_a_paused_run_is_claimed_by_nobody_and_a_resumed_one_goes_on() -> None:
    run = start(step("a"))
    runs.pause(run.pk, actor="ann")
    who = Identity.new(Worker.Kind.LOCAL)
    workers.enter(who)
    assert claims.claim(who, 5) == []
    runs.resume(run.pk, actor="bob")
    assert [one.held.id for one in claims.claim(who, 5)] == [run.pk]
    kinds = [(event.type, event.actor) for event in Event.objects.filter(run=run).order_by("seq")]
    assert kinds[1:3] == [("run_paused", "ann"), ("run_resumed", "bob")]


def in_the_engine(run: Run, script: Callable[[], Awaitable[None]]) -> None:
    async def main(engine: Engine) -> None:
        await engine.take([run.pk])
        await script()

    in_engine(main)
    run.refresh_from_db()


async def verb(call: Callable[..., object], run: Run) -> None:
    await asyncio.to_thread(and_close, lambda: bool(call(run.pk, actor="bob")) or True)


def has_step(run: Run, status: str) -> Callable[[], bool]:
    return lambda: run.steps.filter(status=status).exists()


def is_now(run: Run, status: str) -> Callable[[], bool]:
    return lambda: Run.objects.get(pk=run.pk).status == status


def test_pausing_lets_the_attempt_under_way_end_and_begins_no_other(tmp_path: Path) -> None:
    run = start(step("a", "nap", {"seconds": 1.6}), step("b"))

    async def script() -> None:
        await until(has_step(run, "running"))
        await verb(runs.pause, run)
        await until(is_now(run, "paused"), 4)

    in_the_engine(run, script)
    assert statuses(run) == {"a": "completed"}
    assert not RunRequest.objects.exists()


def test_a_run_between_attempts_is_paused_at_once_and_keeps_its_retry(tmp_path: Path) -> None:
    retry = SOON | {"initial_delay_seconds": 4.0}
    run = start(step("a", "flaky", {"file": str(tmp_path / "f"), "failures": 1}, retry=retry))

    async def script() -> None:
        await until(has_step(run, "retrying"))
        await verb(runs.pause, run)
        await until(is_now(run, "paused"), 2)

    in_the_engine(run, script)
    assert statuses(run) == {"a": "retrying"}
    runs.resume(run.pk, actor="ann")
    in_the_engine(run, lambda: until(is_now(run, "completed")))
    row = run.steps.get()
    assert [attempt.get("error_code") for attempt in row.attempts] == ["FunctionFailed", None]


def test_a_run_that_ended_before_it_was_paused_is_not_resumed() -> None:
    run = run_to_end(step("a"))
    RunRequest.objects.create(run=run, verb="pause", actor="ann")
    with pytest.raises(RunStateConflict, match="is completed"):
        runs.resume(run.pk, actor="ann")


def test_a_run_resumed_before_it_was_paused_goes_on() -> None:
    run = start(step("a", "nap", {"seconds": 2.2}), step("b"))

    async def script() -> None:
        await until(has_step(run, "running"))
        await verb(runs.pause, run)
        await verb(runs.resume, run)
        await until(is_now(run, "completed"))

    in_the_engine(run, script)
    kinds = [event.type for event in Event.objects.filter(run=run).order_by("seq")]
    assert [kind for kind in kinds if kind in {"run_paused", "run_resumed"}] == ["run_paused", "run_resumed"]
    assert statuses(run) == {"a": "completed", "b": "completed"}


def test_a_run_whose_holder_is_lost_is_paused_at_once() -> None:
    run = start(step("a", "nap", {"seconds": 60}))
    held = claimed(run)
    transitions.start_step(held, "a", {"step_id": "a", "name": "a", "agent": "tester", "function": "nap"})
    write(held)
    Worker.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert runs.pause(run.pk, actor="ann")
    run.refresh_from_db()
    assert run.status == "paused"
    assert run.steps.get().attempts[0]["interrupted"] == "paused"


@pytest.mark.parametrize("in_helper", [False, True])
def test_cancelling_ends_the_attempt_under_way(in_helper: bool) -> None:
    function = ("spin", {}) if in_helper else ("nap", {"seconds": 60})
    run = start(step("a", *function))

    async def script() -> None:
        await until(has_step(run, "running"))
        await verb(runs.cancel, run)
        await until(is_now(run, "cancelled"), 2)

    in_the_engine(run, script)
    assert statuses(run) == {"a": "cancelled"}


def test_cancelling_ends_a_run_between_attempts() -> None:
    run = start(step("a", "raise_text", {"text": "no"}, retry=SOON | {"initial_delay_seconds": 4.5}))

    async def script() -> None:
        await until(has_step(run, "retrying"))
        await verb(runs.cancel, run)
        await until(is_now(run, "cancelled"), 2)

    in_the_engine(run, script)
    assert statuses(run) == {"a": "cancelled"}


def test_a_pause_that_comes_too_late_is_put_away() -> None:
    run = run_to_end(step("a"))
    RunRequest.objects.create(run=run, verb="pause", actor="ann")
    requests.settle()
    assert not RunRequest.objects.exists()
    assert is_now(run, "completed")()


# --- Retry -----------------------------------------------------------------------------------------------------------


def finish(run: Run) -> None:
    in_the_engine(run, lambda: until(lambda: Run.objects.get(pk=run.pk).has_ended))


def test_a_retry_goes_on_from_the_first_unfinished_step(tmp_path: Path) -> None:
    done, flaky = tmp_path / "done", tmp_path / "flaky"
    run = run_to_end(
        step("a", "note", {"file": str(done)}),
        step("b", "flaky", {"file": str(flaky), "failures": 1}, max_retries=0),
        step("c", parameters={"message": "${steps.b.result.text}"}),
    )
    assert (run.status, run.failed_steps) == ("failed", 1)
    runs.retry(run.pk, actor="ann")
    run.refresh_from_db()
    assert (run.attempt, run.success, run.error_code, run.ended_at) == (2, None, "", None)
    finish(run)
    assert (run.status, run.successful_steps, run.failed_steps) == ("completed", 3, 0)
    assert len(done.read_text().splitlines()) == 1
    assert results(run)["c"]["echo"] == "at last"
    assert [(row.status, row.superseded) for row in run.steps.filter(path="b")] == [
        ("failed", True),
        ("completed", False),
    ]
    event = Event.objects.get(run=run, type="run_retried")
    assert (event.actor, event.path, event.data["discarded"]) == ("ann", "b", ["b"])
    assert audit.first_broken(run.pk) is None


def test_a_failed_attempt_keeps_its_idempotency_key_and_a_discarded_result_gets_a_new_one(tmp_path: Path) -> None:
    done, flaky = tmp_path / "done", tmp_path / "flaky"
    run = run_to_end(
        step("a", "note", {"file": str(done)}),
        step("b", "flaky", {"file": str(flaky), "failures": 2}, max_retries=0),
    )
    runs.retry(run.pk, actor="ann")
    finish(run)
    assert {row.idempotency_key for row in run.steps.filter(path="b")} == {f"{run.pk}:b"}
    runs.retry(run.pk, actor="ann", start_at="a")
    finish(run)
    assert [line.split()[1] for line in done.read_text().splitlines()] == [f"{run.pk}:a", f"{run.pk}:a:1"]
    assert (run.status, run.attempt) == ("completed", 3)


def test_a_retry_of_a_run_that_was_cancelled_or_ran_out_of_time_gets_a_new_deadline() -> None:
    run = run_to_end(step("a"), step("b", "nap", {"seconds": 0.5}), max_execution_time_seconds=0.3)
    assert run.status == "timed_out"
    runs.retry(run.pk, actor="ann", start_at="b")
    run.refresh_from_db()
    assert (run.started_at, run.deadline_at) == (None, None)
    finish(run)
    assert run.status == "timed_out"
    assert [event.path for event in Event.objects.filter(run=run, type="step_start")] == ["a", "b", "b"]


def test_a_failure_that_the_run_went_on_after_is_kept(tmp_path: Path) -> None:
    run = run_to_end(
        step("a", "raise_text", {"text": "no"}, max_retries=0, continue_on_failure=True),
        step("b", "flaky", {"file": str(tmp_path / "f"), "failures": 1}, max_retries=0),
    )
    runs.retry(run.pk, actor="ann")
    finish(run)
    assert (run.status, run.partial, run.failed_steps) == ("completed", True, 1)
    assert run.steps.filter(path="a").count() == 1


@pytest.mark.parametrize(("start_at", "told"), [("c", "stands before it"), ("bb", 'did you mean "b"')])
def test_a_retry_from_where_the_run_never_was_is_refused(start_at: str, told: str) -> None:
    run = run_to_end(step("a"), step("b", "raise_text", {"text": "no"}, max_retries=0), step("c"))
    with pytest.raises(StepNotFound, match=told):
        runs.retry(run.pk, actor="ann", start_at=start_at)
    assert Run.objects.get(pk=run.pk).status == "failed"


# --- Rerun -----------------------------------------------------------------------------------------------------------


def test_a_rerun_is_a_new_run_with_the_same_input_and_version() -> None:
    run = start(step("a"))
    publishing.save(runs.get(run.pk).definition.model_copy(update={"description": "newer"}), actor="ann")
    again = runs.rerun(run.pk, actor="bob")
    assert (again.rerun_of_id, again.input, again.version_id) == (run.pk, run.input, run.version_id)
    other = runs.rerun(run.pk, actor="bob", input={"given": 2}, version=runs.get(run.pk).workflow.current)
    assert (other.input, other.version.number, other.trigger) == ({"given": 2}, 2, "rerun")
    assert Event.objects.get(run=other, seq=1).data["rerun_of"] == str(run.pk)


def test_a_run_of_an_archived_workflow_is_not_run_again() -> None:
    run = start(step("a"))
    publishing.archive("sample", actor="ann")
    with pytest.raises(RunStateConflict, match="archived"):
        runs.rerun(run.pk, actor="bob")
