"""Templates in the admin: reading one, making a workflow by its form, watching a batch."""

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from tests.admin.factories import HOSTILE, signed_in, step, sync_agents, workflow
from workflows import tasks, template_batches, templates
from workflows.definitions import check_template, read_object
from workflows.models import Template, TemplateBatch, Workflow

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


def many(of: Template) -> str:
    return reverse("admin:workflows_template_many", args=[of.pk])


def looked_at(client: Client, of: Template, text: str | bytes) -> Any:
    content = text.encode() if isinstance(text, str) else text
    return client.post(many(of), {"file": SimpleUploadedFile("rows.csv", content)})


def test_the_rows_of_a_file_are_tried_before_anything_is_made() -> None:
    sync_agents()
    client, made = signed_in(superuser=True), template()
    workflow(workflow_id="greet_Cy")
    shown = looked_at(client, made, "who,workflow_id\nBob,\na b,\nCy,\nBob,\nDee,own_id\n")
    found = {row.number: (row.workflow_id, len(row.problems)) for row in shown.context["checked"]}
    assert found == {1: ("greet_Bob", 0), 2: ("", 1), 3: ("greet_Cy", 1), 4: ("greet_Bob", 1), 5: ("own_id", 0)}
    assert Workflow.objects.count() == 1
    begun = client.post(many(made), {"rows": shown.context["sent_back"], "begin": "1"})
    batch = TemplateBatch.objects.get()
    assert begun.headers["Location"] == reverse("admin:workflows_templatebatch_change", args=[batch.pk])
    template_batches.work()
    assert batch.counts() == {"done": 2, "failed": 3, "pending": 0}
    page = client.get(begun.headers["Location"]).content.decode()
    assert 'max="5" value="5"' in page


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ("who\n", "0 rows"),
        ("who,who\na,b\n", "one twice"),
        ("who\na,b\n", "line 2"),
        (b"who\n\xff\n", "not UTF-8"),
        ('who\n"a\n', "unexpected end"),
    ],
)
def test_a_file_that_can_not_be_read_says_why(content: str | bytes, said: str) -> None:
    answer = looked_at(signed_in(superuser=True), template(), content)
    assert said in str(answer.context["form"].errors["file"])


def test_cells_stand_for_what_the_template_asks_for() -> None:
    properties = {
        "n": {"type": "integer"},
        "on": {"type": "boolean"},
        "tags": {"type": "array"},
        "who": {"type": "string"},
    }
    made = template()
    made.parameters = {"type": "object", "properties": properties}
    made.save()
    answer = looked_at(signed_in(superuser=True), made, 'n,on,tags,who\n7,TRUE,"[1, 2]",12\n,,,\nx,,,\n')
    assert [row["parameters"] for row in answer.context["rows"]] == [
        {"n": 7, "on": True, "tags": [1, 2], "who": "12"},
        {},
        {"n": "x"},
    ]


@pytest.mark.parametrize("rows", ["[", "7", "[]", "[1]", '[{"parameters": 1}]', '[{"parameters": {}, "x": 1}]'])
def test_rows_that_no_file_gave_are_refused(rows: str) -> None:
    made = template()
    answer = signed_in(superuser=True).post(many(made), {"rows": rows, "begin": "1"})
    assert answer.context["form"].non_field_errors()
    assert not TemplateBatch.objects.exists()


def test_only_who_may_add_workflows_makes_many() -> None:
    client = signed_in("workflows.view_template")
    assert client.get(many(template())).status_code == 403
