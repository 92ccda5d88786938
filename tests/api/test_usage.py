"""What models have used: of a workflow, of an agent, since a time."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.api.client import Api
from tests.api.shape import BASE, data_of, refused
from tests.factories import make_agent
from tests.workflows.bulk import ended_runs
from workflows import append_only
from workflows.models import Run, StepResult

WORKFLOW, AGENT = f"{BASE}/sample/usage", "/api/v1/agents/tester/usage"
NOTHING = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0, "cost": 0}


def spent(number: int, days_ago: int, **usage: Any) -> None:
    """So many runs of that time, each with one step of the agent that used this."""
    at = timezone.now() - timedelta(days=days_ago)
    ids = [run.pk for run in ended_runs(number, at, **usage)]
    StepResult.objects.filter(run__in=ids).update(agent="tester", started_at=at, **usage)


@pytest.fixture
def _runs(api: Api) -> None:
    spent(3, 10, input_tokens=100, output_tokens=20, cost=0.5)
    spent(2, 1, input_tokens=7, output_tokens=0, cost=0)
    spent(4, 1)  # no model was asked


@pytest.mark.usefixtures("_runs")
def test_a_workflows_usage_is_that_of_all_its_runs(api: Api) -> None:
    assert data_of(api.get(WORKFLOW)) == {
        "workflow_id": "sample", "since": None, "runs": 9,
        "input_tokens": 314, "output_tokens": 60, "total_tokens": 374, "cost": 1.5,
    }  # fmt: skip


@pytest.mark.usefixtures("_runs")
def test_an_agents_usage_is_that_of_its_steps_that_asked_a_model(api: Api) -> None:
    StepResult.objects.filter(cost=0.5).first().run.steps.update(agent="somebody else")  # type: ignore[union-attr]
    found = data_of(api.get(AGENT))
    assert found == {
        "agent": "tester", "since": None, "steps": 4,
        "input_tokens": 214, "output_tokens": 40, "total_tokens": 254, "cost": 1.0,
    }  # fmt: skip
    uuid = data_of(api.get("/api/v1/agents/tester"))["id"]
    assert data_of(api.get(f"/api/v1/agents/{uuid}/usage")) == found


@pytest.mark.usefixtures("_runs")
@pytest.mark.parametrize(("address", "counted", "number"), [(WORKFLOW, "runs", 6), (AGENT, "steps", 2)])
def test_usage_can_be_asked_for_since_a_time(api: Api, address: str, counted: str, number: int) -> None:
    since = (timezone.now() - timedelta(days=5)).isoformat()
    found = data_of(api.get(address, {"since": since}))
    assert (found[counted], found["input_tokens"], found["total_tokens"]) == (number, 14, 14)
    assert found["since"].startswith(since[:19])


def test_where_nothing_was_used_it_is_nothing(api: Api) -> None:
    ended_runs(1, timezone.now())
    with append_only.deleting():
        Run.objects.all().delete()
    assert data_of(api.get(WORKFLOW)) == {"workflow_id": "sample", "since": None, "runs": 0, **NOTHING}
    assert data_of(api.get(AGENT)) == {"agent": "tester", "since": None, "steps": 0, **NOTHING}


@pytest.mark.parametrize("address", [WORKFLOW, AGENT])
def test_what_is_no_time_is_refused(api: Api, address: str) -> None:
    ended_runs(1, timezone.now())
    for since in ("yesterday", "0001-01-01T00:00:00+14:00", "2026-13-01"):
        assert refused(api.get(address, {"since": since}), 400)["errors"][0]["path"] == "since"
    refused(api.get(address, {"until": "2026-01-01T00:00:00Z"}), 400)


def test_who_is_not_there_has_used_nothing_to_tell_of(api: Api) -> None:
    refused(api.get(f"{BASE}/nothing/usage"), 404, "WorkflowNotFound")
    refused(api.get("/api/v1/agents/nobody/usage"), 404, "AgentNotFound")


@pytest.mark.usefixtures("_runs")
@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL reads a small table whole")
def test_an_agents_usage_is_read_from_an_index_alone(api: Api) -> None:
    make_agent(name="other")
    with CaptureQueriesContext(connection) as queries:
        data_of(api.get(AGENT))
    (asked,) = [query["sql"] for query in queries if "SUM" in query["sql"]]
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {asked}")
        plan = " ".join(row[3] for row in cursor.fetchall())
    assert "COVERING INDEX step_usage" in plan
