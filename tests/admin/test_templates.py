"""Templates in the admin: reading one, making a workflow by its form, watching a batch."""

import pytest
from django.urls import reverse

from tests.admin.factories import HOSTILE, signed_in, step, sync_agents, workflow
from workflows import tasks, template_batches, templates
from workflows.definitions import check_template, read_object
from workflows.models import Template, Workflow

pytestmark = pytest.mark.django_db


def template() -> Template:
    schema = {"type": "object", "properties": {"who": {"type": "string", "default": "Ann"}}}
    definition = {"workflow_id": "greet_${params.who}", "steps": [step("a", parameters={"message": "${params.who}"})]}
    value = {"name": "greet", "description": HOSTILE, "parameters": schema, "definition": definition}
    return templates.create(check_template(read_object(value)), actor="tests")


def address(of: Template) -> str:
    return reverse("admin:workflows_template_instantiate", args=[of.pk])


def test_the_form_offers_defaults_and_makes_the_workflow() -> None:
    sync_agents()
    client = signed_in(superuser=True)
    page = client.get(address(template())).content.decode()
    assert "who: Ann" in page
    assert "Make the workflow" in page
    assert HOSTILE not in page
    made = client.post(address(Template.objects.get()), {"input": "who: Bob", "workflow_id": ""})
    stored = Workflow.objects.get(workflow_id="greet_Bob")
    assert made.headers["Location"] == reverse("admin:workflows_workflow_change", args=[stored.pk])


def test_what_is_refused_is_told_at_the_form() -> None:
    sync_agents()
    client = signed_in(superuser=True)
    workflow(workflow_id="greet_Ann")
    made = template()
    for sent, told in [
        ({"input": "who: 1"}, "parameters.who: 1 is not of type"),
        ({"input": "who: a b"}, "definition.workflow_id: "),
        ({"input": ""}, "exists already"),
    ]:
        assert told in client.post(address(made), sent).content.decode()
    assert Workflow.objects.count() == 1


def test_a_template_is_shown_as_yaml_and_made_from_by_those_who_may() -> None:
    made = template()
    client = signed_in("workflows.view_template")
    page = client.get(reverse("admin:workflows_template_change", args=[made.pk])).content.decode()
    assert "workflow_id: greet_${params.who}" in page
    assert HOSTILE not in page
    assert client.get(address(made)).status_code == 403


def test_a_batch_shows_how_far_it_is(transactional_db: None) -> None:
    sync_agents()
    batch = template_batches.begin(template(), [{"parameters": {"who": who}} for who in ("a", "b", "b")], actor="tests")
    tasks.instantiate_rows()
    client = signed_in(superuser=True)
    page = client.get(reverse("admin:workflows_templatebatch_change", args=[batch.pk])).content.decode()
    assert "2 done, 1 failed" in page
    rows = f"{reverse('admin:workflows_templatebatchrow_changelist')}?batch__id__exact={batch.pk}&status__exact=failed"
    assert "exists already" in client.get(rows).content.decode()
