"""Versions on the workflow's page: listed, side by side, restored."""

import pytest
from django.test import Client
from django.urls import reverse

from tests.admin.factories import signed_in, step, sync_agents, workflow
from workflows import publishing
from workflows.definitions import check, read_object
from workflows.models import Event, Workflow, WorkflowVersion

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Client:
    sync_agents()
    return signed_in(superuser=True)


def revised(*steps: dict[str, object], note: str = "", **fields: object) -> Workflow:
    definition = check(read_object({"workflow_id": "article", **fields, "steps": list(steps)})).definition_or_raise()
    return publishing.revise("article", definition, actor="ann", note=note)


def three() -> Workflow:
    """A workflow of three versions: a step is added, then one moves and fields change."""
    workflow(step())
    revised(step(), step("check"), note="checked too")
    return revised(step("check", max_retries=5), step(), description="<b>An article</b>")


def page(name: str, stored: Workflow, number: int) -> str:
    return reverse(f"admin:workflows_workflow_{name}", args=[stored.pk, number])


def change(stored: Workflow) -> str:
    return reverse("admin:workflows_workflow_change", args=[stored.pk])


def numbers() -> list[int]:
    return list(WorkflowVersion.objects.order_by("number").values_list("number", flat=True))


def test_the_workflows_page_lists_versions_and_offers_to_compare_and_restore(client: Client) -> None:
    stored = three()
    shown = client.get(change(stored)).content.decode()
    assert "checked too" in shown
    offered = {
        (name, number)
        for name in ("compare", "restore")
        for number in (1, 2, 3)
        if page(name, stored, number) + '"' in shown
    }
    assert offered == {("compare", 2), ("compare", 3), ("restore", 1), ("restore", 2)}


def test_two_versions_are_shown_side_by_side(client: Client) -> None:
    stored = three()
    answer = client.get(page("compare", stored, 3))
    rows = [(row.step_id, row.what, row.before, row.after) for row in answer.context["rows"]]
    assert rows == [
        ("", "description", None, "<b>An article</b>"),
        ("write", "step moved", "step 1", "step 2"),
        ("check", "max_retries", None, "5"),
    ]
    assert "&lt;b&gt;An article" in answer.content.decode()
    assert page("restore", stored, 3) not in answer.content.decode()


def test_any_two_versions_can_be_compared(client: Client) -> None:
    stored = three()
    answer = client.get(page("compare", stored, 1), {"with": "2"})
    assert [(row.step_id, row.what, row.after) for row in answer.context["rows"]] == [("check", "step removed", None)]
    assert page("restore", stored, 1) in answer.content.decode()
    assert "Nothing differs" in client.get(page("compare", stored, 1)).content.decode()
    for other in ("9", "x", "-1", "0"):
        assert client.get(page("compare", stored, 1), {"with": other}).status_code == 404
    assert client.get(page("compare", stored, 4)).status_code == 404
    assert client.get(reverse("admin:workflows_workflow_compare", args=[999, 1])).status_code == 404


def test_restoring_asks_first_and_then_makes_a_version(client: Client) -> None:
    stored = three()
    asked = client.get(page("restore", stored, 1))
    assert (asked.context["before"].number, asked.context["after"].number) == (3, 1)
    assert numbers() == [1, 2, 3]
    answer = client.post(page("restore", stored, 1), {"version": "3", "note": "simpler again"}, follow=True)
    assert "Version 1 is restored as version 4." in answer.content.decode()
    newest = publishing.current("article").current
    assert newest is not None
    assert (newest.number, newest.note, newest.author) == (4, "simpler again", "person")
    assert [each["step_id"] for each in newest.definition["steps"]] == ["write"]
    assert Event.objects.filter(type="workflow_revised", actor="person").count() == 1


def test_restoring_what_is_in_force_makes_nothing(client: Client) -> None:
    stored = three()
    assert "Restore version 3</button>" not in client.get(page("restore", stored, 3)).content.decode()
    told = client.post(page("restore", stored, 3), {"version": "3"}, follow=True).content.decode()
    assert "nothing was made" in told
    assert numbers() == [1, 2, 3]


def test_a_version_that_does_not_check_any_more_is_told_with_its_places(client: Client) -> None:
    workflow(step(agent_id="somebody"))
    stored = revised(step())
    told = client.post(page("restore", stored, 1), {"version": "2"}).content.decode()
    assert "Nothing was stored" in told
    assert "steps[0].agent_id: there is no agent" in told
    assert numbers() == [1, 2]


def test_a_change_of_somebody_else_is_not_overwritten_by_a_restore(client: Client) -> None:
    stored = three()
    answer = client.post(page("restore", stored, 1), {"version": "2"})
    assert "Somebody stored another version" in answer.content.decode()
    assert 'name="version" value="3"' in answer.content.decode()
    assert client.post(page("restore", stored, 1), {"version": "x"}).status_code == 200
    assert numbers() == [1, 2, 3]


def test_who_may_only_look_compares_and_restores_nothing() -> None:
    stored = three()
    viewer = signed_in("workflows.view_workflow")
    shown = viewer.get(page("compare", stored, 2)).content.decode()
    assert "checked too" in shown
    assert page("restore", stored, 2) not in shown + viewer.get(change(stored)).content.decode()
    for ask in (viewer.get, viewer.post):
        assert ask(page("restore", stored, 2)).status_code == 403
    assert numbers() == [1, 2, 3]


def test_who_may_not_look_sees_no_version() -> None:
    stored = three()
    assert signed_in("workflows.view_run").get(page("compare", stored, 2)).status_code == 403


def test_an_archived_workflow_is_compared_and_not_restored_even_where_its_id_is_taken_again(client: Client) -> None:
    stored = three()
    publishing.archive("article", actor="ann")
    workflow(step("other"))
    assert client.get(page("compare", stored, 2)).status_code == 200
    assert client.post(page("restore", stored, 1), {"version": "1"}).status_code == 403
    assert publishing.current("article").definition["steps"][0]["step_id"] == "other"
