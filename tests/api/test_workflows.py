"""Storing, reading, changing and archiving definitions."""

import pytest

from tests.api.client import Api
from tests.api.shape import BASE, data_of, refused, sample
from tests.factories import make_workflow, run_to_end, step
from workflows.models import Workflow, WorkflowVersion

JSON = "application/json"
YAML = """\
workflow_id: sample
steps:
  - step_id: a
    agent_id: tester
    function_name: echo
    parameters: {message: hi}
"""


def post(api: Api, definition: object) -> object:
    return api.post(BASE, definition, content_type=JSON)


def test_a_workflow_is_created_once_and_its_id_is_free_after_deletion(api: Api) -> None:
    stored = data_of(post(api, sample()), 201)
    assert (stored["workflow_id"], stored["version"]) == ("sample", 1)
    refused(post(api, sample()), 409, "WorkflowExists")
    assert data_of(api.delete(f"{BASE}/sample"))["workflow_id"] == "sample"
    refused(api.get(f"{BASE}/sample"), 404, "WorkflowNotFound")
    data_of(post(api, sample()), 201)


def test_the_list_tells_the_status_of_each_newest_run(api: Api) -> None:
    make_workflow(step("a"), workflow_id="idle")
    data_of(post(api, sample()), 201)
    data_of(api.post(f"{BASE}/sample/execute"))
    body = api.get(BASE).json()
    assert (body["count"], body["next"], body["previous"]) == (2, None, None)
    shown = {entry["workflow_id"]: entry for entry in body["data"]}
    assert shown["idle"]["status"]["status"] == "registered"
    assert shown["sample"]["status"]["status"] == "completed"
    assert (shown["sample"]["workflow_name"], shown["sample"]["total_steps"]) == ("Sample", 2)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("search=idl", ["idle"]),
        ("tag=blue", ["busy"]),
        ("tag=blu", []),
        ("status=registered", ["idle"]),
        ("status=completed", ["busy"]),
        ("ordering=-workflow_id", ["idle", "busy"]),
        ("page_size=1&page=2", ["idle"]),
    ],
)
def test_the_list_is_filtered_ordered_and_paged(api: Api, query: str, expected: list[str]) -> None:
    make_workflow(step("a"), workflow_id="idle")
    make_workflow(step("a"), workflow_id="busy", tags=["blue"])
    data_of(api.post(f"{BASE}/busy/execute"))
    assert [entry["workflow_id"] for entry in data_of(api.get(f"{BASE}?{query}"))] == expected


def test_an_unknown_query_parameter_is_refused_with_the_nearest_name(api: Api) -> None:
    body = refused(api.get(f"{BASE}?serach=x"), 400, "InvalidRequest")
    assert body["errors"][0]["path"] == "serach"
    assert 'did you mean "search"?' in body["error"]
    refused(api.get(f"{BASE}?status=nonsense"), 400)
    refused(api.get(f"{BASE}?search=%00"), 400)


@pytest.mark.parametrize(
    "query", ["page=-1", "page=0", "page=x", "page=last", "page_size=-1", "page_size=5000", "cursor=x"]
)
def test_a_page_that_makes_no_sense_is_refused(api: Api, query: str) -> None:
    refused(api.get(f"{BASE}?{query}"), 400, "InvalidRequest")
    refused(api.get(f"{BASE}?page=99"), 404)


def test_a_workflow_is_read_with_its_version_and_status(api: Api) -> None:
    post(api, sample())
    response = api.get(f"{BASE}/sample")
    data = data_of(response)
    assert response.headers["ETag"] == '"1"'
    assert data["version"] == 1
    assert data["current_status"]["status"] == "registered"
    assert {key: data[key] for key in sample()} == sample()


def test_yaml_comes_in_and_goes_out(api: Api) -> None:
    data_of(api.post(BASE, YAML, content_type="application/yaml"), 201)
    response = api.get(f"{BASE}/sample", headers={"Accept": "application/yaml"})
    assert response.headers["Content-Type"].startswith("application/yaml")
    data_of(api.delete(f"{BASE}/sample"))
    data_of(api.post(BASE, response.content, content_type="application/yaml"), 201)
    refused(api.get(f"{BASE}/nothing", headers={"Accept": "application/yaml"}), 404)


def test_put_makes_a_new_version_unless_nothing_changed(api: Api) -> None:
    post(api, sample())
    changed = sample(description="new")
    assert data_of(api.put(f"{BASE}/sample", changed, content_type=JSON))["version"] == 2
    assert data_of(api.put(f"{BASE}/sample", changed, content_type=JSON))["version"] == 2
    del changed["workflow_id"]
    assert data_of(api.put(f"{BASE}/sample", changed, content_type=JSON))["version"] == 2
    refused(api.put(f"{BASE}/other", changed, content_type=JSON), 404, "WorkflowNotFound")


def test_what_was_read_can_be_put_back(api: Api) -> None:
    post(api, sample())
    read = data_of(api.get(f"{BASE}/sample"))
    assert data_of(api.put(f"{BASE}/sample", read, content_type=JSON))["version"] == 1
    read["description"] = "new"
    assert data_of(api.put(f"{BASE}/sample", read, content_type=JSON))["version"] == 2
    again = data_of(api.get(f"{BASE}/sample"))
    assert (again["description"], again["version"]) == ("new", 2)
    body = refused(api.put(f"{BASE}/sample", {**read, "versions": 2}, content_type=JSON), 400, "DefinitionError")
    assert [problem["path"] for problem in body["errors"]] == ["versions"]
    refused(post(api, {**read, "workflow_id": "other"}), 400, "DefinitionError")


def test_put_refuses_another_id_than_the_address_says(api: Api) -> None:
    post(api, sample())
    body = refused(api.put(f"{BASE}/sample", sample(workflow_id="other"), content_type=JSON), 400)
    assert body["errors"][0]["code"] == "id_mismatch"
    assert not Workflow.objects.filter(workflow_id="other").exists()


@pytest.mark.parametrize("verb", ["put", "patch"])
def test_if_match_refuses_a_lost_update(api: Api, verb: str) -> None:
    post(api, sample())
    change = getattr(api, verb)
    address = f"{BASE}/sample"
    data_of(change(address, sample(description="1"), content_type=JSON, headers={"If-Match": '"1"'}))
    again = change(address, sample(description="2"), content_type=JSON, headers={"If-Match": '"1"'})
    refused(again, 412, "VersionConflict")
    data_of(change(address, sample(description="2"), content_type=JSON, headers={"If-Match": "*"}))
    refused(change(address, sample(), content_type=JSON, headers={"If-Match": '"x"'}), 400)
    refused(change(address, sample(), content_type=JSON, headers={"If-Match": '"0"'}), 412, "VersionConflict")


def test_patch_merges_and_null_removes(api: Api) -> None:
    post(api, sample(description="old", global_context={"who": "world", "kept": 1}))
    patch = {"description": None, "global_context": {"who": "you"}}
    assert data_of(api.patch(f"{BASE}/sample", patch, content_type=JSON))["version"] == 2
    data = data_of(api.get(f"{BASE}/sample"))
    assert "description" not in data
    assert data["global_context"] == {"who": "you", "kept": 1}


def test_a_patch_that_breaks_the_definition_changes_nothing(api: Api) -> None:
    post(api, sample())
    refused(api.patch(f"{BASE}/sample", {"steps": []}, content_type=JSON), 400, "DefinitionError")
    refused(api.patch(f"{BASE}/sample", [1], content_type=JSON), 400, "DefinitionError")
    assert WorkflowVersion.objects.count() == 1


def test_a_bad_definition_gets_all_problems_with_their_places(api: Api) -> None:
    text = YAML.replace("agent_id: tester", "agent_id: testr").replace("step_id: a", "step_id: a b")
    body = refused(api.post(BASE, text, content_type="application/yaml"), 400, "DefinitionError")
    places = {problem["path"]: (problem["line"], problem["column"]) for problem in body["errors"]}
    assert places["steps[0].step_id"] == (3, 14)
    assert places["steps[0].agent_id"] == (4, 15)
    assert not Workflow.objects.exists()


def test_validate_tells_problems_and_warnings_and_stores_nothing(api: Api) -> None:
    good = data_of(api.post(f"{BASE}/validate", sample(), content_type=JSON))
    assert good == {"valid": True, "problems": [], "warnings": []}
    bad = data_of(api.post(f"{BASE}/validate", sample(stop_on_failur=True), content_type=JSON))
    assert not bad["valid"]
    assert "stop_on_failure" in bad["problems"][0]["message"]
    assert not Workflow.objects.exists()


def test_an_inline_template_becomes_a_workflow(api: Api) -> None:
    body = {"template": sample(), "workflow_id": "other"}
    assert data_of(api.post(f"{BASE}/templates", body, content_type=JSON), 201)["workflow_id"] == "other"
    refused(api.post(f"{BASE}/templates", body, content_type=JSON), 409)
    bad = api.post(f"{BASE}/templates", {"template": sample(steps=[])}, content_type=JSON)
    assert refused(bad, 400, "DefinitionError")["errors"][0]["path"] == "template.steps"
    refused(api.post(f"{BASE}/templates", {}, content_type=JSON), 400, "InvalidRequest")


def test_deleting_cancels_active_runs_and_keeps_history(api: Api) -> None:
    post(api, sample())
    later = {"run_at": "2999-01-01T00:00:00Z"}
    run = data_of(api.post(f"{BASE}/sample/execute-async", later, content_type=JSON), 202)["execution_id"]
    data_of(api.delete(f"{BASE}/sample"))
    assert data_of(api.get(f"/api/v1/runs/{run}"))["status"] == "cancelled"
    assert run_to_end(step("a")).status == "completed"


@pytest.mark.parametrize("verb", ["get", "put", "patch", "delete"])
def test_what_is_not_there_is_404(api: Api, verb: str) -> None:
    response = getattr(api, verb)(f"{BASE}/nothing", **({} if verb == "get" else {"content_type": JSON, "data": {}}))
    refused(response, 404, "WorkflowNotFound")


def test_metrics_of_the_executor_count_runs(api: Api) -> None:
    post(api, sample())
    data_of(api.post(f"{BASE}/sample/execute"))
    data = data_of(api.get(f"{BASE}/executor/metrics"))
    assert (data["completed_workflows"], data["active_workflows"], data["total_registered_workflows"]) == (
        1,
        0,
        1,
    )
