"""What ships: every template makes a workflow that runs, and is loaded once."""

import asyncio
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command

from agents import catalog
from agents.models import Agent
from agents.sync import sync
from tests import examples
from tests.engines import and_close, in_engine, until
from tests.factories import results, statuses
from workflows import inprocess, publishing, runs, templates
from workflows.catalog import Catalog
from workflows.definitions import check, read_yaml
from workflows.engine import Engine
from workflows.models import Run, Template, Workflow

PARAMETERS = {
    "content_creation": {"topic": "What's new in AI?"},
    "data_analysis": {"dataset": "synthetic_healthcare_metrics"},
    "code_development": {"project": "passwords", "requirements": "a function that counts words"},
}


@pytest.fixture(autouse=True)
def shipped(agent: None) -> None:
    sync(settings.AGENTS_FILE)
    call_command("load_examples", verbosity=0)


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_shipped_template_makes_a_workflow_that_runs(name: str) -> None:
    definition = templates.plan(templates.get(name), PARAMETERS[name], "made")
    assert "params" not in str(definition)
    assert inprocess.run(definition, {}).success


@pytest.mark.parametrize("name", ["code_development", "content_creation", "data_analysis"])
def test_a_shipped_workflow_runs(name: str) -> None:
    assert _run(name, {}).success


@pytest.mark.parametrize("report", ["basic", "detailed"])
@pytest.mark.parametrize("complexity", ["low", "high"])
@pytest.mark.parametrize("good_from", [1, 10, None])
def test_the_conditional_workflow_goes_down_every_path(good_from: float | None, complexity: str, report: str) -> None:
    if good_from is None:  # nothing can be assessed
        Agent.objects.filter(name="qa_specialist").update(enabled=False)
        catalog.forget()
    long = "antidisestablishmentarianism " * 80
    input = {"good_from": good_from or 1, "complexity": complexity, "report": report}
    run = _run("conditional_research", input | ({"text": long} if good_from == 10 else {}))
    path = "quality.polish" if good_from == 1 else "quality.rework"
    expected = {
        "assess": "failed" if good_from is None else "completed",
        "quality": "completed",
        path: "completed",
        "complex": "completed" if complexity == "high" else "skipped",
        "synthesis": "completed",
        "report": "completed",
        f"report.{report}_report": "completed",
        "clean_up": "completed",
    }
    assert run.status == "completed"
    assert statuses(run) == expected


@pytest.mark.parametrize("answer", ["publish", "keep"])
def test_the_novel_is_written_improved_and_published_if_a_person_says_so(answer: str) -> None:
    run = runs.start(Workflow.objects.named("novel"), {"good_from": 9}, trigger="api", actor="ann")

    async def script(engine: Engine) -> None:
        await engine.take([run.pk])
        await until(lambda: Run.objects.get(pk=run.pk).status == "waiting", 30)
        await asyncio.to_thread(and_close, lambda: runs.answer(run.pk, "ask", answer, actor="ann", comment="later"))
        await until(lambda: Run.objects.get(pk=run.pk).has_ended, 30)

    in_engine(script)
    run = Run.objects.get(pk=run.pk)
    assert run.status == "completed", run.error_message
    found = statuses(run)
    assert found["outline.note_3"] == found["chapters[2].write"] == found["chapters[2].improve[0].check"] == "completed"
    assert found["decide"] == "completed"
    if answer == "publish":
        assert results(run)["decide.publish"]["published"].startswith("The Lighthouse, ")
        assert run.children.get().status == "completed"
    else:
        assert results(run)["decide.keep"]["echo"] == "kept: later"


def _run(name: str, input: dict[str, Any]) -> Run:
    current = Workflow.objects.named(name).current
    assert current is not None
    return inprocess.run(current.parsed, input)


def test_the_examples_of_the_documentation_are_stored_as_they_stand() -> None:
    for workflow_id, text in examples.shown().items():
        checked = check(read_yaml(text), Catalog())
        assert (checked.problems, checked.warnings) == ([], []), workflow_id
        publishing.create(checked.definition_or_raise(), actor="tester")


def test_every_shipped_template_is_tried() -> None:
    assert set(Template.objects.values_list("name", flat=True)) == set(PARAMETERS)


def test_what_was_changed_or_deleted_is_not_loaded_again() -> None:
    Template.objects.filter(name="data_analysis").update(description="mine")
    templates.delete("code_development", actor="tester")
    call_command("load_examples", verbosity=0)
    assert templates.get("data_analysis").description == "mine"
    assert not Template.objects.filter(name="code_development").exists()
