"""Versions of a definition: what makes one, what runs keep, going back to an earlier one."""

import asyncio
from collections.abc import Callable

import pytest

from agents import catalog
from agents.models import Agent
from tests.engines import and_close, in_engine, until
from tests.factories import make_definition, make_workflow, results, statuses, step
from workflows import publishing, runs
from workflows.catalog import Catalog
from workflows.definitions import check, read_object
from workflows.engine import Engine
from workflows.errors import DefinitionError, VersionConflict, VersionNotFound, WorkflowNotFound
from workflows.models import Event, Run, Workflow, WorkflowVersion

LONG = step("a", "nap", {"seconds": 0.7})


def revised(*steps: dict, **fields: object) -> Workflow:
    return publishing.revise("sample", make_definition(*steps, **fields), actor="ann")


def started(version: WorkflowVersion | None = None) -> Run:
    workflow = publishing.current("sample")
    return runs.start(workflow, {}, trigger="api", actor="tester", version=version, wake=False)


def carried_out(run: Run, while_under_way: Callable[[], object]) -> Run:
    """The run, after a real engine has carried it out; its first step was under way when that was done."""

    async def script(engine: Engine) -> None:
        await engine.take([run.pk])
        await until(lambda: run.steps.filter(status="running").exists())
        await asyncio.to_thread(and_close, lambda: bool(while_under_way()) or True)
        await until(lambda: Run.objects.get(pk=run.pk).has_ended)

    in_engine(script)
    return runs.get(run.pk)


def notes() -> list[tuple[int, str]]:
    return list(WorkflowVersion.objects.order_by("number").values_list("number", "note"))


def test_a_run_under_way_goes_on_with_the_definition_that_it_started_with() -> None:
    make_workflow(LONG, step("b", parameters={"message": "old"}))
    run = carried_out(started(), lambda: revised(LONG, step("b", parameters={"message": "new"}), step("c")))
    assert (run.status, run.version.number, run.total_steps) == ("completed", 1, 2)
    assert (results(run)["b"]["echo"], set(statuses(run))) == ("old", {"a", "b"})
    assert publishing.current("sample").total_steps == 3


def nested(*inner: dict) -> list[dict]:
    return [step("a"), {"step_id": "gate", "if": "input.x", "then": list(inner), "metadata": {"k": 1}}]


def test_rows_mirror_the_steps_inside_blocks_too() -> None:
    made = make_workflow(*nested(step("b", max_retries=7), {"step_id": "c", "wait": {"seconds": 1}}))
    rows = [(row.position, row.step_id, row.agent, row.function, row.max_retries) for row in made.steps.all()]
    assert rows == [
        (0, "a", "tester", "echo", 3),
        (1, "gate", "", "", 3),
        (2, "b", "tester", "echo", 7),
        (3, "c", "", "", 3),
    ]
    options = {row.step_id: row.options for row in made.steps.all()}
    assert options["gate"] == {"if": "input.x", "metadata": {"k": 1}}
    assert options["c"] == {"wait": {"seconds": 1}}
    assert made.current is not None
    assert (made.total_steps, made.current.total_steps) == (3, 3)


def test_a_workflow_may_name_those_that_are_stored_and_run_it_not() -> None:
    def faults(*steps: dict, workflow_id: str = "sample") -> list[tuple[str, str]]:
        source = read_object({"workflow_id": workflow_id, "steps": list(steps)})
        return [(problem.code, problem.message) for problem in check(source, Catalog()).problems]

    def child(step_id: str, name: str, **fields: object) -> dict:
        return {"step_id": step_id, "workflow": name, **fields}

    make_workflow(child("a", "second"), workflow_id="first")
    make_workflow(*nested(child("b", "third", version=1)), workflow_id="second")
    make_workflow(child("c", "sample"), workflow_id="third")
    publishing.revise("third", make_definition(step("c"), workflow_id="third"), actor="ann")
    assert faults(child("a", "second", version=1)) == [
        ("child_cycle", "a workflow can't run itself, and this one would: sample → second → third → sample")
    ]
    assert faults(child("a", "third")) == []
    assert faults(child("a", "third", version=3)) == [
        ("version_not_found", 'workflow "third" has no version 3; its newest is 2')
    ]
    assert faults(child("a", "thirt")) == [
        ("workflow_not_found", 'there is no workflow "thirt"; did you mean "third"?')
    ]
    publishing.archive("third", actor="ann")
    assert [code for code, _ in faults(child("a", "third"))] == ["workflow_not_found"]


def test_a_run_that_was_queued_before_a_change_keeps_its_definition() -> None:
    make_workflow(LONG)
    run = started()
    revised(step("b"))
    assert statuses(carried_out(run, lambda: None)) == {"a": "completed"}


def test_a_run_under_way_is_cancelled_when_its_revised_workflow_is_archived() -> None:
    make_workflow(step("a", "nap", {"seconds": 60}), step("b"))

    def revise_and_archive() -> None:
        revised(step("b"))
        publishing.archive("sample", actor="ann")

    run = carried_out(started(), revise_and_archive)
    assert (run.status, run.version.number, statuses(run)) == ("cancelled", 1, {"a": "cancelled"})
    assert run.version.definition["steps"][0]["step_id"] == "a"


def test_a_run_on_an_earlier_version_carries_out_that_one() -> None:
    workflow = make_workflow(LONG)
    revised(step("b"), step("c"))
    assert statuses(carried_out(started(workflow.version(1)), lambda: None)) == {"a": "completed"}


def test_a_change_makes_a_version_with_its_author_and_note_and_no_change_makes_none() -> None:
    make_workflow(step("a"))
    for _ in range(2):
        publishing.revise("sample", make_definition(step("b")), actor="ann", note="b is better")
    version = publishing.current("sample").version(2)
    assert (version.author, version.note, version.is_current, version.total_steps) == ("ann", "b is better", True, 1)
    assert notes() == [(1, ""), (2, "b is better")]
    event = Event.objects.get(type="workflow_revised")
    assert (event.actor, event.data["note"], event.data["version"]) == ("ann", "b is better", 2)


def test_restoring_makes_a_new_version_with_the_old_definition() -> None:
    workflow = make_workflow(step("a"), description="first")
    revised(step("b"), step("c"))
    restored, changed = publishing.restore("sample", 1, actor="bob")
    assert changed
    assert (restored.definition, restored.total_steps) == (workflow.version(1).definition, 1)
    assert notes() == [(1, ""), (2, ""), (3, "restores version 1")]
    assert [row.step_id for row in restored.steps.all()] == ["a"]
    publishing.restore("sample", 2, actor="bob", note="no, it was right")
    assert notes()[-1] == (4, "no, it was right")
    assert Event.objects.filter(type="workflow_revised", actor="bob").count() == 2


def test_restoring_what_is_in_force_already_makes_nothing() -> None:
    make_workflow(step("a"))
    revised(step("b"))
    revised(step("a"))
    for number in (1, 3):
        workflow, changed = publishing.restore("sample", number, actor="bob")
        assert (changed, workflow.current and workflow.current.number) == (False, 3)
    assert len(notes()) == 3


def test_a_version_whose_agent_is_gone_is_not_restored_and_each_place_is_told() -> None:
    make_workflow(step("a"), step("b"))
    Agent.objects.create(name="heir", functions=["echo"])
    revised(step("a") | {"agent_id": "heir"})
    Agent.objects.filter(name="tester").delete()
    catalog.forget()
    with pytest.raises(DefinitionError) as refused:
        publishing.restore("sample", 1, actor="bob")
    assert [problem.path for problem in refused.value.problems] == ["steps[0].agent_id", "steps[1].agent_id"]
    assert len(notes()) == 2


def test_a_restore_that_builds_on_an_older_version_is_refused() -> None:
    make_workflow(step("a"))
    revised(step("b"))
    for number in (1, 2):
        with pytest.raises(VersionConflict, match="at version 2, not 1"):
            publishing.restore("sample", number, actor="bob", expected_version=1)
    with pytest.raises(VersionNotFound, match="there are 1 to 2"):
        publishing.restore("sample", 3, actor="bob")
    publishing.archive("sample", actor="bob")
    with pytest.raises(WorkflowNotFound):
        publishing.restore("sample", 1, actor="bob")
