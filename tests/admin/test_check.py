"""The page that checks runs: reachable, in plain words, for those who may see runs."""

import pytest
from django.utils.html import escape

from tests.admin.factories import begin, end, held, run_of, signed_in, step, succeed, workflow
from workflows.models import Run

pytestmark = pytest.mark.django_db

ADDRESS = "/admin/workflows/run/check/"


def finished() -> Run:
    hold = held(run_of(workflow(step("a"))))
    begin(hold, "a")
    succeed(hold, "a", {"x": 1})
    return end(hold)


def test_it_says_that_everything_holds() -> None:
    finished()
    shown = signed_in("workflows.view_run").get(ADDRESS).content.decode()
    assert "Everything holds." in shown
    assert "1 run was checked" in shown


def test_it_names_the_broken_run_and_what_to_do() -> None:
    run = finished()
    Run.objects.update(success=None)
    answer = signed_in("workflows.view_run").get(ADDRESS)
    shown = answer.content.decode()
    assert "1 finding." in shown
    assert f"/admin/workflows/run/{run.pk}/change/" in shown
    assert "has ended, and does not say whether it succeeded." in shown
    assert escape(answer.context["page"].broken[0].remedy) in shown


def test_it_is_reached_from_home_and_from_the_list_of_runs() -> None:
    client = signed_in("workflows.view_run")
    for page in ("/admin/", "/admin/workflows/run/"):
        assert ADDRESS in client.get(page).content.decode()


def test_it_is_for_those_who_may_see_runs() -> None:
    assert signed_in("workflows.view_workflow").get(ADDRESS).status_code == 403
