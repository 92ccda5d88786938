"""What waits for a person: failed runs of theirs beside the questions, and the count on every page."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.admin import factories
from tests.admin.test_approvals import asking
from workflows import runs
from workflows.admin import waiting
from workflows.models import Run, Workflow

pytestmark = pytest.mark.django_db

ME = "person"  # as `factories.signed_in` names the account
PAGE = "/admin/approvals/"
SEES = "workflows.view_run"
ANSWERS = "workflows.change_run"


def _failed(ago: timedelta = timedelta(hours=1), **columns: Any) -> Run:
    workflow = Workflow.objects.filter(workflow_id="article").first()
    if workflow is None:
        factories.sync_agents()
        workflow = factories.workflow()
    run = factories.run_of(workflow)
    ended = {"status": "failed", "success": False, "actor": ME, "ended_at": timezone.now() - ago, "due_at": None}
    Run.objects.filter(pk=run.pk).update(
        **(ended | {"error_message": "no ink", "error_code": "FunctionFailed"} | columns)
    )
    return Run.objects.get(pk=run.pk)


def _page(client: Client, address: str = PAGE) -> str:
    return client.get(address).content.decode()


def _count(client: Client, address: str = PAGE) -> str:
    """What the header says waits."""
    _, found, rest = _page(client, address).partition('aria-label="Waiting for you: ')
    return rest.partition('"')[0] if found else ""


def test_a_failed_run_of_mine_waits_for_me_until_it_is_run_again() -> None:
    run, client = _failed(), factories.signed_in(SEES)
    assert f"/admin/workflows/run/{run.pk}/change/" in _page(client)
    assert "no ink" in _page(client)
    assert _count(client) == "1"
    runs.rerun(run.pk, actor="somebody else")
    assert "None of yours failed" in _page(client)
    assert _count(client) == ""


def test_a_failed_run_of_mine_waits_for_me_until_it_is_retried() -> None:
    run, client = _failed(), factories.signed_in(SEES)
    assert _count(client) == "1"
    runs.retry(run.pk, actor="somebody else")
    assert _count(client) == ""


def test_one_that_took_too_long_waits_as_well() -> None:
    _failed(status="timed_out")
    assert _count(factories.signed_in(SEES)) == "1"


@pytest.mark.parametrize(
    "columns", [{"actor": "ann"}, {"status": "cancelled"}, {"status": "completed"}, {"ago": timedelta(days=8)}]
)
def test_other_runs_do_not_wait_for_me(columns: dict[str, Any]) -> None:
    _failed(**columns)
    client = factories.signed_in(SEES)
    assert "None of yours failed" in _page(client)
    assert _count(client) == ""


@pytest.mark.parametrize("address", [PAGE, "/admin/", "/admin/workflows/run/", "/admin/workflows/workflow/"])
def test_questions_and_failures_are_counted_together_on_every_page(address: str) -> None:
    asking()
    _failed()
    assert _count(factories.signed_in(SEES, ANSWERS, "workflows.view_workflow"), address) == "2"


def test_questions_count_for_those_alone_who_may_answer() -> None:
    asking()
    assert _count(factories.signed_in(SEES)) == ""


def test_the_count_ends_at_nine() -> None:
    client = factories.signed_in(SEES)
    for _ in range(9):
        _failed()
    assert _count(client) == "9"
    _failed()
    assert _count(client) == "9+"


def test_who_sees_no_runs_is_told_of_none_and_costs_no_query() -> None:
    _failed()
    client = factories.signed_in("workflows.view_template", ANSWERS)
    with CaptureQueriesContext(connection) as queries:
        shown = _page(client, "/admin/workflows/template/")
    assert "Waiting for you" not in shown
    assert not [query for query in queries if "workflows_run" in query["sql"] or "stepresult" in query["sql"]]


def test_the_count_reads_no_more_rows_than_it_tells() -> None:
    client = factories.signed_in(SEES, superuser=True)
    with CaptureQueriesContext(connection) as queries:
        _page(client, "/admin/workflows/template/")
    counts = [
        query["sql"] for query in queries if "COUNT(" in query["sql"] and "workflows_template" not in query["sql"]
    ]
    assert len(counts) == 2
    assert all(f"LIMIT {waiting.MOST + 1}" in sql for sql in counts)
