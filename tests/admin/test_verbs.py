"""Running, cancelling and archiving from the admin."""

import pytest
from django.test import Client
from django.urls import reverse

from tests.admin.factories import held, run_of, signed_in, workflow
from workflows.held import write
from workflows.models import Event, Run, RunRequest, Workflow
from workflows.states import RunStatus

pytestmark = pytest.mark.django_db

SCHEMA = {
    "type": "object",
    "required": ["topic"],
    "properties": {"topic": {"type": "string", "default": "AI"}, "words": {"type": "integer"}},
}


@pytest.fixture
def client() -> Client:
    return signed_in(superuser=True)


def run_page(workflow: Workflow) -> str:
    return reverse("admin:workflows_workflow_run", args=[workflow.pk])


def act(client: Client, model: str, action: str, *rows: object) -> object:
    """Choose an action for these rows of a list."""
    address = reverse(f"admin:workflows_{model}_changelist")
    return client.post(address, {"action": action, "_selected_action": [str(row.pk) for row in rows]})  # type: ignore[attr-defined]


def test_a_run_starts_with_the_input_that_was_given(client: Client) -> None:
    stored = workflow()
    answer = client.post(run_page(stored), {"input": "topic: AI\nwords: 300"})
    run = Run.objects.get()
    assert answer.headers["Location"] == reverse("admin:workflows_run_change", args=[run.pk])
    assert (run.input, run.trigger, run.actor) == ({"topic": "AI", "words": 300}, "admin", "person")


def test_an_empty_input_is_an_empty_context(client: Client) -> None:
    client.post(run_page(workflow()), {"input": ""})
    assert Run.objects.get().input == {}


def test_the_page_offers_what_the_schema_asks_for(client: Client) -> None:
    page = client.get(run_page(workflow(parameters=SCHEMA))).content.decode()
    assert "topic: AI" in page
    assert "words: 0" in page


@pytest.mark.parametrize("input", ["words: many", "[1, 2]", "{", "a: .nan"])
def test_bad_input_starts_nothing_and_is_said_at_the_field(client: Client, input: str) -> None:
    answer = client.post(run_page(workflow(parameters=SCHEMA)), {"input": input})
    assert answer.status_code == 200
    assert answer.context["form"].errors["input"]
    assert not Run.objects.exists()


def test_several_workflows_run_together_or_not_at_all(client: Client) -> None:
    free, strict = workflow(workflow_id="free"), workflow(workflow_id="strict", parameters=SCHEMA)
    page = act(client, "workflow", "run_selected", free, strict)
    address = page.headers["Location"]  # type: ignore[attr-defined]
    client.post(address, {"input": ""})
    assert not Run.objects.exists()
    client.post(address, {"input": "topic: AI"})
    assert Run.objects.count() == 2


def test_a_queued_run_is_cancelled_by_the_button(client: Client) -> None:
    run = run_of(workflow())
    client.post(reverse("admin:workflows_run_cancel", args=[run.pk]))
    run.refresh_from_db()
    assert (run.status, run.error_message) == (RunStatus.CANCELLED, "cancelled by person")


def test_a_held_run_is_asked_to_stop(client: Client) -> None:
    run = run_of(workflow())
    write(held(run))
    act(client, "run", "cancel_selected", run)
    assert RunRequest.objects.get(run=run).actor == "person"


def test_cancelling_by_get_is_refused(client: Client) -> None:
    run = run_of(workflow())
    assert client.get(reverse("admin:workflows_run_cancel", args=[run.pk])).status_code == 405


def test_active_runs_of_a_workflow_are_cancelled_together(client: Client) -> None:
    stored, other = workflow(), workflow(workflow_id="other")
    mine, theirs = [run_of(stored), run_of(stored)], run_of(other)
    act(client, "workflow", "cancel_active_runs", stored)
    assert {Run.objects.get(pk=run.pk).status for run in mine} == {RunStatus.CANCELLED}
    assert Run.objects.get(pk=theirs.pk).status == RunStatus.QUEUED


def test_archiving_keeps_the_rows_and_frees_the_id(client: Client) -> None:
    stored = workflow()
    act(client, "workflow", "archive_selected", stored)
    stored.refresh_from_db()
    assert stored.archived_at is not None
    assert Event.objects.get(type="workflow_archived").actor == "person"
    assert client.get(run_page(stored)).status_code == 404
    assert workflow().pk != stored.pk


def test_a_viewer_starts_cancels_and_archives_nothing() -> None:
    stored = workflow()
    run = run_of(stored)
    viewer = signed_in("workflows.view_workflow", "workflows.view_run")
    assert viewer.get(run_page(stored)).status_code == 403
    assert viewer.post(reverse("admin:workflows_run_cancel", args=[run.pk])).status_code == 403
    for model, action, row in (("workflow", "archive_selected", stored), ("run", "cancel_selected", run)):
        act(viewer, model, action, row)
    stored.refresh_from_db()
    assert stored.archived_at is None
    assert Run.objects.get().status == RunStatus.QUEUED
