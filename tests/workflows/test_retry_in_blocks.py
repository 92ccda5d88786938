"""What a `retry` keeps and discards inside blocks. The outside witness is a file: a line for each execution."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from tests.engines import in_engine, until
from tests.factories import make_workflow, results, run_to_end, statuses, step
from workflows import audit, invariants, requests, runs, transitions
from workflows.engine import Engine
from workflows.errors import StepNotFound
from workflows.models import Event, Run, RunRequest, StepResult

MANY = 1_500
ONCE = "run.attempt > 1"
"""A validation that the steps of a run pass only after a `retry`."""


class Site:
    """Makes steps that write down that they were executed, and runs them."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "executed"

    def note(self, step_id: str, **fields: Any) -> dict[str, Any]:
        return step(step_id, "note", {"file": str(self._file), "text": step_id}, max_retries=0, **fields)

    def failing(self, step_id: str, unless: str = ONCE, **fields: Any) -> dict[str, Any]:
        """A step that is executed and then fails, unless the expression holds."""
        return self.note(step_id, validation=unless, **fields)

    def executed(self) -> list[str]:
        """Paths in the order of execution, since this was last asked."""
        lines = self._file.read_text().splitlines() if self._file.exists() else []
        self._file.unlink(missing_ok=True)
        return [line.split(":")[1] for line in lines]

    def failed(self, *steps: dict[str, Any], **fields: Any) -> Run:
        """A run that has failed; what it executed until then is forgotten."""
        run = run_to_end(*steps, **fields)
        assert run.status == "failed", (run.status, run.error_message)
        self.executed()
        return run


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def carried_on(run: Run) -> Run:
    """Until the run's end."""

    async def script(engine: Engine) -> None:
        await engine.take([run.pk])
        await until(lambda: Run.objects.get(pk=run.pk).has_ended)

    in_engine(script)
    return runs.get(run.pk)


def retried(run: Run, start_at: str | None = None) -> Run:
    """The run after a `retry` that completes it."""
    runs.retry(run.pk, actor="ann", start_at=start_at)
    run = carried_on(run)
    assert run.status == "completed", run.error_message
    assert not list(invariants.broken(settled=True, run_ids=[run.pk]))
    assert audit.first_broken(run.pk) is None
    return run


def told(run: Run) -> tuple[str, set[str], set[str]]:
    """Where the newest `retry` began, what it discarded, and the blocks that it reopened."""
    event = Event.objects.filter(run=run, type="run_retried").latest("seq")
    return event.path, set(event.data["discarded"]), set(event.data.get("reopened", ()))


# --- The blocks, each with a step inside that fails in the run's first attempt ---------------------------------------


def branch(site: Site) -> list[dict[str, Any]]:
    """Decided by what is otherwise after a `retry`."""
    inside = [site.note("a"), site.failing("b"), site.note("c")]
    return [{"step_id": "gate", "if": "run.attempt == 1", "then": inside, "else": [site.note("wrong")]}]


def case(site: Site) -> list[dict[str, Any]]:
    inside = [site.note("a"), site.failing("b"), site.note("c")]
    return [{"step_id": "gate", "switch": "run.attempt", "cases": {"1": inside}, "default": [site.note("wrong")]}]


def loop(site: Site, at_once: int = 1) -> list[dict[str, Any]]:
    inside = [site.note("a"), site.failing("b", f"{ONCE} || index != 1"), site.note("c")]
    items = "run.attempt == 1 ? [1, 2, 3] : [1]"
    return [{"step_id": "each", "for_each": items, "steps": inside, "max_concurrency": at_once}]


def repeated(site: Site) -> list[dict[str, Any]]:
    """Three iterations, of which the second fails."""
    count = step("count", "add", {"a": '${steps.get("count.result.result", 0)}', "b": 1})
    inside = [count, site.failing("a", f"{ONCE} || steps.count.result.result != 2"), site.note("b")]
    return [{"step_id": "improve", "while": 'steps.get("count.result.result", 0) < 3', "steps": inside}]


def beside(site: Site) -> list[dict[str, Any]]:
    """One branch ends before the other fails, one is cancelled by it."""
    slow = step("slow", "nap", {"seconds": 30}, precondition="run.attempt == 1")
    bad = [step("wait", "nap", {"seconds": 0.3}), site.failing("bad"), site.note("after")]
    return [{
        "step_id": "both",
        "parallel": {"good": [site.note("a"), site.note("b")], "bad": bad, "long": [site.note("c"), slow]},
    }]  # fmt: skip


def generated(site: Site) -> list[dict[str, Any]]:
    made = [site.note("a"), site.failing("b"), site.note("c")]
    return [step("outline", "give", {"value": {"steps": made}}, generate=True)]


def nested(site: Site) -> list[dict[str, Any]]:
    inside = [site.note("a"), {"step_id": "gate", "if": "true", "then": [site.note("b"), site.failing("c")]}]
    return [{"step_id": "each", "for_each": "[1, 2]", "steps": inside}]


@pytest.mark.parametrize(
    ("make", "again", "reopened"),
    [
        (branch, ["gate.b", "gate.c"], {"gate"}),
        (case, ["gate.b", "gate.c"], {"gate"}),
        (loop, ["each[1].b", "each[1].c", "each[2].a", "each[2].b", "each[2].c"], {"each"}),
        (repeated, ["improve[1].a", "improve[1].b", "improve[2].a", "improve[2].b"], {"improve"}),
        (beside, ["both.bad", "both.after"], {"both"}),
        (generated, ["outline.b", "outline.c"], set()),
        (nested, ["each[0].gate.c", "each[1].a", "each[1].gate.b", "each[1].gate.c"], {"each", "each[0].gate"}),
    ],
)
def test_a_retry_goes_on_inside_with_what_failed(site: Site, make: Any, again: list[str], reopened: set[str]) -> None:
    run = site.failed(site.note("first"), *make(site), site.note("last"))
    run = retried(run)
    assert site.executed() == [*again, "last"]
    begun, _, told_reopened = told(run)
    assert begun == again[0]
    assert told_reopened == reopened


def test_finished_items_beside_a_failed_one_stay(site: Site) -> None:
    inside = [site.note("a"), step("nap", "nap", {"seconds": "${index == 1 ? 0.4 : 0.0}"})]
    inside.append(site.failing("b", f"{ONCE} || index != 1"))
    each = {"step_id": "each", "for_each": "[1, 2, 3]", "steps": inside, "max_concurrency": 3}
    run = retried(site.failed(each))
    assert site.executed() == ["each[1].b"]
    assert [item["noted"] for item in results(run)["each"]] == ["b", "b", "b"]


# --- From a place inside ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "start_at", "discarded", "reopened"),
    [
        (branch, "gate.a", {"gate.a", "gate.b", "gate.c", "last"}, {"gate"}),
        (case, "gate.c", {"gate.c", "last"}, {"gate"}),
        (case, "gate", {"gate", "gate.a", "gate.b", "gate.c", "last"}, set()),
        (loop, "each[1].b", {"each[1].b", "each[1].c", "last"}, {"each"}),
        (loop, "each[1]", {"each[1].a", "each[1].b", "each[1].c", "last"}, {"each"}),
        (repeated, "improve[1].b", {"improve[1].b", *(f"improve[2].{s}" for s in ("count", "a", "b")), "last"},
         {"improve"}),
        (repeated, "improve[2]", {*(f"improve[2].{s}" for s in ("count", "a", "b")), "last"}, {"improve"}),
        (beside, "both.b", {"both.b", "last"}, {"both"}),
        (generated, "outline.b", {"outline.b", "outline.c", "last"}, set()),
        (generated, "outline", {"outline", "outline.a", "outline.b", "outline.c", "last"}, set()),
        (nested, "each[0].gate.b", {"each[0].gate.b", "each[0].gate.c", "last"}, {"each", "each[0].gate"}),
        (nested, "each[1]", {"each[1].a", "each[1].gate", "each[1].gate.b", "each[1].gate.c", "last"}, {"each"}),
    ],
)  # fmt: skip
def test_from_a_place_inside_only_what_follows_it_is_discarded(
    site: Site, make: Any, start_at: str, discarded: set[str], reopened: set[str]
) -> None:
    begun = site.failed(site.note("first"), *make(site), site.failing("last", "run.attempt > 2"))
    run = failed_at_the_end(begun)
    site.executed()
    before = {row.path: row.pk for row in run.steps.filter(superseded=False)}
    run = retried(run, start_at)
    assert told(run) == (start_at, discarded, reopened)
    after = {row.path: row.pk for row in run.steps.filter(superseded=False)}
    assert {path for path, key in before.items() if after.get(path) != key} == discarded
    counted = StepResult.objects.filter(run=run, superseded=False, function="note")
    if start_at != "gate":  # which is decided again
        expected = discarded & set(counted.values_list("path", flat=True))
        assert set(site.executed()) == expected


def failed_at_the_end(run: Run) -> Run:
    """The run after a `retry` in which everything but the last step passes."""
    runs.retry(run.pk, actor="ann")
    run = carried_on(run)
    assert (run.status, run.attempt) == ("failed", 2)
    assert run.error_message.startswith("step last failed")
    return run


@pytest.mark.parametrize(
    ("start_at", "said"),
    [
        ("each[1].c", "has not come to 'each\\[1\\].c', and goes on with 'each\\[1\\].b'"),
        ("each[3]", "has not come to 'each\\[3\\]', and goes on with 'each\\[1\\].b'"),
        ("each[1].nope", "no step 'each\\[1\\].nope'; did you mean"),
        ("gate.wrong", "has not come to 'gate.wrong'"),
        ("last", "'each\\[1\\].b', which stands before it, is not finished"),
        ("a", "step 'a' was executed as 'each\\[0\\].a', 'each\\[1\\].a'"),
    ],
)
def test_places_that_were_not_reached_are_refused(site: Site, start_at: str, said: str) -> None:
    gate = {"step_id": "gate", "if": "true", "then": [site.note("right")], "else": [site.note("wrong")]}
    run = site.failed(gate, *loop(site), site.note("last"))
    with pytest.raises(StepNotFound, match=said):
        runs.retry(run.pk, actor="ann", start_at=start_at)
    run.refresh_from_db()
    assert (run.status, run.attempt) == ("failed", 1)


# --- Blocks that were cut off ----------------------------------------------------------------------------------------


def test_a_loop_that_was_cancelled_between_two_iterations_keeps_those_that_are_finished(site: Site) -> None:
    """Paused where nothing inside is unfinished, then cancelled: the loop itself has done nothing wrong."""
    count = step("count", "add", {"a": '${steps.get("count.result.result", 0)}', "b": 1})
    inside = [count, site.note("a"), step("nap", "nap", {"seconds": 1.2})]
    each = {"step_id": "improve", "while": 'steps.get("count.result.result", 0) < 2', "steps": inside}
    run = runs.start(make_workflow(each), {}, trigger="api", actor="ann", wake=False)

    async def script(engine: Engine) -> None:
        await engine.take([run.pk])
        await until(lambda: run.steps.filter(path="improve[0].nap", status="running").exists())
        engine._active[run.pk].halt(lambda held: transitions.pause(held, "ann"))
        await until(lambda: Run.objects.get(pk=run.pk).status == "paused")

    in_engine(script)
    runs.cancel(run.pk, actor="ann")
    assert statuses(run)["improve"] == "cancelled"
    assert site.executed() == ["improve[0].a"]
    run = retried(run)
    assert site.executed() == ["improve[1].a"]
    assert results(run)["improve"] == {"iterations": 2}


def test_a_block_whose_branches_had_all_ended_is_not_executed_again(site: Site) -> None:
    """A worker lost between the end of the last branch and that of the block; then the run is cancelled."""
    run = site.failed({"step_id": "both", "parallel": {"x": [site.note("a")], "y": [site.note("b")]}}, *case(site))
    StepResult.objects.filter(run=run, path="both").update(status="cancelled", result=None)
    runs.retry(run.pk, actor="ann")
    assert told(run)[2] == {"both"}
    carried_on(run)
    assert not {"both.a", "both.b"} & set(site.executed())
    assert results(run)["both"]["x"] == {"noted": "a"}


def test_a_failure_of_generated_steps_that_was_tolerated_is_not_executed_again(site: Site) -> None:
    made = [site.note("a"), site.failing("b"), site.note("c")]
    outline = step("outline", "give", {"value": {"steps": made}}, generate=True, continue_on_failure=True)
    run = retried(site.failed(outline, site.note("after"), site.failing("last")))
    assert site.executed() == ["last"]
    assert statuses(run)["outline.b"] == "failed"
    assert run.partial


def test_as_many_steps_as_a_run_can_have_are_discarded_at_once(site: Site) -> None:
    each = {"step_id": "each", "for_each": "[1]", "steps": [site.note("a")]}
    run = site.failed(each, site.failing("last"))
    many = [StepResult(run=run, path=f"each[0].a{n}", step_id=f"a{n}", status="skipped") for n in range(MANY)]
    StepResult.objects.bulk_create(many, batch_size=100)
    if connection.vendor == "sqlite":
        connection.connection.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, MANY)
    runs.retry(run.pk, actor="ann", start_at="each")
    assert run.steps.filter(superseded=True).count() == MANY + 3
    connection.close()


# --- Children --------------------------------------------------------------------------------------------------------


def calling(site: Site, *inside: dict[str, Any]) -> dict[str, Any]:
    make_workflow(*inside, workflow_id="child")
    return {"step_id": "call", "workflow": "child"}


def test_a_failed_child_is_started_anew_and_the_old_one_stays(site: Site) -> None:
    call = calling(site, site.note("a"), step("b", "raise_text", {"text": "no"}, max_retries=0))
    run = site.failed(site.note("first"), call)
    runs.retry(run.pk, actor="ann")
    run = carried_on(run)
    assert site.executed() == ["a"]
    old, new = run.children.order_by("pk")
    assert (old.parent_path, new.parent_path) == ("call", "call")
    assert [row.parameters["run_id"] for row in run.steps.filter(path="call").order_by("pk")] == [
        str(old.pk),
        str(new.pk),
    ]


def test_a_finished_child_stays_and_is_started_anew_only_where_it_is_asked_for(site: Site) -> None:
    call = calling(site, site.note("a"))
    run = site.failed(call, site.failing("last", "run.attempt > 2"))
    runs.retry(run.pk, actor="ann")
    run = carried_on(run)
    assert (site.executed(), run.children.count()) == (["last"], 1)
    run = retried(run, "call")
    assert (site.executed(), run.children.count()) == (["a", "last"], 2)


def test_a_child_that_was_left_behind_is_cancelled_before_the_retry(site: Site) -> None:
    """Whoever cancelled the parent died before it could tell the child."""
    call = calling(site, step("ask", "give"))
    run = site.failed(call)
    Run.objects.filter(parent=run).update(status="queued", ended_at=None)
    runs.retry(run.pk, actor="ann")
    assert run.children.get().status == "cancelled"


def test_the_end_of_an_older_child_is_none_of_the_new_one(site: Site) -> None:
    """The old child was retried on its own while the step waits for the new one."""
    call = calling(site, {"step_id": "ask", "approval": {"prompt": "?", "options": ["yes"], "timeout_seconds": 600}})
    run = runs.start(make_workflow(call), {}, trigger="api", actor="ann", wake=False)

    async def script(engine: Engine) -> None:
        await engine.take([run.pk])
        await until(lambda: Run.objects.filter(parent=run, status="waiting").exists())
        await until(lambda: Run.objects.get(pk=run.pk).status == "waiting")

    in_engine(script)
    RunRequest.objects.create(run=run, verb="child", arguments={"path": "call", "run_id": "another"})
    requests.settle()
    assert Run.objects.get(pk=run.pk).status == "waiting"
