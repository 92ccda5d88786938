"""Limits of runs and of an agent's jobs at once, over all loops; and suspects of a lost worker kept apart."""

import asyncio
import threading
import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from agents import catalog
from agents.models import Agent
from tests.engines import and_close, in_engine, until
from tests.factories import make_workflow, step
from workflows import claims, publishing, runs, shares, suspicion, transitions, workers
from workflows.claims import Claimed
from workflows.engine import Engine
from workflows.errors import ConcurrencyLimitReached, LeaseLost
from workflows.held import write
from workflows.models import AgentShare, Event, Run, Worker, Workflow
from workflows.outcomes import ErrorRecord
from workflows.suspicion import most_together
from workflows.workers import Identity

ERROR = ErrorRecord("FunctionFailed", "no")


def limited(limit: int, on_limit: str = "queue", *steps: dict) -> Workflow:
    return make_workflow(*(steps or [step("a")]), concurrency={"limit": limit, "on_limit": on_limit})


def start(workflow: Workflow, **options: object) -> Run:
    return runs.start(workflow, {}, trigger="api", actor="tester", wake=False, **options)  # type: ignore[arg-type]


def worker() -> Identity:
    who = Identity.new(Worker.Kind.LOCAL)
    workers.enter(who)
    return who


def lose(who: Identity) -> None:
    Worker.objects.filter(pk=who.id).update(expires_at=timezone.now() - timedelta(seconds=60))


# --- Runs of a workflow ----------------------------------------------------------------------------------------------


def test_no_more_runs_of_a_workflow_are_claimed_than_its_limit_allows() -> None:
    workflow = limited(2)
    other = publishing.create(publishing.current("sample").current.parsed.model_copy(  # type: ignore[union-attr]
        update={"workflow_id": "other", "concurrency": None}), actor="tester")  # fmt: skip
    started = [start(workflow) for _ in range(4)]
    free = start(other)
    first, second = worker(), worker()
    assert [one.held.id for one in claims.claim(first, 10)] == [started[0].pk, started[1].pk, free.pk]
    assert claims.claim(second, 10) == []


ENDINGS: dict[str, Callable[[Claimed], None]] = {
    "completed": lambda one: transitions.complete(one.held, None),
    "failed": lambda one: transitions.fail(one.held, ERROR),
    "cancelled": lambda one: transitions.cancel(one.held, "ann"),
    "timed_out": lambda one: transitions.time_out(one.held, ERROR),
    "paused": lambda one: transitions.pause(one.held, "ann"),
    "waiting": lambda one: transitions.park(one.held, timezone.now() + timedelta(hours=1), "test"),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_way_that_a_run_can_end_or_let_go_frees_its_place(ending: str) -> None:
    workflow = limited(1)
    _, second = start(workflow), start(workflow)
    (one,) = claims.claim(worker(), 10)
    ENDINGS[ending](one)
    write(one.held)
    assert [found.held.id for found in claims.claim(worker(), 10)] == [second.pk]


def test_a_place_held_by_the_dead_is_free() -> None:
    workflow = limited(1)
    lost, second = start(workflow), start(workflow)
    dead = worker()
    claims.claim(dead, 10)
    lose(dead)
    assert [one.held.id for one in claims.claim(worker(), 10)] == [lost.pk]
    assert claims.claim(worker(), 10) == []
    assert Run.objects.get(pk=second.pk).status == "queued"


def test_a_limit_that_is_changed_holds_from_then_on() -> None:
    workflow = limited(1)
    for _ in range(3):
        start(workflow)
    assert len(claims.claim(worker(), 10)) == 1
    wider = workflow.current.parsed.model_copy(update={"concurrency": None})  # type: ignore[union-attr]
    publishing.save(wider, actor="ann")
    assert len(claims.claim(worker(), 10)) == 2


def test_a_start_over_the_limit_is_refused_where_the_definition_says_so() -> None:
    workflow = limited(1, "reject")
    run = start(workflow)
    with pytest.raises(ConcurrencyLimitReached, match="1 of 1"):
        start(workflow)
    assert Run.objects.count() == 1
    runs.cancel(run.pk, actor="ann")
    start(workflow, run_at=timezone.now() + timedelta(hours=1))  # put off: not under way
    start(workflow)


def test_starts_at_once_do_not_pass_a_limit_that_rejects() -> None:
    workflow = limited(3, "reject")
    refused: list[Exception] = []

    def one() -> None:
        try:
            start(workflow)
        except ConcurrencyLimitReached as error:
            refused.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=one) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (Run.objects.count(), len(refused)) == (3, 7)


# --- Jobs of an agent ------------------------------------------------------------------------------------------------


def narrow(limit: int) -> str:
    Agent.objects.filter(name="tester").update(max_concurrent_jobs=limit)
    catalog.forget()
    return str(Agent.objects.get(name="tester").pk)


def held(agent: str) -> int:
    live = AgentShare.objects.filter(agent_id=uuid.UUID(agent), worker__expires_at__gt=timezone.now())
    return sum(share.held for share in live)


def test_loops_share_an_agent_and_never_hold_more_than_there_is() -> None:
    agent, (one, two) = narrow(3), (worker(), worker())
    assert shares.settle(one, agent, 0, 2).held == 2
    assert shares.settle(two, agent, 0, 5).held == 1
    assert held(agent) == 3
    assert shares.settle(one, agent, 2, 3).contended


def test_loops_that_want_more_than_there_is_take_turns() -> None:
    agent, (one, two) = narrow(1), (worker(), worker())
    assert shares.settle(one, agent, 0, 2).held == 1
    assert shares.settle(two, agent, 0, 1).held == 0
    turns = []
    for _ in range(12):
        for who, name in ((one, "one"), (two, "two")):
            if shares.settle(who, agent, 0, 1).held:  # what it had has ended, and it wants one more
                turns.append(name)
    assert abs(turns.count("one") - turns.count("two")) <= 1
    assert len(turns) >= 8  # of 12: in four the free place was kept for the other


def test_what_a_lost_loop_held_can_be_taken() -> None:
    agent, (one, two) = narrow(1), (worker(), worker())
    assert shares.settle(one, agent, 0, 1).held == 1
    lose(one)
    assert shares.settle(two, agent, 0, 1).held == 1
    with pytest.raises(LeaseLost):
        shares.settle(one, agent, 1, 1)


def test_a_step_over_the_agents_limit_waits_in_line_and_says_how_long() -> None:
    narrow(2)
    workflow = make_workflow(step("a", "nap", {"seconds": 0.4}))
    started = [start(workflow) for _ in range(5)]
    most = 0

    async def script(engine: Engine) -> None:
        nonlocal most
        await engine.take([run.pk for run in started])
        async with asyncio.timeout(20):
            while not await asyncio.to_thread(and_close, lambda: not Run.objects.active().exists()):
                line = engine._slots._lines.values()
                most = max([most, *(one.used for one in line)])
                await asyncio.sleep(0.01)

    in_engine(script)
    assert {run.status for run in Run.objects.all()} == {"completed"}
    assert most == 2
    waited = sorted(run.steps.get().waited_ms for run in Run.objects.all())
    assert waited[1] == 0 < waited[2]
    assert waited[-1] > 350
    assert Event.objects.filter(type="step_waiting").count() == 3
    assert Event.objects.filter(type="step_waiting").first().data["limit"] == 2  # type: ignore[union-attr]


@pytest.mark.parametrize("how", ["cancel", "pause"])
def test_a_run_in_line_leaves_it_when_it_is_cancelled_or_paused(how: str) -> None:
    agent = narrow(1)
    workflow = make_workflow(step("a", "nap", {"seconds": 2.5}))
    first, second = start(workflow), start(workflow)

    async def script(engine: Engine) -> None:
        await engine.take([first.pk, second.pk])
        await until(lambda: second.steps.filter(status="waiting").exists())
        await asyncio.to_thread(and_close, lambda: bool(getattr(runs, how)(second.pk, actor="ann")))
        await until(lambda: Run.objects.get(pk=second.pk).status in {"cancelled", "paused"}, 2)
        await until(lambda: not AgentShare.objects.filter(waiting_since__isnull=False).exists(), 2)
        await until(lambda: Run.objects.get(pk=first.pk).status == "completed")
        await until(lambda: held(agent) == 0, 3)

    in_engine(script)
    assert second.steps.get().status == ("cancelled" if how == "cancel" else "waiting")


def test_two_engines_never_do_more_of_an_agents_jobs_than_it_allows() -> None:
    agent = narrow(2)
    workflow = make_workflow(*(step(f"s{n}", "nap", {"seconds": 0.05}) for n in range(3)))
    started = [start(workflow).pk for _ in range(8)]
    most: list[int] = []

    async def script(one: Engine) -> None:
        two = Engine(Worker.Kind.WEB, capacity=5)
        two.begin_chores()
        await asyncio.gather(one.take(started[:4]), two.take(started[4:]))
        async with asyncio.timeout(40):
            while not await asyncio.to_thread(and_close, lambda: not Run.objects.active().exists()):
                most.append(sum(line.used for engine in (one, two) for line in engine._slots._lines.values()))
                assert await asyncio.to_thread(and_close, lambda: held(agent) <= 2)
        await two.finish(0)
        await two.close()

    in_engine(script)
    assert max(most) == 2
    assert {run.status for run in Run.objects.all()} == {"completed"}


# --- Suspects of a lost worker ---------------------------------------------------------------------------------------


def test_the_more_often_a_run_lost_its_worker_the_fewer_suspects_share_its_loop(settings) -> None:
    settings.MAX_RECOVERIES = 5
    assert [most_together(recoveries, 500) for recoveries in range(1, 6)] == [500, 105, 22, 4, 1]
    settings.MAX_RECOVERIES = 1
    assert most_together(1, 500) == 1


def test_a_run_that_kills_its_workers_is_given_up_and_the_innocent_are_not() -> None:
    workflow = make_workflow(step("a"))
    started = [start(workflow) for _ in range(30)]
    culprit = started[7]
    for _ in range(40):
        if Run.objects.get(pk=culprit.pk).has_ended:
            break
        who = worker()
        if culprit.pk in {one.held.id for one in claims.claim(who, 30)}:
            lose(who)  # as if it had killed its worker
        else:  # the others get on
            finish_all(who)
    culprit.refresh_from_db()
    assert (culprit.status, culprit.error_code) == ("failed", "TooManyRecoveries")
    assert culprit.recoveries == 6
    for _ in range(30):
        who = worker()
        if not claims.claim(who, 30):
            break
        finish_all(who)
    assert {run.status for run in Run.objects.exclude(pk=culprit.pk)} == {"completed"}


def finish_all(who: Identity) -> None:
    for run in Run.objects.filter(worker=who.id):
        held_run = claims.reload(who, run.pk)
        assert held_run is not None
        transitions.complete(held_run, None)
        write(held_run)


def test_of_the_runs_of_a_lost_worker_only_the_most_suspected_are_blamed() -> None:
    workflow = make_workflow(step("a"))
    suspect, innocent = start(workflow), start(workflow)
    Run.objects.filter(pk=suspect.pk).update(recoveries=1)
    dead = worker()
    claims.claim(dead, 5)
    lose(dead)
    claims.claim(worker(), 5)
    suspect.refresh_from_db()
    innocent.refresh_from_db()
    assert (suspect.recoveries, innocent.recoveries) == (2, 0)


def test_a_run_at_its_last_chance_shares_its_loop_with_no_other_suspect() -> None:
    rows = [Run(recoveries=5), Run(recoveries=5), Run(recoveries=2)]
    assert suspicion.together(rows, [], 500) == rows[:1]
    assert suspicion.together(rows, [1], 500) == rows[2:]
