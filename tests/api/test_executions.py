"""Running workflows, and asking how it went."""

import uuid

import pytest

from tests.api.client import Api
from tests.api.shape import BASE, data_of, refused, sample
from tests.factories import make_workflow, step
from workflows import runs
from workflows.models import Run, Workflow

JSON = "application/json"
EXECUTE = f"{BASE}/sample/execute"
ASYNC = f"{BASE}/sample/execute-async"
LATER = {"run_at": "2999-01-01T00:00:00Z"}
RESULT_KEYS = {
    "workflow_id", "workflow_name", "execution_id", "status", "success", "partial", "error_message",
    "total_execution_time_ms", "total_steps", "successful_steps", "failed_steps", "skipped_steps",
    "retried_steps", "executed_steps", "step_results", "step_execution_times", "step_errors", "usage",
}  # fmt: skip


def create(api: Api) -> None:
    data_of(api.post(BASE, sample(), content_type=JSON), 201)


def test_execute_answers_with_the_documented_result(api: Api) -> None:
    create(api)
    data = data_of(api.post(EXECUTE, {"input_context": {"who": "you"}}, content_type=JSON))
    assert set(data) == RESULT_KEYS
    assert data["success"]
    assert data["executed_steps"] == ["a", "b"]
    assert data["step_results"]["b"]["result_data"]["echo"] == "hello you"
    assert set(data["step_execution_times"]) == {"a", "b"}


@pytest.mark.parametrize("body", [None, {}, {"input_context": {}}, {"input_context": None}])
def test_an_empty_body_is_an_empty_context(api: Api, body: object) -> None:
    create(api)
    response = api.post(EXECUTE) if body is None else api.post(EXECUTE, body, content_type=JSON)
    assert data_of(response)["step_results"]["b"]["result_data"]["echo"] == "hello world"


def test_a_failed_run_is_a_result_too(api: Api) -> None:
    make_workflow(step("a", "die", max_retries=0))
    data = data_of(api.post(EXECUTE))
    assert (data["success"], data["status"], data["failed_steps"]) == (False, "failed", 1)
    assert data["step_errors"]["a"]


def test_a_run_that_parks_is_accepted(api: Api) -> None:
    slow = {"initial_delay_seconds": 3600, "max_delay_seconds": 3600, "jitter": "none"}
    make_workflow(step("a", "die", max_retries=1, retry=slow), max_execution_time_seconds=7200)
    data = data_of(api.post(EXECUTE), 202)
    assert set(data) == {"execution_id", "workflow_id", "message", "status_url", "stream_url"}
    status = data_of(api.get(data["status_url"]))
    assert (status["status"], status["execution_id"]) == ("waiting", data["execution_id"])


def test_execute_async_is_accepted_and_queued(api: Api) -> None:
    create(api)
    data = data_of(api.post(ASYNC, {"priority": 5}, content_type=JSON), 202)
    run = Run.objects.get(pk=data["execution_id"])
    assert (run.status, run.priority, run.trigger, run.actor) == ("queued", 5, "api", "local")
    assert data_of(api.get(data["status_url"]))["status"] == "queued"


def test_a_run_of_an_earlier_version_can_be_asked_for(api: Api) -> None:
    create(api)
    data_of(api.patch(f"{BASE}/sample", {"global_context": {"who": "you"}}, content_type=JSON))
    old = data_of(api.post(EXECUTE, {"version": 1}, content_type=JSON))
    assert old["step_results"]["b"]["result_data"]["echo"] == "hello world"
    body = refused(api.post(EXECUTE, {"version": 3}, content_type=JSON), 400)
    assert body["errors"][0]["path"] == "version"


def test_asking_for_an_earlier_version_leaves_the_workflow_at_its_current_one(api: Api) -> None:
    create(api)
    data_of(api.patch(f"{BASE}/sample", {"description": "new"}, content_type=JSON))
    workflow = Workflow.objects.select_related("current").get()
    first = workflow.versions.get(number=1)
    run = runs.start(workflow, {}, trigger="api", actor="tester", version=first, wake=False)
    assert (run.version, workflow.current.number if workflow.current else None) == (first, 2)


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"input_contxt": {}}, "input_contxt"),
        ({"input_context": "text"}, "input_context"),
        ({"input_context": []}, "input_context"),
        ({"version": "1"}, "version"),
        ({"version": 0}, "version"),
        ({"priority": 1.5}, "priority"),
        ({"priority": True}, "priority"),
        ({"priority": 100_000}, "priority"),
        ({"run_at": "tomorrow"}, "run_at"),
        ([], ""),
        ('"text"', ""),
    ],
)
def test_a_wrong_body_is_refused_where_it_is_wrong(api: Api, body: object, path: str) -> None:
    create(api)
    answer = refused(api.post(ASYNC, body, content_type=JSON), 400, "InvalidRequest")
    assert answer["errors"][0]["path"] == path
    assert not Run.objects.exists()


def test_an_unknown_field_is_refused_with_the_nearest_name(api: Api) -> None:
    create(api)
    body = refused(api.post(EXECUTE, {"input_contxt": {}}, content_type=JSON), 400)
    assert 'did you mean "input_context"?' in body["error"]


def test_input_that_does_not_match_the_parameters_is_refused(api: Api) -> None:
    schema = {"type": "object", "required": ["topic"], "properties": {"topic": {"type": "string"}}}
    make_workflow(step("a"), parameters=schema)
    body = refused(api.post(EXECUTE, {"input_context": {"topic": 1}}, content_type=JSON), 400, "InputInvalid")
    assert body["errors"][0]["path"] == "input_context.topic"
    assert not Run.objects.exists()


def test_status_and_result_before_and_after_the_first_run(api: Api) -> None:
    create(api)
    assert data_of(api.get(f"{BASE}/sample/status"))["status"] == "registered"
    refused(api.get(f"{BASE}/sample/result"), 404, "NoResult")
    first = data_of(api.post(EXECUTE))
    assert data_of(api.get(f"{BASE}/sample/result")) == first
    status = data_of(api.get(f"{BASE}/sample/status"))
    assert (status["status"], status["progress"], status["executed_steps"]) == ("completed", 1.0, 2)
    waiting = data_of(api.post(ASYNC, LATER, content_type=JSON), 202)["execution_id"]
    assert data_of(api.get(f"{BASE}/sample/result"))["execution_id"] == first["execution_id"]
    assert data_of(api.get(f"{BASE}/sample/status"))["execution_id"] == waiting
    refused(api.get(f"{BASE}/sample/result?execution_id={waiting}"), 404, "NoResult")


def test_a_run_of_another_workflow_is_not_found_here(api: Api) -> None:
    create(api)
    make_workflow(step("a"), workflow_id="other")
    run = data_of(api.post(f"{BASE}/other/execute"))["execution_id"]
    refused(api.get(f"{BASE}/sample/status?execution_id={run}"), 404, "RunNotFound")
    refused(api.get(f"{BASE}/sample/status?execution_id={uuid.uuid4()}"), 404, "RunNotFound")
    refused(api.get(f"{BASE}/sample/status?execution_id=7"), 400, "InvalidRequest")
    refused(api.get(f"{BASE}/sample/status?executionid={run}"), 400, "InvalidRequest")


def test_cancel_ends_the_newest_active_run_and_says_when_there_is_none(api: Api) -> None:
    create(api)
    assert not data_of(api.post(f"{BASE}/sample/cancel"))["cancelled"]
    run = data_of(api.post(ASYNC, LATER, content_type=JSON), 202)["execution_id"]
    data = data_of(api.post(f"{BASE}/sample/cancel"))
    assert (data["workflow_id"], data["cancelled"], data["execution_id"]) == ("sample", True, run)
    again = data_of(api.post(f"{BASE}/sample/cancel?execution_id={run}"))
    assert not again["cancelled"]
    assert "cancelled" in again["message"]


@pytest.mark.parametrize("call", ["execute", "execute-async", "cancel", "status", "result"])
def test_an_unknown_workflow_is_404(api: Api, call: str) -> None:
    address = f"{BASE}/nothing/{call}"
    response = api.get(address) if call in {"status", "result"} else api.post(address)
    refused(response, 404, "WorkflowNotFound")
