"""Running, steering, repeating and archiving from the admin."""

import json
import re
import uuid

import pytest
from django.test import Client
from django.urls import reverse

from tests.admin.factories import begin, end, fail, held, run_of, signed_in, step, succeed, workflow
from workflows import publishing, runs
from workflows.definitions import check, read_object
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
    schema = {"required": ["topic"], "properties": {"topic": {"type": "string"}}}
    free, strict = workflow(workflow_id="free"), workflow(workflow_id="strict", parameters=schema)
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


def failed_run() -> Run:
    """A run whose step `a` completed and whose step `b` failed."""
    hold = held(run_of(workflow(step("a"), step("b")), {"topic": "owls"}))
    begin(hold, "a")
    succeed(hold, "a", {"echo": "first result"})
    begin(hold, "b")
    fail(hold, "b", "a bad moment")
    return end(hold, error="a bad moment")


def press(client: Client, run: Run, verb: str, **sent: str) -> str:
    """Press a button of a run's page. Returns the page that follows, messages included."""
    address = reverse(f"admin:workflows_run_{verb}", args=[run.pk])
    return client.post(address, sent, follow=True).content.decode()


def page_of(client: Client, run: Run) -> str:
    return client.get(reverse("admin:workflows_run_change", args=[run.pk])).content.decode()


def offered(client: Client, run: Run) -> set[str]:
    """The verbs that the page of the run offers."""
    found = set(re.findall(rf'action="[^"]*/{run.pk}/(\w+)/"', page_of(client, run)))
    return found | set(re.findall(rf'href="[^"]*/{run.pk}/(rerun)/"', page_of(client, run)))


def test_only_the_verbs_that_apply_are_offered(client: Client) -> None:
    failed = failed_run()
    assert offered(client, failed) == {"retry", "rerun"}
    queued = run_of(failed.workflow)
    assert offered(client, queued) == {"pause", "cancel", "rerun"}
    press(client, queued, "pause")
    assert offered(client, queued) == {"resume", "cancel", "rerun"}
    completed = end(held(run_of(failed.workflow)))
    assert offered(client, completed) == {"rerun"}
    publishing.archive("article", actor="person")
    assert offered(client, failed) == {"retry"}


def test_a_held_run_that_was_asked_to_pause_offers_to_resume(client: Client) -> None:
    run = run_of(workflow())
    write(held(run))
    assert "before its next attempt" in press(client, run, "pause")
    assert offered(client, run) == {"resume", "cancel", "rerun"}


def test_a_run_is_paused_and_resumed_by_its_buttons(client: Client) -> None:
    run = run_of(workflow())
    press(client, run, "pause")
    run.refresh_from_db()
    assert run.status == RunStatus.PAUSED
    assert "already" in press(client, run, "pause")
    assert "The run goes on." in press(client, run, "resume")
    run.refresh_from_db()
    assert run.status == RunStatus.QUEUED
    assert [event.actor for event in run.events.order_by("seq")][1:] == ["person", "person"]


def test_a_failed_run_is_retried_from_the_failure_or_from_a_step_on(client: Client) -> None:
    run = failed_run()
    assert "from its first unfinished step on" in press(client, run, "retry")
    assert kept(run) == {"a"}
    runs.cancel(run.pk, actor="tests")
    assert page_of(client, run).count(">Retry from here<") == 1
    assert "from step a on" in press(client, run, "retry", **{"from": "a"})
    assert kept(run) == set()


def kept(run: Run) -> set[str]:
    """Paths of the results that count."""
    return set(run.steps.filter(superseded=False).values_list("path", flat=True))


def test_what_a_retry_discarded_is_shown_under_its_step(client: Client) -> None:
    run = failed_run()
    press(client, run, "retry", **{"from": "a"})
    run.refresh_from_db()
    hold = held(run)
    begin(hold, "a")
    succeed(hold, "a", {"echo": "second result"})
    shown = page_of(client, end(hold))
    assert "Earlier results, 1" in shown
    assert shown.index("second result") < shown.index("first result")


def test_a_button_that_no_longer_applies_says_why(client: Client) -> None:
    run = failed_run()
    for verb, sent in (("pause", {}), ("resume", {}), ("retry", {"from": "nothing"})):
        answer = client.post(reverse(f"admin:workflows_run_{verb}", args=[run.pk]), sent, follow=True)
        assert [message.level_tag for message in answer.context["messages"]] == ["error"]
    run.refresh_from_db()
    assert run.status == RunStatus.FAILED


def test_a_run_is_run_again_with_the_input_that_the_form_brings(client: Client) -> None:
    run = failed_run()
    address = reverse("admin:workflows_run_rerun", args=[run.pk])
    form = client.get(address)
    assert json.loads(form.context["form"]["input"].value()) == {"topic": "owls"}
    answer = client.post(address, {"input": form.context["form"]["input"].value()})
    new = Run.objects.get(rerun_of=run)
    assert answer.headers["Location"] == reverse("admin:workflows_run_change", args=[new.pk])
    assert (new.input, new.trigger, new.actor) == ({"topic": "owls"}, "rerun", "person")
    assert str(new.pk) in page_of(client, run)
    assert str(run.pk) in page_of(client, new)


def test_a_run_is_run_again_with_the_current_version_if_one_asks_for_it(client: Client) -> None:
    run = run_of(workflow(step("a")))
    address = reverse("admin:workflows_run_rerun", args=[run.pk])
    assert "current" not in client.get(address).context["form"].fields
    newer = check(read_object({"workflow_id": "article", "steps": [step("b")]})).definition_or_raise()
    publishing.revise("article", newer, actor="tests")
    assert "current" in client.get(address).context["form"].fields
    for sent, version in (({}, 1), ({"current": "on"}, 2)):
        client.post(address, {"input": "", **sent})
        assert Run.objects.latest("created_at").version.number == version


@pytest.mark.parametrize("input", ["topic: 7", "[1]", "{"])
def test_bad_input_repeats_nothing_and_is_said_at_the_field(client: Client, input: str) -> None:
    run = run_of(workflow(parameters=SCHEMA), {"topic": "owls"})
    answer = client.post(reverse("admin:workflows_run_rerun", args=[run.pk]), {"input": input})
    assert answer.context["form"].errors["input"]
    assert Run.objects.count() == 1


def test_a_run_of_an_archived_workflow_is_not_run_again(client: Client) -> None:
    run = run_of(workflow())
    publishing.archive("article", actor="tests")
    answer = client.post(reverse("admin:workflows_run_rerun", args=[run.pk]), {"input": ""})
    assert "archived" in answer.content.decode()
    assert Run.objects.count() == 1


def test_a_workflow_that_takes_no_more_runs_says_so_at_the_form(client: Client) -> None:
    run = run_of(workflow(concurrency={"limit": 1, "on_limit": "reject"}))
    for address in (run_page(run.workflow), reverse("admin:workflows_run_rerun", args=[run.pk])):
        assert client.post(address, {"input": ""}).context["form"].errors["input"]
    assert Run.objects.count() == 1


def test_selected_runs_are_retried_together_as_far_as_they_have_failed(client: Client) -> None:
    failed = failed_run()
    queued = run_of(failed.workflow)
    act(client, "run", "retry_selected", failed, queued)
    failed.refresh_from_db()
    assert (failed.status, failed.attempt) == (RunStatus.QUEUED, 2)
    told = client.get(reverse("admin:workflows_run_changelist")).content.decode()
    assert "1 of 2 runs are queued again" in told


@pytest.mark.parametrize("verb", ["pause", "resume", "retry"])
def test_steering_by_get_is_refused(client: Client, verb: str) -> None:
    run = run_of(workflow())
    assert client.get(reverse(f"admin:workflows_run_{verb}", args=[run.pk])).status_code == 405


@pytest.mark.parametrize("verb", ["cancel", "pause", "resume", "retry", "rerun"])
def test_no_such_run_is_404(client: Client, verb: str) -> None:
    address = reverse(f"admin:workflows_run_{verb}", args=[uuid.UUID(int=7)])
    assert client.post(address).status_code == 404


def test_a_viewer_is_offered_no_verb_and_refused_each() -> None:
    run = failed_run()
    viewer = signed_in("workflows.view_run")
    assert offered(viewer, run) == set()
    assert "Retry from here" not in page_of(viewer, run)
    for verb in ("pause", "resume", "retry", "rerun"):
        assert viewer.post(reverse(f"admin:workflows_run_{verb}", args=[run.pk])).status_code == 403
    act(viewer, "run", "retry_selected", run)
    run.refresh_from_db()
    assert run.status == RunStatus.FAILED


def test_steering_and_running_again_are_permissions_of_their_own() -> None:
    run = failed_run()
    assert offered(signed_in("workflows.view_run", "workflows.change_run"), run) == {"retry"}


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
