"""What ships: every template makes a workflow that runs, and is loaded once."""

import pytest
from django.conf import settings
from django.core.management import call_command

from agents.sync import sync
from tests import examples
from workflows import inprocess, publishing, templates
from workflows.catalog import Catalog
from workflows.definitions import check, read_yaml
from workflows.models import Template

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
