"""Questions to people in the admin: their page, the form, and who may answer."""

import uuid
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from tests.admin.factories import HOSTILE, held, run_of, signed_in, step
from tests.factories import make_workflow
from workflows import runs, transitions
from workflows.held import HeldRun, write
from workflows.models import Run, RunRequest, Workflow
from workflows.outcomes import Skipped, Succeeded

pytestmark = pytest.mark.django_db

MAY = ("workflows.view_run", "workflows.change_run")


def approval(step_id: str = "gate") -> dict[str, Any]:
    return {"step_id": step_id, "approval": {"prompt": "Publish?"}}


def stored(**fields: Any) -> Workflow:
    return make_workflow(approval(), step("b"), **fields)


def ask(hold: HeldRun, path: str = "gate", **decided: Any) -> None:
    """Have the step wait for an answer, as the engine does."""
    parameters = {"prompt": "Publish?", "options": ["approve", "reject"], "assignees": [], "on_timeout": "fail"}
    columns = {"step_id": path, "name": path, "kind": "approval", "parameters": parameters | decided}
    hold.step(path, "approval")
    transitions.wait_step(hold, path, columns, None, prompt="Publish?")


def asking(workflow: Workflow | None = None, **decided: Any) -> Run:
    """A parked run that waits for an answer."""
    hold = held(run_of(workflow or stored()))
    ask(hold, **decided)
    transitions.park(hold, None, "it waits at gate", counts=False)
    write(hold)
    return Run.objects.get(pk=hold.id)


def answer(client: Client, run: Run | uuid.UUID, **fields: Any) -> Any:
    key = run.pk if isinstance(run, Run) else run
    address = reverse("admin:workflows_run_answer", args=[key])
    return client.post(address, {"path": "gate", "answer": "approve", **fields}, follow=True)


def told(response: Any) -> str:
    return " ".join(str(message) for message in response.context["messages"])


def page(client: Client, name: str = "approvals", *arguments: Any) -> str:
    return client.get(reverse(name, args=arguments)).content.decode()


def test_what_waits_is_on_the_home_page_on_its_own_and_on_that_of_the_run() -> None:
    run = asking(prompt="Publish the owls?", options=["yes", "not yet"])
    client = signed_in(*MAY)
    for shown in (page(client), page(client, "admin:index"), page(client, "admin:workflows_run_change", run.pk)):
        assert "Publish the owls?" in shown
        assert '<button class="k-button" type="submit" name="answer" value="not yet">Not yet</button>' in shown
        assert reverse("admin:workflows_run_answer", args=[run.pk]) in shown
    assert str(run.pk) in page(client)


@pytest.mark.parametrize(
    ("back", "address"), [("home", "admin:index"), ("approvals", "approvals"), ("https://evil.example", None)]
)
def test_an_answer_is_taken_and_leads_back_to_where_it_was_given(back: str, address: str | None) -> None:
    run = asking()
    response = answer(signed_in(*MAY), run, comment="Well done", back=back)
    expected = reverse(address) if address else reverse("admin:workflows_run_change", args=[run.pk])
    assert response.redirect_chain[-1][0] == expected
    request = RunRequest.objects.get()
    arguments: Any = request.arguments
    assert (request.actor, arguments) == ("person", {"path": "gate", "answer": "approve", "comment": "Well done"})
    assert Run.objects.get().status == "queued"


def test_the_page_says_who_answered_and_asks_nobody_any_more() -> None:
    run = asking()
    client = signed_in(*MAY)
    assert "Your answer to step gate is “approve”" in told(answer(client, run, comment="Well done"))
    shown = page(client, "admin:workflows_run_change", run.pk)
    for text in ("<strong>person</strong> answered <strong>approve</strong>", "has not taken it up yet", "Well done"):
        assert text in shown
    assert 'name="answer"' not in shown
    assert "Nobody asks you anything" in page(client)


def test_an_answer_that_was_taken_is_shown_with_who_gave_it() -> None:
    hold = held(run_of(stored()))
    ask(hold)
    arrived = {"answer": "reject", "comment": "Too short", "answered_at": "2026-01-02T03:04:05+00:00"}
    transitions.take_input(hold, "gate", "approval_answered", 0, "anna", **arrived)
    result = {"answer": "reject", "comment": "Too short", "answered_by": "anna"}
    transitions.finish_step(hold, "gate", Succeeded(result, "{}", {}))
    write(hold)
    shown = page(signed_in(*MAY), "admin:workflows_run_change", hold.id)
    for text in ("<strong>anna</strong> answered <strong>reject</strong>", "2 Jan, 03:04:05", "Too short"):
        assert text in shown


def test_an_answer_that_nobody_gave_in_time_is_shown_as_such() -> None:
    hold = held(run_of(stored()))
    ask(hold, on_timeout="approve")
    encoded = '{"answer":"approve","comment":"","answered_by":null}'
    transitions.finish_step(hold, "gate", Succeeded({}, encoded, {}))
    write(hold)
    shown = page(signed_in(*MAY), "admin:workflows_run_change", hold.id)
    assert "Nobody answered in time: <strong>approve</strong>" in shown


def test_the_second_is_told_who_was_first() -> None:
    run = asking()
    runs.answer(run.pk, "gate", "reject", actor="anna")
    assert "anna answered step gate with 'reject' already" in told(answer(signed_in(*MAY), run))
    assert RunRequest.objects.count() == 1


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"answer": "perhaps"}, "approve, reject"),
        ({"answer": ""}, "answer: "),
        ({"path": "gat"}, 'did you mean "gate"'),
        ({"path": "b\0"}, "path: "),
        ({"comment": "x" * 10_001}, "comment: "),
    ],
)
def test_what_is_no_answer_is_refused(fields: dict[str, str], said: str) -> None:
    run = asking()
    assert said in told(answer(signed_in(*MAY), run, **fields))
    assert not RunRequest.objects.exists()


def test_a_run_that_is_gone_is_told() -> None:
    client = signed_in(*MAY)
    response = answer(client, uuid.UUID(int=7), back="approvals")
    assert "there is no run" in told(response)


def test_only_those_who_are_asked_see_the_form_and_may_answer() -> None:
    run = asking(assignees=["anna", "group:editors"])
    client = signed_in(*MAY)
    assert "Nobody asks you anything" in page(client)
    shown = page(client, "admin:workflows_run_change", run.pk)
    assert "to anna, group:editors" in shown
    assert 'name="answer"' not in shown
    assert answer(client, run).status_code == 403
    User.objects.get(username="person").groups.add(Group.objects.create(name="editors"))
    assert 'name="answer"' in page(client)
    assert "Your answer" in told(answer(client, run))


def test_who_may_only_look_may_not_answer() -> None:
    run = asking()
    client = signed_in("workflows.view_run")
    assert "Nobody asks you anything" in page(client)
    assert 'name="answer"' not in page(client, "admin:workflows_run_change", run.pk)
    assert answer(client, run).status_code == 403


def test_a_question_that_was_never_asked_is_nobodys_to_answer() -> None:
    hold = held(run_of(stored()))
    hold.step("gate", "approval")
    columns = {"step_id": "gate", "name": "gate", "kind": "approval"}
    transitions.skip_step(hold, "gate", Skipped("precondition"), columns)
    write(hold)
    assert answer(signed_in("workflows.view_run"), hold.id).status_code == 403


def test_the_page_needs_the_permission_to_see_runs() -> None:
    client = signed_in("workflows.view_workflow")
    assert client.get(reverse("approvals")).status_code == 403
    assert Client(headers={"host": "localhost"}).get(reverse("approvals")).status_code == 302


def test_an_answer_is_posted_with_its_csrf_token() -> None:
    run = asking()
    client = signed_in(*MAY)
    client.handler.enforce_csrf_checks = True
    assert answer(client, run).status_code == 403
    assert client.get(reverse("admin:workflows_run_answer", args=[run.pk])).status_code == 405
    assert not RunRequest.objects.exists()


def test_the_navigation_counts_what_waits_for_the_person() -> None:
    client = signed_in(*MAY)
    link = reverse("approvals")
    assert "min-w-[18px]" not in page(client, "admin:index")
    workflow = stored()
    for assignees in ([], ["person"], ["anna"]):
        asking(workflow, assignees=assignees)
    (group, *_) = client.get(link).context["sidebar_navigation"]
    (entry,) = [item for item in group["items"] if item["link"] == link]
    assert (entry["badge"], entry["active"]) == ("2", True)


def test_questions_come_in_pages() -> None:
    workflow = stored()
    for number in range(26):
        asking(workflow, prompt=f"Number {number}?")
    client = signed_in(*MAY)
    assert "Number 24?" in page(client)
    assert "Number 25?" not in page(client)
    assert "Number 25?" in client.get(reverse("approvals") + "?page=2").content.decode()


def test_stored_text_stays_text() -> None:
    run = asking(stored(workflow_name=HOSTILE), prompt=HOSTILE, options=[HOSTILE], assignees=[HOSTILE])
    client = signed_in(superuser=True)
    for name, arguments in (("approvals", ()), ("admin:index", ()), ("admin:workflows_run_change", (run.pk,))):
        shown = page(client, name, *arguments)
        assert "alert(1)" in shown
        assert "<script>alert" not in shown
        assert "<img src=x" not in shown
    answered = answer(client, run, answer=HOSTILE, comment=HOSTILE).content.decode()
    assert answered.count("alert(1)") > 2
    assert "<script>alert" not in answered
    assert "<img src=x" not in answered
