"""Runs of all workflows: the list and its filters, and what is known of one run."""

import uuid

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.api.client import Api
from tests.api.shape import BASE, data_of, refused
from tests.factories import make_definition, make_workflow, run_to_end, step
from workflows import publishing
from workflows.api import pagination
from workflows.models import Run

RUNS = "/api/v1/runs"
LATER = {"run_at": "2999-01-01T00:00:00Z"}


def finished() -> Run:
    return run_to_end(
        step("a", parameters={"message": "hello"}),
        step("skipped", precondition="false"),
        step("b", "die", max_retries=0, continue_on_failure=True),
        input={"who": "you"},
    )


def test_a_run_is_listed_and_read_alone(api: Api) -> None:
    run = finished()
    body = api.get(RUNS).json()
    assert (body["count"], body["next"], body["previous"]) == (1, None, None)
    entry = body["data"][0]
    assert (entry["execution_id"], entry["status"], entry["workflow_id"]) == (
        str(run.pk),
        "completed",
        "sample",
    )
    assert (entry["success"], entry["partial"], entry["failed_steps"]) == (True, True, 1)
    alone = data_of(api.get(f"{RUNS}/{run.pk}"))
    assert alone == {
        **entry,
        "why": "Completed: it reached its end, with failures that its definition tolerates.",
        "input_context": {"who": "you"},
        "parent_url": None,
        "children_url": f"{RUNS}?parent={run.pk}",
    }


def test_parent_and_children_lead_to_each_other(api: Api) -> None:
    publishing.create(make_definition(step("a"), workflow_id="child"), actor="tester")
    each = {"step_id": "each", "for_each": "[1, 2]", "steps": [{"step_id": "sub", "workflow": "child"}]}
    parent = data_of(api.get(f"{RUNS}/{run_to_end(each).pk}"))
    assert (parent["parent"], parent["parent_path"], parent["parent_url"]) == (None, "", None)
    children = data_of(api.get(parent["children_url"]))
    assert [child["parent_path"] for child in children] == ["each[1].sub", "each[0].sub"]
    for child in children:
        alone = data_of(api.get(f"{RUNS}/{child['execution_id']}"))
        assert alone["parent"] == child["parent"] == parent["execution_id"]
        assert data_of(api.get(alone["parent_url"])) == parent
        assert data_of(api.get(alone["children_url"])) == []


def test_blocks_and_waits_are_among_the_steps(api: Api) -> None:
    each = {"step_id": "each", "for_each": "['x', 'y']", "steps": [step("say", parameters={"message": "${item}"})]}
    nap = {"step_id": "nap", "wait": {"seconds": 0}}
    run = run_to_end(each, {"step_id": "gate", "if": "true", "then": [nap]})
    steps = {entry["path"]: entry for entry in data_of(api.get(f"{RUNS}/{run.pk}/steps"))}
    assert {path: entry["kind"] for path, entry in steps.items()} == {
        "each": "for_each",
        "each[0].say": "function",
        "each[1].say": "function",
        "gate": "if",
        "gate.nap": "wait",
    }
    assert [item["echo"] for item in steps["each"]["result_data"]] == ["x", "y"]
    assert (steps["each"]["parameters"], steps["gate"]["parameters"]) == ({"items": ["x", "y"]}, {"branch": "then"})
    assert steps["gate.nap"]["due_at"][:19] == steps["gate.nap"]["parameters"]["until"][:19]
    assert steps["each[1].say"]["due_at"] is None
    assert steps["each[1].say"]["step_id"] == "say"


def test_where_the_time_went_adds_up(api: Api) -> None:
    run = finished()
    times = data_of(api.get(f"{RUNS}/{run.pk}/times"))
    assert times["execution_id"] == str(run.pk)
    assert sum(times["parts"].values()) == pytest.approx(times["total_ms"])
    assert times["parts"]["functions"] > 0
    assert run.ended_at is not None
    assert times["total_ms"] == pytest.approx((run.ended_at - run.created_at).total_seconds() * 1000)
    refused(api.get("/api/v1/runs/01890000-0000-7000-8000-000000000000/times"), 404)


def test_steps_come_in_pages(api: Api) -> None:
    run = run_to_end(step("a"), step("b"), step("c"))
    first = api.get(f"{RUNS}/{run.pk}/steps?page_size=2").json()
    rest = api.get(first["next"]).json()
    assert (first["count"], rest["next"]) == (3, None)
    assert [entry["path"] for entry in [*first["data"], *rest["data"]]] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("workflow=sample", True),
        ("workflow=other", False),
        ("status=completed", True),
        ("status=failed&status=completed", True),
        ("status=failed", False),
        ("trigger=local", None),
        ("agent=tester", True),
        ("agent=nobody", False),
        ("error_code=HelperDied", True),
        ("error_code=StepTimeout", False),
        ("tag=blue", False),
        ("started_after=2020-01-01T00:00:00Z", True),
        ("started_before=2020-01-01T00:00:00Z", False),
        ("search=sam", True),
        ("search=zzz", False),
    ],
)
def test_the_list_is_filtered(api: Api, query: str, found: bool | None) -> None:
    finished()
    ids = data_of(api.get(f"{RUNS}?{query}"))
    assert found is None or bool(ids) == found


def test_a_run_is_found_by_its_id_and_its_tag(api: Api) -> None:
    make_workflow(step("a"), tags=["blue sky", "é"])
    run = data_of(api.post(f"{BASE}/sample/execute-async", LATER), 202)["execution_id"]
    for query in (
        f"search={run}",
        f"search={run[:13]}",
        "tag=blue sky",
        "tag=é",
        "trigger=api",
        "status=queued",
    ):
        assert [entry["execution_id"] for entry in data_of(api.get(f"{RUNS}?{query}"))] == [run], query


@pytest.mark.parametrize(
    "query",
    [
        "status=nonsense",
        "started_after=yesterday",
        "started_after=0001-01-01T00:00:00%2B14:00",  # a time of no year in UTC
        "started_before=9999-12-31T23:59:59-14:00",
        "stats=failed",
        "search=%00",
        pytest.param(f"search={'x' * 60_000}", id="search=long"),
        "page=2",
        "page_size=-1",
        "page_size=0",
        "page_size=x",
        "page_size=1001",
        "page_size=%D9%A1",
        "cursor=",
        "cursor=nonsense%00",
        "cursor=AAAA",
        "cursor=cD14",  # p=x
    ],
)
def test_a_wrong_filter_or_page_is_refused(api: Api, query: str) -> None:
    answer = refused(api.get(f"{RUNS}?{query}"), 400, "InvalidRequest")
    assert answer["errors"][0]["path"] == query.partition("=")[0]


@pytest.mark.parametrize("query", ["cursor=cD14", "cursor=cD0%3D", "page_size=0", "ordering=-seq"])
def test_a_wrong_page_of_events_is_refused(api: Api, query: str) -> None:
    run = run_to_end(step("a"))
    refused(api.get(f"{RUNS}/{run.pk}/events?{query}"), 400, "InvalidRequest")


def test_the_list_is_paged_by_cursor_and_new_runs_do_not_shift_it(api: Api) -> None:
    make_workflow(step("a"))
    started = [data_of(api.post(f"{BASE}/sample/execute-async", LATER), 202)["execution_id"] for _ in range(5)]
    first = api.get(f"{RUNS}?page_size=2").json()
    assert first["count"] == 5
    data_of(api.post(f"{BASE}/sample/execute-async", LATER), 202)
    second = api.get(first["next"]).json()
    shown = [entry["execution_id"] for page in (first, second) for entry in page["data"]]
    assert shown == list(reversed(started))[:4]


def test_a_long_list_is_not_counted_to_its_end(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pagination, "COUNTED", 3)
    make_workflow(step("a"))
    for _ in range(5):
        data_of(api.post(f"{BASE}/sample/execute-async", LATER), 202)
    with CaptureQueriesContext(connection) as queries:
        count = api.get(f"{RUNS}?page_size=2").json()["count"]
    assert count >= 4 if connection.vendor == "postgresql" else count == 5  # SQLite has no estimates, and counts all
    counts = [sql for query in queries if "COUNT(" in (sql := query["sql"])]
    assert "LIMIT 4" in counts[0]
    assert len(counts) == (1 if connection.vendor == "postgresql" else 2)


def test_the_steps_of_a_run_are_told(api: Api) -> None:
    run = finished()
    steps = {entry["path"]: entry for entry in data_of(api.get(f"{RUNS}/{run.pk}/steps"))}
    assert {path: entry["status"] for path, entry in steps.items()} == {
        "a": "completed",
        "skipped": "skipped",
        "b": "failed",
    }
    assert steps["a"]["result_data"]["echo"] == "hello"
    assert steps["a"]["parameters"] == {"message": "hello"}
    assert steps["a"]["idempotency_key"] == f"{run.pk}:a"
    assert steps["skipped"]["reason"] == "precondition"
    assert (steps["b"]["error_code"], steps["b"]["attempts"]) == ("HelperDied", 1)
    assert steps["b"]["attempt_history"][0]["error"]


def test_the_events_of_a_run_are_told_in_order(api: Api) -> None:
    run = run_to_end(step("a"))
    events = data_of(api.get(f"{RUNS}/{run.pk}/events"))
    assert [event["id"] for event in events] == [1, 2, 3, 4, 5]
    assert [event["type"] for event in events][2:] == ["step_start", "step_complete", "workflow_complete"]
    assert (events[2]["step_id"], events[2]["path"], events[2]["agent_name"]) == ("a", "a", "tester")
    page = api.get(f"{RUNS}/{run.pk}/events?page_size=2").json()
    assert [event["id"] for event in api.get(page["next"]).json()["data"]] == [3, 4]


def test_the_context_is_shown_as_a_step_saw_it(api: Api) -> None:
    run = run_to_end(step("a"), step("b"), input={"who": "you"})
    before = data_of(api.get(f"{RUNS}/{run.pk}/context?at=a"))
    after = data_of(api.get(f"{RUNS}/{run.pk}/context"))
    assert before["context"] == {"who": "you"}
    assert after["context"]["echo"] == "b"
    wrong = refused(api.get(f"{RUNS}/{run.pk}/context?at=bb"), 400)
    assert 'did you mean "b"?' in wrong["error"]
    refused(api.get(f"{RUNS}/{run.pk}/context?att=b"), 400)


def test_a_run_is_cancelled_once(api: Api) -> None:
    make_workflow(step("a"))
    run = data_of(api.post(f"{BASE}/sample/execute-async", LATER), 202)["execution_id"]
    assert data_of(api.post(f"{RUNS}/{run}/cancel"))["cancelled"]
    assert not data_of(api.post(f"{RUNS}/{run}/cancel"))["cancelled"]
    assert data_of(api.get(f"{RUNS}/{run}"))["status"] == "cancelled"


@pytest.mark.parametrize("part", ["", "/steps", "/events", "/context", "/stream"])
@pytest.mark.parametrize("run", [str(uuid.UUID(int=7)), "nonsense", "a%00b"])
def test_a_run_that_is_not_there_is_404(api: Api, run: str, part: str) -> None:
    refused(api.get(f"{RUNS}/{run}{part}"), 404, "RunNotFound")
