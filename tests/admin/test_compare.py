"""Two runs side by side."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tests.admin.factories import (
    HOSTILE,
    begin,
    end,
    fail,
    held,
    run_of,
    signed_in,
    step,
    succeed,
    sync_agents,
    workflow,
)
from tests.admin.test_versions import revised
from workflows.models import Run, StepResult, Workflow

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Client:
    sync_agents()
    return signed_in("workflows.view_run")


def good(stored: Workflow, said: str = "owls") -> Run:
    hold = held(run_of(stored, {"topic": said}))
    for path in ("a", "b"):
        begin(hold, path, {"message": said})
        succeed(hold, path, {"echo": said, "text": f"about\n{said}"})
    return end(hold)


def bad(stored: Workflow, said: str = "cats") -> Run:
    hold = held(run_of(stored, {"topic": said}))
    begin(hold, "a", {"message": said})
    succeed(hold, "a", {"echo": said, "text": f"about\n{said}"})
    begin(hold, "b", {"message": said})
    fail(hold, "b", f"no {said}")
    return end(hold, error=f"no {said}")


def address(run: Run) -> str:
    return reverse("admin:workflows_run_compare", args=[run.pk])


def test_a_failed_run_is_compared_with_the_last_good_one_unless_another_is_named(client: Client) -> None:
    stored = workflow(step("a"), step("b"))
    first, second, failed = good(stored), good(stored), bad(stored)
    assert client.get(address(failed)).context["other"] == second
    assert client.get(address(failed), {"with": str(first.pk)}).context["other"] == first
    assert [what for what, _ in client.get(address(failed)).context["others"]] == ["the last good one", ""]
    page = client.get(reverse("admin:workflows_run_change", args=[failed.pk])).content.decode()
    assert address(failed) in page


def test_it_tells_where_they_differ_first_and_where_they_end_otherwise(client: Client) -> None:
    stored = workflow(step("a"), step("b"))
    good(stored)
    answer = client.get(address(bad(stored)))
    found = answer.context["comparison"]
    assert (found.first.place.path, found.first.differs) == ("a", ["parameters", "result"])
    assert (found.outcome.place.path, found.outcome.differs[:2]) == ("b", ["status", "error"])
    assert found.at.pair == found.outcome
    assert [name for name, diff in found.at.values if diff] == ["error", "parameters", "result"]
    assert found.input
    assert not found.definition
    shown = answer.content.decode()
    assert "completed in the other run, failed in this one" in shown
    assert "<ins>no cats</ins>" in shown
    assert found.at.context


def test_another_step_can_be_looked_at(client: Client) -> None:
    stored = workflow(step("a"), step("b"))
    good(stored)
    found = client.get(address(bad(stored)), {"at": "a"}).context["comparison"]
    assert found.at.pair.place.path == "a"
    (parameters,) = [row for row in found.at.values[1][1].rows if row.kind == "changed"]
    assert (parameters.before.marked, parameters.after.marked) == ("owl", "cat")


def test_runs_of_other_versions_show_what_changed_and_steps_of_one_only(client: Client) -> None:
    before = good(workflow(step("a"), step("b")))
    hold = held(run_of(revised(step("a"), step("c"))))
    for path in ("a", "c"):
        begin(hold, path)
        succeed(hold, path, {})
    found = client.get(address(end(hold)), {"with": str(before.pk)}).context["comparison"]
    assert found.definition
    assert {pair.place.path: pair.differs[0] for pair in found.pairs} == {
        "a": "parameters",
        "b": "only in the other run",
        "c": "only in this run",
    }


def test_runs_that_do_alike_do_not_differ(client: Client) -> None:
    stored = workflow(step("a"), step("b"))
    good(stored)
    found = client.get(address(good(stored))).context["comparison"]
    assert (found.first, found.outcome, bool(found.input), bool(found.definition)) == (None, None, False, False)


def test_stored_text_stays_text(client: Client) -> None:
    stored = workflow(step("a"), step("b", step_name=HOSTILE[:200]), workflow_name=HOSTILE)
    good(stored)
    shown = client.get(address(bad(stored, HOSTILE))).content.decode()
    assert "alert(1)" in shown
    assert "<script>alert" not in shown
    assert "<img src=x" not in shown


def test_thousands_of_steps_cost_few_queries(client: Client, django_assert_max_num_queries: Any) -> None:
    stored = workflow(step("a"))
    runs = [run_of(stored), run_of(stored)]
    for which, run in enumerate(runs):
        StepResult.objects.bulk_create(
            StepResult(
                run=run, path=f"s{n}", step_id=f"s{n}", status="completed", result={"n": n + (n == 1500) * which}
            )
            for n in range(2000)
        )
    with django_assert_max_num_queries(20):
        answer = client.get(address(runs[1]), {"with": str(runs[0].pk)})
    found = answer.context["comparison"]
    assert found.first.place.path == "s1500"
    assert found.pairs.number == 31
    assert len(found.pairs) == 50
    assert found.at.context is None


def test_a_lone_run_has_nothing_to_compare_with(client: Client) -> None:
    stored = workflow(step("a"), step("b"))
    alone = good(stored)
    assert "no other run" in client.get(address(alone)).content.decode()
    for other in ("nonsense", "01890000-0000-7000-8000-000000000000"):
        assert client.get(address(alone), {"with": other}).status_code == 404


def test_who_may_not_see_runs_compares_none() -> None:
    sync_agents()
    run = good(workflow(step("a"), step("b")))
    assert signed_in("workflows.view_workflow").get(address(run)).status_code == 403


def test_two_runs_of_the_list_are_compared_the_older_first(client: Client) -> None:
    stored = workflow(step("a"), step("b"))
    runs = [good(stored), bad(stored), good(stored)]
    listed = reverse("admin:workflows_run_changelist")

    def chosen(*some: Run) -> Any:
        return client.post(listed, {"action": "compare_selected", "_selected_action": [str(run.pk) for run in some]})

    assert chosen(runs[1], runs[0])["Location"] == f"{address(runs[1])}?with={runs[0].pk}"
    assert chosen(*runs)["Location"] != address(runs[1])
    assert chosen(runs[0]).status_code in (200, 302)
