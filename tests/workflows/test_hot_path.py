"""The statements that each run, step and claim costs: few, prepared, by an index, and in order."""

import asyncio
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.db import transaction as django_transaction
from django.utils import timezone
from django_q.brokers import get_broker

from tests.engines import until
from tests.factories import make_workflow, step
from workflows import (
    bell,
    changes,
    claims,
    dispatch,
    engine,
    held,
    publishing,
    questions,
    runs,
    statements,
    transitions,
    workers,
)
from workflows.engine import Engine
from workflows.models import Run, StreamText, Worker
from workflows.outcomes import Succeeded
from workflows.workers import Identity


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """A context in which the statements that go past Django's cursors are kept."""

    @contextmanager
    def listen() -> Iterator[list[str]]:
        kept: list[str] = []
        if connection.vendor == "sqlite":
            connection.ensure_connection()
            # A trigger tells the statement that it belongs to once more.
            connection.connection.set_trace_callback(lambda sql: None if [sql] == kept[-1:] else kept.append(sql))
            try:
                yield kept
            finally:
                connection.connection.set_trace_callback(None)
            return
        execute = statements.execute

        def noted(sql: str, values: Sequence[Any] = ()) -> Any:
            kept.append(sql)
            return execute(sql, values)

        with monkeypatch.context() as patch:
            for module in (statements, changes, questions):
                patch.setattr(module, "execute", noted)
            yield kept

    return listen


def worker() -> Identity:
    who = Identity.new("worker")
    workers.enter(who)
    return who


def started(*steps: dict[str, Any]) -> Run:
    make_workflow(*steps)
    return start_one()


def start_one() -> Run:
    return runs.start(publishing.current("sample"), {}, trigger="api", actor="tester", wake=False)


def columns(number: int) -> dict[str, Any]:
    return {"step_id": f"s{number}", "name": f"s{number}", "agent": "tester", "function": "echo", "parameters": {}}


def transaction(*inside: str) -> list[str]:
    """The statements of a commit, by their first words: SQLite's are one by one, PostgreSQL's are one."""
    if connection.vendor == "postgresql":
        return ["WITH"]
    return ["PRAGMA", "BEGIN", "PRAGMA", *inside, "COMMIT"]


def first_words(kept: list[str]) -> list[str]:
    return [sql.split()[0] for sql in kept]


def test_a_claim_that_finds_nothing_is_one_statement(said: Any, django_assert_num_queries: Any) -> None:
    who = worker()
    claims.claim(who, 10)
    with said() as kept, django_assert_num_queries(0):
        assert claims.claim(who, 10) == []
    assert first_words(kept) == ["SELECT"]


def test_starting_a_run_is_one_commit_of_a_row_and_an_event(said: Any, django_assert_num_queries: Any) -> None:
    workflow = publishing.current(make_workflow(step("a")).workflow_id)
    runs.start(workflow, {}, trigger="api", actor="tester", wake=False)
    with said() as kept, django_assert_num_queries(0):
        run = runs.start(workflow, {}, trigger="api", actor="tester", wake=False)
    assert first_words(kept) == transaction("INSERT", "INSERT")
    stored = Run.objects.get(pk=run.pk)
    assert (stored.event_seq, stored.event_head) == (1, run.event_head)
    assert stored.events.get().hash == run.event_head


def test_a_boundary_is_one_commit_whatever_the_number_of_steps(said: Any, django_assert_num_queries: Any) -> None:
    run, who = started(*(step(f"s{number}") for number in range(30))), worker()
    [claimed] = claims.claim(who, 1)
    transitions.start_step(claimed.held, "s0", columns(0))
    held.write(claimed.held)
    for number in range(1, 30):
        transitions.complete_step(claimed.held, f"s{number - 1}", Succeeded({}, "{}", {}))
        transitions.start_step(claimed.held, f"s{number}", columns(number))
        with said() as kept, django_assert_num_queries(0):
            held.write(claimed.held)
        assert first_words(kept) == transaction("UPDATE", "INSERT", "UPDATE", "INSERT")
    assert run.steps.count() == 30


def test_the_status_of_a_workflow_is_two_statements(said: Any, django_assert_num_queries: Any) -> None:
    workflow_id = make_workflow(step("a")).workflow_id
    workflow = publishing.current(workflow_id)
    assert runs.newest(workflow) is None
    runs.start(workflow, {}, trigger="api", actor="tester", wake=False)
    with said() as kept, django_assert_num_queries(0):
        newest = runs.newest(publishing.current(workflow_id))
        assert newest is not None
        assert newest.workflow.name
        assert newest.version.number == 1
    assert first_words(kept) == ["SELECT", "SELECT"]


@pytest.mark.skipif(connection.vendor != "sqlite", reason="about SQLite")
def test_a_step_is_found_by_its_index_and_so_are_due_runs(said: Any) -> None:
    started(step("a"))
    who = worker()
    with said() as kept:
        [claimed] = claims.claim(who, 1)
        transitions.start_step(claimed.held, "a", columns(0))
        held.write(claimed.held)
        transitions.complete_step(claimed.held, "a", Succeeded({}, "{}", {}))
        held.write(claimed.held)
    [update] = [sql for sql in kept if sql.startswith('UPDATE "workflows_stepresult"')]
    [look, *_] = [sql for sql in kept if "EXISTS" in sql]
    assert plan(update) == ["SEARCH workflows_stepresult USING INDEX step_result_unique (run_id=? AND path=?)"]
    scans = [line for line in plan(look) if line.startswith("SCAN") and line != "SCAN CONSTANT ROW"]
    assert scans == []
    assert any("INDEX run_due (due_at<?)" in line for line in plan(look))


def plan(sql: str) -> list[str]:
    rows = statements.execute(f"EXPLAIN QUERY PLAN {sql}", [None] * sql.count("%s")).fetchall()
    return [str(row[3]) for row in rows]


def test_if_one_of_a_group_is_held_by_others_only_that_is_not_written() -> None:
    first, who = started(step("a")), worker()
    second = start_one()
    mine, lost = sorted(claims.claim(who, 2), key=lambda one: one.held.id)
    Run.objects.filter(pk=lost.held.id).update(epoch=lost.held.epoch + 1)
    writes = []
    for one in (mine, lost):
        transitions.start_step(one.held, "a", columns(0))
        writes.append(one.held.take())
    assert changes.write([change for change in writes if change]) == {lost.held.id}
    assert {first.pk, second.pk} == {mine.held.id, lost.held.id}
    assert Run.objects.get(pk=mine.held.id).steps.count() == 1
    assert Run.objects.get(pk=lost.held.id).steps.count() == 0


def test_after_a_group_that_is_not_written_nothing_is_taken_for_prepared_that_is_not() -> None:
    """The driver takes statements that PostgreSQL has skipped, after an error in a pipeline, for prepared."""
    started(step("a"))
    for _ in range(7):
        start_one()
    lost, *others = (one.held for one in claims.claim(worker(), 8))
    Run.objects.filter(pk=lost.id).update(epoch=lost.epoch + 1)
    for number, mine in enumerate(others):
        transitions.release(mine, "the worker stops")
        group = [mine.take()]
        if number == 2:  # the third use of a statement prepares it
            transitions.start_step(lost, "a", columns(0))
            group.insert(0, lost.take())
        assert changes.write([change for change in group if change]) == ({lost.id} if number == 2 else set())
    assert Run.objects.filter(worker=None).count() == 7


@pytest.mark.skipif(connection.vendor != "postgresql", reason="about PostgreSQL")
def test_rows_that_travel_as_a_document_hold_what_they_were_given_and_are_found_by_index() -> None:
    texts = ['\\u0000 {"a": "ä"}', "\U0001f40d", "x" * statements.LARGEST_DOCUMENT, "", "null", "a\tb\n"]
    make_workflow(step("a"))
    keys = [start_one().pk for _ in texts]
    rows = [{"run": key, "path": "a", "attempt": 1, "offset": at, "text": texts[at]} for at, key in enumerate(keys)]
    written = list(statements.inserts(StreamText, rows))
    for statement in written:
        statements.execute(*statement)
    assert len(written) == 3  # what comes before the large one, that, and what follows
    assert list(StreamText.objects.order_by("offset").values_list("text", flat=True)) == texts

    moment = timezone.now()
    ended = [({"ended_at": moment, "error_message": text}, {"id": key}) for text, key in zip(texts, keys, strict=True)]
    with django_transaction.atomic():
        statements.join_by_index()
        found = [(statements.execute(*statement).rowcount, to) for statement, to in statements.updates(Run, ended)]
        *_, ((sql, values), _) = statements.updates(Run, ended)
        plan = statements.execute(f"EXPLAIN {sql}", values).fetchall()
    assert found == [(2, 2), (1, 1), (3, 3)]
    stored = {run.pk: (run.error_message, run.ended_at) for run in Run.objects.all()}
    assert stored == {key: (text, moment) for key, text in zip(keys, texts, strict=True)}
    assert "Index Scan" in str(plan)


@pytest.mark.parametrize("rows", [99, 350])
def test_rows_of_one_change_are_stored_in_order_whatever_they_have(rows: int) -> None:
    run, who = started(step("a")), worker()
    [claimed] = claims.claim(who, 1)
    paths = [f"p{rows - number}" for number in range(rows)]
    change = claimed.held.open()
    for number, path in enumerate(paths):
        more = {"reason": "precondition"} if number % 2 else {"attempt": 1, "agent": "tester"}
        change.new_steps[path] = {"step_id": "a", "status": "skipped", **more}
    transitions.start_step(claimed.held, "a", columns(0))
    held.write(claimed.held)
    stored = list(run.steps.order_by("pk"))
    assert [row.path for row in stored] == [*paths, "a"]
    assert [row.reason for row in stored[:2]] == ["", "precondition"]
    assert [row.logs for row in stored[:2]] == [[], []]


def has_ended(run: Run) -> Callable[[], bool]:
    return Run.objects.filter(pk=run.pk, ended_at__isnull=False).exists


def test_a_loop_that_lingers_hears_at_once_what_is_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "LOOK_EVERY", 60)  # so that only a bell wakes it
    workflow = make_workflow(step("a"))

    async def main() -> list[bool]:
        loop = Engine(Worker.Kind.WORKER, capacity=5)
        working = asyncio.create_task(loop.work(60, linger=30))
        ended = []
        for _ in range(2):
            await until(lambda: Worker.objects.filter(kind="worker").exists())
            await asyncio.sleep(0.3)  # it has looked, and listens
            run = await asyncio.to_thread(start)
            await until(has_ended(run))
            ended.append(True)
        await loop.finish(0)
        await working
        return ended

    def start() -> Run:
        try:
            return runs.start(workflow, {}, trigger="api", actor="tester")
        finally:
            connection.close()

    monkeypatch.setattr(dispatch, "ring", lambda *_: None)
    assert asyncio.run(main()) == [True, True]


def test_a_bell_that_can_not_be_heard_is_only_late(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> Any:
        raise OperationalError("no more connections")

    monkeypatch.setattr(bell, "_connected", refused)
    make_workflow(step("a"))

    async def main() -> None:
        loop = Engine(Worker.Kind.WORKER, capacity=5)
        working = asyncio.create_task(loop.work(60, linger=30))
        run = await asyncio.to_thread(start)
        await until(has_ended(run))
        await loop.finish(0)
        await working

    def start() -> Run:
        try:
            return runs.start(publishing.current("sample"), {}, trigger="api", actor="tester")
        finally:
            connection.close()

    asyncio.run(main())


def test_messages_that_say_the_same_are_taken_together(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = get_broker(f"test-{uuid.uuid4()}")
    monkeypatch.setattr(dispatch, "_broker", lambda: broker)
    for _ in range(5):
        dispatch.ring()
        dispatch.ring(dispatch.TEMPLATE_ROWS)
    taken = []
    while messages := broker.dequeue():
        taken += [message for _, message in messages]
    assert len(taken) == 2
    assert taken[0] != taken[1]


def test_a_start_rings_only_for_loops_that_are_missing(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.WORKERS = 2
    broker = get_broker(f"test-{uuid.uuid4()}")
    monkeypatch.setattr(dispatch, "_broker", lambda: broker)
    monkeypatch.setattr(dispatch, "GOOD_FOR", 0)
    make_workflow(step("a"))

    def has_rung() -> bool:
        runs.start(publishing.current("sample"), {}, trigger="api", actor="tester")
        messages = broker.queue_size()
        broker.purge_queue()
        return bool(messages)

    assert has_rung()  # no cluster is known
    workers.enter(Identity.new("pacemaker"))
    workers.enter(Identity.new("worker"))
    assert has_rung()
    other = Identity.new("worker")
    workers.enter(other)
    assert not has_rung()
    workers.leave(other)
    assert has_rung()
    assert workers.enter(other)
    assert not has_rung()
    assert workers.claim_no_more(other)
    assert has_rung()


def test_loops_that_were_at_work_are_not_asked_for_at_each_start(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(dispatch, "_loops_are_missing", lambda: asked.append(True))
    make_workflow(step("a"))
    for _ in range(5):
        runs.start(publishing.current("sample"), {}, trigger="api", actor="tester")
    assert len(asked) == 1
    monkeypatch.setattr(dispatch, "_asked_again_at", 0.0)  # the second is over
    runs.start(publishing.current("sample"), {}, trigger="api", actor="tester")
    assert len(asked) == 2


def test_a_worker_is_lost_while_it_held_runs() -> None:
    make_workflow(step("a"))
    now = workers.database_now()
    idle, holder = worker(), worker()
    runs.start(publishing.current("sample"), {}, trigger="api", actor="tester", wake=False)
    assert len(claims.claim(holder, 1)) == 1
    assert not workers.lost(now).exists()
    Worker.objects.filter(pk__in=[idle.id, holder.id]).update(expires_at=now)
    assert workers.lost(now).get().pk == holder.id
