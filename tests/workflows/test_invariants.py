"""What holds of all runs: a normal set of runs is clean, and each rule catches a row that breaks it."""

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from agents.models import Agent
from tests.factories import make_definition, make_workflow, run_to_end, step
from tests.tampering import unguarded
from workflows import changes, claims, invariants, publishing, runs, transitions, workers
from workflows.audit import EventRow, make_event
from workflows.examination import Broken
from workflows.held import HeldRun, write
from workflows.models import AgentShare, Event, Run, RunRequest, StepResult, StreamText, Worker, WorkflowVersion
from workflows.outcomes import ErrorRecord, RetryAt
from workflows.replay import Replay
from workflows.workers import Identity

COLUMNS = {"step_id": "a", "name": "a", "agent": "tester", "function": "echo"}
LONG_AGO = timezone.now() - timedelta(hours=1)


def start(**options: object) -> Run:
    workflow = publishing.save(make_definition(step("a")), actor="tester")
    return runs.start(workflow, {}, trigger="api", actor="tester", wake=False, **options)  # type: ignore[arg-type]


def claim() -> HeldRun:
    who = Identity.new("local")
    workers.enter(who)
    return claims.claim(who, 1)[0].held


def running(path: str = "a") -> HeldRun:
    start()
    held = claim()
    transitions.start_step(held, path, dict(COLUMNS))
    write(held)
    return held


def found(**options: object) -> list[tuple[str, uuid.UUID | None]]:
    return [(broken.rule.value, broken.run_id) for broken in invariants.broken(**options)]  # type: ignore[arg-type]


def replayed(*events: tuple[str, dict]) -> Replay:
    replay = Replay()
    for seq, (type, data) in enumerate(events, 1):
        path = "a" if type.startswith("step") else ""
        replay.read(EventRow(None, seq, type, timezone.now(), "x", path, json.dumps(data), ""))
    return replay


def test_runs_of_every_kind_are_clean_under_way_and_at_rest() -> None:
    run_to_end(step("a"), step("b", precondition="false"))
    run_to_end(step("a", "raise_text", {"text": "no"}, max_retries=1, retry={"initial_delay_seconds": 0.01}))
    run_to_end(step("a", "nap", {"seconds": 5}, timeout_seconds=0.05, max_retries=0), stop_on_failure=False)
    run_to_end(step("a", "nap", {"seconds": 5}), max_execution_time_seconds=0.2)
    start(run_at=timezone.now() + timedelta(hours=1))
    runs.cancel(start().pk, actor="ann")
    parked, released, cancelled = running(), running(), running()
    transitions.retry_step(parked, "a", RetryAt(60, ErrorRecord("FunctionFailed", "no")))
    transitions.park(parked, timezone.now() + timedelta(seconds=60), "later")
    transitions.release(released, "stop")
    transitions.cancel(cancelled, "ann")
    changes.write([held.take() for held in (parked, released, cancelled)])  # type: ignore[misc]
    running()
    start()
    assert list(invariants.broken()) == []
    assert list(invariants.broken(settled=True)) == []


def test_a_run_that_was_claimed_again_and_taken_over_is_clean() -> None:
    held = running()
    transitions.release(held, "stop")
    write(held)
    again = claim()
    Worker.objects.update(expires_at=LONG_AGO)
    assert claim().id == again.id
    assert found(settled=True) == []


def test_what_the_verbs_leave_is_clean() -> None:
    failed = run_to_end(step("a"), step("b", "raise_text", {"text": "no"}, max_retries=0))
    for start_at in (None, "a"):
        runs.retry(failed.pk, actor="ann", start_at=start_at)
        assert found(settled=True) == []
        runs.pause(failed.pk, actor="ann")
        assert found(settled=True) == []
        runs.resume(failed.pk, actor="ann")
        assert found(settled=True) == []
        runs.cancel(failed.pk, actor="ann")
        assert found(settled=True) == []


def alter(**columns: object) -> Callable[[Run], object]:
    return lambda run: Run.objects.filter(pk=run.pk).update(**columns)


def expire(run: Run) -> None:
    Worker.objects.filter(runs=run).update(expires_at=LONG_AGO)


def alter_step(**columns: object) -> Callable[[Run], object]:
    return lambda run: StepResult.objects.filter(run=run).update(**columns)


def alter_event(seq: int, **columns: object) -> Callable[[Run], object]:
    return lambda run: Event.objects.filter(run=run, seq=seq).update(**columns)


def append(type: str, path: str = "", **data: object) -> Callable[[Run], object]:
    """Append an event in an unbroken chain, as only a program that knows the chain could."""

    def add(run: Run) -> None:
        row = make_event(run.event_head, run.pk, run.event_seq + 1, type, timezone.now(), "x", path, dict(data))
        Event.objects.create(
            run=run, seq=row.seq, type=type, at=row.at, actor="x", path=path, data=dict(data), hash=row.hash
        )
        Run.objects.filter(pk=run.pk).update(event_seq=row.seq, event_head=row.hash)

    return add


@pytest.mark.parametrize(
    ("rule", "harm"),
    [
        ("moved", alter(worker=None)),
        ("moved", expire),
        ("moved", alter(status="paused")),
        ("moved", alter(status="queued", worker=None)),
        ("moved", alter(status="waiting", worker=None)),
        ("moved", alter(status="paused", worker=None)),
        ("moved", alter(status="paused", worker=None, paused_at=LONG_AGO, due_at=LONG_AGO)),
        ("end", alter(ended_at=LONG_AGO)),
        ("replay", alter(status="waiting", worker=None, due_at=LONG_AGO)),
        ("replay", alter_step(status="retrying")),
        ("replay", lambda run: StepResult.objects.filter(run=run).delete()),
        ("replay", append("run_waiting")),
        ("replay", append("run_resumed")),
        ("replay", append("run_created")),
        ("replay", append("step_start", "b")),
        ("counters", alter(successful_steps=1)),
        ("counters", alter(failed_steps=1)),
        ("counters", alter(skipped_steps=1)),
        ("chain", alter(event_head="0" * 64)),
        ("chain", alter(event_seq=9)),
        ("chain", alter(event_seq=2)),
        ("chain", alter_event(2, actor="somebody")),
        ("chain", alter_event(2, data={"epoch": 7})),
        ("chain", lambda run: Event.objects.filter(run=run, seq=2).delete()),
        ("chain", lambda run: Event.objects.filter(run=run).delete()),
    ],
)
def test_a_broken_row_of_a_run_under_way_is_caught(rule: str, harm: Callable[[Run], object]) -> None:
    other, broken = running(), running()
    with unguarded():
        harm(Run.objects.get(pk=broken.id))
    assert (rule, broken.id) in found()
    assert not [run_id for _, run_id in found() if run_id == other.id]


@pytest.mark.parametrize(
    ("rule", "harm"),
    [
        ("end", alter(ended_at=None)),
        ("end", alter(success=None)),
        ("end", alter(due_at=LONG_AGO)),
        ("end", lambda run: Run.objects.filter(pk=run.pk).update(worker=Worker.objects.first())),
        ("moved", alter(status="running")),
        ("replay", alter(status="failed")),
        ("replay", alter_step(status="failed")),
        ("replay", alter_step(superseded=True)),
        ("replay", append("step_start", "a")),
        ("replay", append("run_started")),
        ("replay", append("run_retried")),
        ("counters", alter_step(status="skipped")),
    ],
)
def test_a_broken_row_of_an_ended_run_is_caught(rule: str, harm: Callable[[Run], object]) -> None:
    run = run_to_end(step("a"))
    with unguarded():
        harm(run)
    assert (rule, run.pk) in found()


@contextmanager
def without_unique_index() -> Iterator[None]:
    (constraint,) = StepResult._meta.constraints
    with connection.schema_editor() as editor:
        editor.remove_constraint(StepResult, constraint)
    try:
        yield
    finally:
        StepResult.objects.all().delete()
        with connection.schema_editor() as editor:
            editor.add_constraint(StepResult, constraint)


def test_two_results_that_count_are_caught() -> None:
    run = run_to_end(step("a"))
    with without_unique_index():
        StepResult.objects.create(run=run, path="a", step_id="a", status="completed")
        assert found() == [("results", run.pk), ("counters", run.pk)]


def test_a_lease_that_has_just_expired_is_being_taken_over_unless_all_is_at_rest() -> None:
    held = running()
    Worker.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert found() == []
    assert found(settled=True) == [("moved", held.id)]


def test_a_run_of_a_dead_process_does_not_count_as_at_rest() -> None:
    held = running()
    Worker.objects.update(pid=2**22 + 1)  # past the largest process id
    assert found() == []
    assert found(settled=True) == [("moved", held.id)]


def test_a_reserved_run_may_wait_a_day_for_its_maker() -> None:
    run = runs.start(make_workflow(step("a")), {}, trigger="python", actor="tester", reserved=True)
    assert found() == []
    assert found(settled=True) == [("moved", run.pk)]
    assert found(now=timezone.now() + timedelta(days=2)) == [("moved", run.pk)]


def test_a_paused_run_is_a_named_wait_and_a_retried_one_begins_anew() -> None:
    assert replayed(
        ("run_created", {}), ("run_started", {}), ("step_start", {}), ("run_paused", {}), ("run_resumed", {}),
        ("run_paused", {}), ("run_resumed", {}), ("run_started", {}), ("step_waiting", {}), ("step_start", {}),
        ("step_complete", {"success": False, "code": "StepTimeout"}),
        ("workflow_complete", {"status": "failed"}), ("run_retried", {"discarded": ["a"]}), ("run_started", {}),
    ) == Replay("running")  # fmt: skip


def test_a_run_is_not_retried_after_it_completed() -> None:
    replay = replayed(("run_created", {}), ("run_started", {}), ("workflow_complete", {"status": "completed"}))
    assert replay == Replay("completed")
    replay.read(EventRow(None, 4, "run_retried", timezone.now(), "x", "", "{}", ""))
    assert replay.faults == ["event 4 (run_retried) moves the run from completed to queued, which is no arrow"]


def test_events_that_this_release_does_not_know_are_no_moves() -> None:
    assert replayed(("run_created", {}), ("run_mentioned", {}), ("step_praised", {})) == Replay("queued")


def held_of(workflow_limit: int | None, number: int = 2) -> None:
    limit = {"concurrency": {"limit": workflow_limit}} if workflow_limit else {}
    workflow = publishing.save(make_definition(step("a"), **limit), actor="tester")
    for _ in range(number):
        runs.start(workflow, {}, trigger="api", actor="tester", wake=False)
        running_now = claim()
        assert running_now.status == "running"


def test_more_runs_than_a_workflow_may_have_are_caught() -> None:
    held_of(None)
    publishing.save(make_definition(step("a"), concurrency={"limit": 1}), actor="tester")
    assert found() == []  # they began before, and drain
    WorkflowVersion.objects.update(created_at=LONG_AGO)
    assert found() == [("limits", None)]
    assert "2 runs of workflow sample are held, its limit is 1" in str(next(iter(invariants.broken())))
    Worker.objects.update(expires_at=timezone.now())
    assert found() == []


def test_more_jobs_than_an_agent_may_have_are_caught() -> None:
    running()
    agent = Agent.objects.get(name="tester")
    Agent.objects.filter(pk=agent.pk).update(max_concurrent_jobs=1)
    AgentShare.objects.create(agent=agent, worker=Worker.objects.get(), held=2)
    assert found() == [("limits", None)]
    Agent.objects.filter(pk=agent.pk).update(created_at=LONG_AGO, updated_at=timezone.now())
    assert found() == []  # changed a moment ago
    Agent.objects.filter(pk=agent.pk).update(updated_at=LONG_AGO + timedelta(minutes=1))
    assert found() == [("limits", None)]
    Worker.objects.update(expires_at=timezone.now())
    assert found() == []


def test_what_an_ended_run_leaves_is_caught_once_all_is_at_rest() -> None:
    run, other = run_to_end(step("a")), run_to_end(step("a"))
    RunRequest.objects.create(run=run, verb="cancel", actor="ann")
    StreamText.objects.create(run=other, path="a", attempt=1, offset=0, text="x")
    assert found() == []
    assert found(settled=True) == [("leftovers", run.pk), ("leftovers", other.pk)]


def test_chosen_runs_are_checked_alone() -> None:
    whole, harmed = run_to_end(step("a")), run_to_end(step("a"))
    alter(success=None)(harmed)
    assert found(run_ids=[whole.pk]) == []
    assert found(run_ids={whole.pk, harmed.pk}) == [("end", harmed.pk)]


def test_a_run_that_moves_while_it_is_read_is_not_called_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    held = running()
    read = invariants._read_events

    def move_then_read(ids):  # once: between the reading of the run's row and that of its events
        monkeypatch.setattr(invariants, "_read_events", read)
        transitions.release(held, "stop")
        write(held)
        return read(ids)

    monkeypatch.setattr(invariants, "_read_events", move_then_read)
    assert found() == []


def test_many_runs_cost_a_handful_of_queries_a_batch(django_assert_max_num_queries) -> None:
    for _ in range(30):
        start()
    with django_assert_max_num_queries(14):
        assert found(settled=True) == []


def test_the_command_says_what_is_broken_and_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    run = run_to_end(step("a"))
    call_command("verify_runs", "--settled")
    assert "1 runs checked, no invariant is broken." in capsys.readouterr().out
    alter(success=None)(run)
    with pytest.raises(SystemExit) as ended:
        call_command("verify_runs", "--run", str(run.pk))
    assert ended.value.code == 1
    told = capsys.readouterr().out
    assert f"run {run.pk}: has ended, and does not say whether it succeeded" in told
    assert Broken(run.pk, next(iter(invariants.broken())).rule, "").remedy in told
