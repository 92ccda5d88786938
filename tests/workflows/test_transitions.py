"""The arrows of the state diagram, and how a change is written: guarded, in one piece, once."""

from datetime import timedelta

import pytest
from django.utils import timezone

from tests.factories import make_definition, make_workflow, step
from workflows import audit, changes, claims, publishing, runs, transitions, workers
from workflows.claims import Claimed
from workflows.errors import IllegalTransition
from workflows.held import HeldRun
from workflows.models import Event, Run
from workflows.outcomes import ErrorRecord, Failed, RetryAt, Skipped, Succeeded
from workflows.states import RUN_ENDED, RUN_TRANSITIONS, STEP_ENDED, STEP_TRANSITIONS, RunStatus, StepStatus
from workflows.workers import Identity

COLUMNS = {"step_id": "a", "name": "a", "agent": "tester", "function": "echo"}
ERROR = ErrorRecord("FunctionFailed", "no")


def start(workflow_id: str = "sample", **options: object) -> Run:
    workflow = publishing.save(make_definition(step("a"), workflow_id=workflow_id), actor="tester")
    return runs.start(workflow, {}, trigger="api", actor="tester", wake=False, **options)  # type: ignore[arg-type]


def claim(limit: int = 10) -> list[Claimed]:
    who = Identity.new("local")
    workers.enter(who)
    return claims.claim(who, limit)


def held(status: str = "running") -> HeldRun:
    run = start()
    found = HeldRun.of(run, "tester")
    found.status = status
    return found


ARROWS = {
    "claim": (lambda run: transitions.claim(run, Identity.new("local").id, timezone.now(), 60), {"queued", "waiting"}),
    "take_over": (lambda run: transitions.take_over(run, Identity.new("local").id, "x"), {"running"}),
    "release": (lambda run: transitions.release(run, "stop"), {"running"}),
    "park": (lambda run: transitions.park(run, timezone.now(), "retry"), {"running"}),
    "complete": (lambda run: transitions.complete(run, None), {"running"}),
    "fail": (lambda run: transitions.fail(run, ERROR), {"queued", "running", "waiting"}),
    "time_out": (lambda run: transitions.time_out(run, ERROR), {"queued", "running", "waiting", "paused"}),
    "cancel": (lambda run: transitions.cancel(run, "ann"), {"queued", "running", "waiting", "paused"}),
}


@pytest.mark.parametrize("status", list(RunStatus))
@pytest.mark.parametrize("arrow", ARROWS)
def test_every_arrow_is_taken_only_where_the_table_has_it(arrow: str, status: RunStatus) -> None:
    follow, allowed = ARROWS[arrow]
    run = held(status)
    if status in allowed:
        follow(run)
        assert run.open().events[-1].seq == 2
    else:
        with pytest.raises(IllegalTransition):
            follow(run)


def test_no_ended_run_or_step_leaves_its_state_but_by_retry() -> None:
    for status in RUN_ENDED - {RunStatus.COMPLETED}:
        assert RUN_TRANSITIONS[status] == {RunStatus.QUEUED}
    assert RUN_TRANSITIONS[RunStatus.COMPLETED] == frozenset()
    assert all(not STEP_TRANSITIONS[status] for status in STEP_ENDED)
    assert {StepStatus.COMPLETED, StepStatus.FAILED, StepStatus.SKIPPED, StepStatus.CANCELLED} < STEP_ENDED


@pytest.mark.parametrize(
    "ending",
    [
        lambda run: transitions.complete_step(run, "a", Succeeded({}, "{}", {})),
        lambda run: transitions.fail_step(run, "a", Failed(ERROR)),
        lambda run: transitions.skip_step(run, "b", Skipped("precondition"), dict(COLUMNS)),
    ],
)
def test_a_step_ends_once(ending) -> None:
    run = held()
    transitions.start_step(run, "a", dict(COLUMNS))
    ending(run)
    with pytest.raises(IllegalTransition):
        ending(run)


def test_a_step_between_attempts_starts_again_and_counts() -> None:
    run = held()
    transitions.start_step(run, "a", dict(COLUMNS))
    transitions.retry_step(run, "a", RetryAt(1.0, ERROR))
    transitions.start_step(run, "a", dict(COLUMNS))
    assert (run.step("a").attempt, run.step("a").failed_attempts, run.counts["retried_steps"]) == (2, 1, 1)


def test_an_attempt_cut_short_by_a_lost_worker_does_not_count_as_failed() -> None:
    run = held()
    transitions.start_step(run, "a", dict(COLUMNS))
    transitions.take_over(run, Identity.new("local").id, "gone")
    transitions.start_step(run, "a", dict(COLUMNS))
    assert (run.step("a").attempt, run.step("a").failed_attempts, run.recoveries) == (2, 0, 1)


def test_a_writer_that_lost_its_lease_writes_nothing_and_others_of_its_group_do() -> None:
    start("one"), start("two")
    stale, fine = claim()
    Run.objects.filter(pk=stale.held.id).update(epoch=9)
    for one in (stale, fine):
        transitions.start_step(one.held, "a", dict(COLUMNS))
    lost = changes.write([stale.held.take(), fine.held.take()])  # type: ignore[list-item]
    assert lost == {stale.held.id}
    assert not stale.row.steps.exists()
    assert Event.objects.filter(run=stale.row, type="step_start").count() == 0
    assert fine.row.steps.get().status == "running"


def test_a_change_whose_answer_was_lost_counts_as_written() -> None:
    start()
    (claimed,) = claim()
    transitions.start_step(claimed.held, "a", dict(COLUMNS))
    change = claimed.held.take()
    assert change is not None
    assert changes.write([change]) == set()
    assert changes.write([change]) == set()
    assert claimed.row.steps.count() == 1
    assert audit.first_broken(claimed.held.id) is None


def test_due_runs_are_claimed_by_priority_then_age() -> None:
    ordinary, urgent, later = start("a1"), start("b1", priority=5), start("c1")
    start("d1", run_at=timezone.now() + timedelta(hours=1))
    assert [claimed.held.id for claimed in claim()] == [urgent.pk, ordinary.pk, later.pk]


def test_a_claimed_run_is_claimed_by_nobody_else_until_its_lease_expires() -> None:
    run = start()
    assert len(claim()) == 1
    assert claim() == []
    run.refresh_from_db()
    assert run.worker is not None
    run.worker.expires_at = timezone.now() - timedelta(seconds=60)
    run.worker.save()
    (taken,) = claim()
    assert (taken.held.id, taken.held.epoch, taken.held.recoveries) == (run.pk, 2, 1)


def test_archiving_a_workflow_cancels_what_is_queued_and_frees_the_id() -> None:
    workflow = make_workflow(step("a"))
    run = runs.start(workflow, {}, trigger="api", actor="tester", wake=False)
    publishing.archive("sample", actor="ann")
    run.refresh_from_db()
    assert run.status == "cancelled"
    assert make_workflow(step("a")).pk != workflow.pk
    assert audit.first_broken(None) is None


def test_an_unchanged_save_makes_no_version() -> None:
    workflow = make_workflow(step("a"))
    assert publishing.save(make_definition(step("a")), actor="ann").current == workflow.current
    changed = publishing.save(make_definition(step("a"), step("b")), actor="ann")
    assert changed.current is not None
    assert (changed.current.number, changed.total_steps, changed.steps.count()) == (2, 2, 2)
    assert workflow.versions.get(number=1).definition["steps"] == [step("a")]
