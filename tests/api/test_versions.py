"""Versions of a workflow: listed, read, compared, restored, run; and the notes that saves bring."""

from typing import Any

import pytest
import yaml

from agents import catalog
from agents.models import Agent
from tests.api.client import Api
from tests.api.shape import BASE, data_of, refused, sample
from tests.factories import make_workflow, step
from workflows import publishing
from workflows.models import Event, WorkflowVersion

VERSIONS = f"{BASE}/sample/versions"
JSON = "application/json"
LISTED = {"number", "author", "note", "checksum", "created_at", "current", "total_steps"}


def put(api: Api, *steps: dict[str, Any], query: str = "", **fields: Any) -> Any:
    definition = {"workflow_id": "sample", "steps": list(steps), **fields}
    return data_of(api.put(f"{BASE}/sample{query}", definition, content_type=JSON))


@pytest.fixture
def three(api: Api) -> None:
    """Versions of 1, 2 and 1 steps."""
    make_workflow(step("a"))
    put(api, step("a"), step("b"), query="?note=a+second+step")
    put(api, step("b"), description="shorter")


@pytest.mark.usefixtures("three")
def test_versions_are_listed_newest_first_with_author_and_note(api: Api) -> None:
    body = api.get(VERSIONS).json()
    assert (body["count"], body["next"], body["previous"]) == (3, None, None)
    assert all(set(entry) == LISTED for entry in body["data"])
    shown = [(entry["number"], entry["note"], entry["current"], entry["total_steps"]) for entry in body["data"]]
    assert shown == [(3, "", True, 1), (2, "a second step", False, 2), (1, "", False, 1)]
    assert [entry["author"] for entry in body["data"]] == ["local", "local", "tester"]
    assert [entry["number"] for entry in data_of(api.get(f"{VERSIONS}?page_size=2&page=2"))] == [1]


@pytest.mark.usefixtures("three")
def test_a_version_is_read_as_it_was_written_and_can_be_put_back(api: Api) -> None:
    version = data_of(api.get(f"{VERSIONS}/2"))
    assert set(version) == {*LISTED, "definition"}
    assert version["definition"]["steps"] == [step("a"), step("b")]
    answer = api.get(f"{VERSIONS}/2", headers={"Accept": "application/yaml"})
    assert answer.headers["Content-Type"].startswith("application/yaml")
    assert yaml.safe_load(answer.content) == version["definition"]
    assert put(api, **version["definition"])["version"] == 4
    checksums = [entry["checksum"] for entry in data_of(api.get(VERSIONS))]
    assert checksums[0] == checksums[2] == version["checksum"]


@pytest.mark.usefixtures("three")
def test_a_version_is_compared_with_the_one_before_or_with_another(api: Api) -> None:
    found = data_of(api.get(f"{VERSIONS}/3/diff"))
    assert (found["workflow_id"], found["before"], found["after"]) == ("sample", 2, 3)
    assert found["fields"] == [{"path": "description", "after": "shorter"}]
    removed = [{"step_id": "a", "index": 0, "step": step("a")}]
    assert found["steps"] == {"added": [], "removed": removed, "moved": [], "changed": []}
    back = data_of(api.get(f"{VERSIONS}/1/diff?with=2"))
    assert (back["before"], back["after"]) == (2, 1)
    assert [entry["step_id"] for entry in back["steps"]["removed"]] == ["b"]
    same = data_of(api.get(f"{VERSIONS}/1/diff?with=1"))
    assert (same["fields"], any(same["steps"].values())) == ([], False)


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("call", "path", "told"),
    [
        ("1/diff", "with", "none before it"),
        ("3/diff?with=9", "with", "there are 1 to 3"),
        ("3/diff?with=x", "with", "integer"),
        ("3/diff?with=0", "with", "1"),
        ("3/diff?wiht=1", "wiht", 'did you mean "with"'),
        ("3?with=1", "with", "takes none"),
    ],
)
def test_a_comparison_that_makes_no_sense_is_refused(api: Api, call: str, path: str, told: str) -> None:
    body = refused(api.get(f"{VERSIONS}/{call}"), 400, "InvalidRequest")
    assert body["errors"][0]["path"] == path
    assert told in body["error"]


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize("place", ["9", "9/diff", "999999999"])
def test_a_version_that_is_not_there_is_404_with_those_that_are(api: Api, place: str) -> None:
    body = refused(api.get(f"{VERSIONS}/{place}"), 404, "VersionNotFound")
    assert "there are 1 to 3" in body["error"]
    refused(api.post(f"{VERSIONS}/9/restore"), 404, "VersionNotFound")
    refused(api.get(f"{BASE}/other/versions"), 404, "WorkflowNotFound")
    refused(api.get(f"{VERSIONS}/newest"), 404, "NotFound")


@pytest.mark.usefixtures("three")
def test_restoring_makes_a_version_and_says_which(api: Api) -> None:
    answer = api.post(f"{VERSIONS}/2/restore", {"note": "both were needed"})
    assert answer.headers["ETag"] == '"4"'
    body = data_of(answer)
    assert (body["workflow_id"], body["version"], body["restored"]) == ("sample", 4, True)
    newest = data_of(api.get(VERSIONS))[0]
    assert (newest["number"], newest["note"], newest["current"]) == (4, "both were needed", True)
    assert data_of(api.get(f"{BASE}/sample"))["steps"] == [step("a"), step("b")]
    assert data_of(api.post(f"{BASE}/sample/execute"))["executed_steps"] == ["a", "b"]


@pytest.mark.usefixtures("three")
def test_restoring_what_is_in_force_makes_nothing_and_says_so(api: Api) -> None:
    body = data_of(api.post(f"{VERSIONS}/3/restore"))
    assert (body["version"], body["restored"]) == (3, False)
    assert "nothing was made" in body["message"]
    assert WorkflowVersion.objects.count() == 3


@pytest.mark.usefixtures("three")
def test_a_restore_honours_if_match_and_knows_its_fields(api: Api) -> None:
    refused(api.post(f"{VERSIONS}/1/restore", headers={"If-Match": '"2"'}), 412, "VersionConflict")
    refused(api.post(f"{VERSIONS}/1/restore", headers={"If-Match": "x"}), 400, "InvalidRequest")
    body = refused(api.post(f"{VERSIONS}/1/restore", {"notes": "x"}), 400, "InvalidRequest")
    assert 'did you mean "note"' in body["error"]
    assert WorkflowVersion.objects.count() == 3
    assert data_of(api.post(f"{VERSIONS}/1/restore", headers={"If-Match": '"3"'}))["version"] == 4


def test_a_version_that_does_not_check_any_more_is_refused_with_its_places(api: Api) -> None:
    nap = {"seconds": 0}
    make_workflow(step("a"), step("b", "nap", nap), step("c", "nap", nap))
    put(api, step("a"))
    Agent.objects.filter(name="tester").update(functions=["add"])
    catalog.forget()
    body = refused(api.post(f"{VERSIONS}/1/restore"), 400, "DefinitionError")
    assert [problem["path"] for problem in body["errors"]] == ["steps[1].function_name", "steps[2].function_name"]
    assert WorkflowVersion.objects.count() == 2


def test_every_save_takes_a_note_that_version_and_event_keep(api: Api) -> None:
    data_of(api.post(f"{BASE}?note=first", sample(), content_type=JSON), 201)
    data_of(api.put(f"{BASE}/sample?note=second", sample(description="x"), content_type=JSON))
    data_of(api.patch(f"{BASE}/sample?note=third", {"description": "y"}, content_type=JSON))
    data_of(api.patch(f"{BASE}/sample?note=unchanged", {"description": "y"}, content_type=JSON))
    assert [entry["note"] for entry in data_of(api.get(VERSIONS))] == ["third", "second", "first"]
    events = Event.objects.filter(type__in=["workflow_created", "workflow_revised"]).order_by("seq")
    assert [event.data["note"] for event in events] == ["first", "second", "third"]
    template = {"template": sample(workflow_id="other")}
    data_of(api.post(f"{BASE}/templates?note=made", template, content_type=JSON), 201)
    assert publishing.current("other").version(1).note == "made"


@pytest.mark.parametrize("note", ["x" * 1001, "a%00b"])
def test_a_note_that_can_not_be_kept_is_refused(api: Api, note: str) -> None:
    body = refused(api.post(f"{BASE}?note={note}", sample(), content_type=JSON), 400, "InvalidRequest")
    assert body["errors"][0]["path"] == "note"
    assert not WorkflowVersion.objects.exists()


@pytest.mark.usefixtures("three")
def test_a_run_carries_out_the_version_that_was_asked_for(api: Api) -> None:
    old = data_of(api.post(f"{BASE}/sample/execute", {"version": 2}))
    assert (old["executed_steps"], old["total_steps"]) == (["a", "b"], 2)
    assert data_of(api.get(f"/api/v1/runs/{old['execution_id']}"))["version"] == 2
    queued = data_of(api.post(f"{BASE}/sample/execute-async", {"version": 1}), 202)["execution_id"]
    assert data_of(api.get(f"/api/v1/runs/{queued}"))["total_steps"] == 1


def test_versions_of_an_archived_workflow_go_with_its_id(api: Api) -> None:
    make_workflow(step("a"))
    data_of(api.delete(f"{BASE}/sample"))
    for address in (VERSIONS, f"{VERSIONS}/1", f"{VERSIONS}/1/diff?with=1"):
        refused(api.get(address), 404, "WorkflowNotFound")
    make_workflow(step("b"))
    assert data_of(api.get(f"{VERSIONS}/1"))["definition"]["steps"][0]["step_id"] == "b"
