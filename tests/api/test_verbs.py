"""Pausing, resuming, retrying and repeating runs."""

import time
import uuid
from pathlib import Path
from typing import Any

import pytest
import requests
from django.contrib.auth.models import Permission, User

from tests.api.client import Api
from tests.api.live import Server, text_of, told
from tests.api.shape import BASE, data_of, refused
from tests.api.test_stream import STREAM, WORDS, dictate
from tests.api.test_stream import follow as follow_stream
from tests.factories import make_definition, make_workflow, step
from workflows import attempt_texts, engine_thread, follow, publishing, runs
from workflows.models import Run

RUNS = "/api/v1/runs"
CHANGED = {"execution_id", "workflow_id", "status", "message"}
DISCARDED = [word.upper() for word in WORDS]
VERBS = ("pause", "resume", "retry", "rerun")


def queued(api: Api, **body: Any) -> str:
    """A run that no worker is there for."""
    return str(data_of(api.post(f"{BASE}/sample/execute-async", body), 202)["execution_id"])


def flaky(tmp_path: Path, failures: int = 1) -> dict[str, Any]:
    return step("b", "flaky", {"file": str(tmp_path / "tries"), "failures": failures}, max_retries=0)


def executed(api: Api) -> Any:
    return data_of(api.post(f"{BASE}/sample/execute"))


def carried_on(run: str) -> str:
    """The run's status once this process has gone on with it."""
    key = uuid.UUID(run)
    engine_thread.offer(key)
    return follow.wait_until_settled(key)


def test_a_queued_run_is_paused_and_goes_on(api: Api) -> None:
    make_workflow(step("a"))
    run = queued(api)
    paused = data_of(api.post(f"{RUNS}/{run}/pause"))
    assert set(paused) == CHANGED
    assert (paused["execution_id"], paused["workflow_id"], paused["status"]) == (run, "sample", "paused")
    assert data_of(api.get(f"{RUNS}/{run}"))["paused_at"]
    assert "already" in data_of(api.post(f"{RUNS}/{run}/pause"))["message"]
    resumed = data_of(api.post(f"{RUNS}/{run}/resume"))
    assert (set(resumed), resumed["status"]) == (CHANGED, "queued")
    assert data_of(api.get(f"{RUNS}/{run}"))["paused_at"] is None
    assert carried_on(run) == "completed"


def test_an_ended_run_is_not_paused_and_only_a_paused_one_resumed(api: Api) -> None:
    make_workflow(step("a"))
    run = executed(api)["execution_id"]
    refused(api.post(f"{RUNS}/{run}/pause"), 409, "RunStateConflict")
    refused(api.post(f"{RUNS}/{run}/resume"), 409, "RunStateConflict")
    refused(api.post(f"{RUNS}/{queued(api)}/resume"), 409, "RunStateConflict")


def test_a_failed_run_goes_on_from_the_step_that_failed(api: Api, tmp_path: Path) -> None:
    make_workflow(step("a"), flaky(tmp_path), step("c"))
    failed = executed(api)
    run = failed["execution_id"]
    began = failed["step_results"]["a"]
    retried = data_of(api.post(f"{RUNS}/{run}/retry"))
    assert (set(retried), retried["execution_id"]) == (CHANGED, run)
    assert carried_on(run) == "completed"
    result = data_of(api.get(f"{BASE}/sample/result"))
    assert (result["execution_id"], result["success"], result["step_errors"]) == (run, True, {})
    assert result["step_results"]["a"] == began
    assert data_of(api.get(f"{RUNS}/{run}"))["attempt"] == 2


def test_a_run_is_retried_from_a_step_on(api: Api, tmp_path: Path) -> None:
    make_workflow(step("a"), flaky(tmp_path))
    run = executed(api)["execution_id"]
    assert "'a'" in data_of(api.post(f"{RUNS}/{run}/retry?from=a"))["message"]
    assert carried_on(run) == "completed"
    steps = [(entry["path"], entry["superseded"]) for entry in data_of(api.get(f"{RUNS}/{run}/steps"))]
    assert steps == [("a", True), ("b", True), ("a", False), ("b", False)]


def test_a_retry_that_makes_no_sense_is_refused(api: Api, tmp_path: Path) -> None:
    make_workflow(step("a"), flaky(tmp_path))
    refused(api.post(f"{RUNS}/{queued(api)}/retry"), 409, "RunStateConflict")
    run = executed(api)["execution_id"]
    refused(api.post(f"{RUNS}/{run}/retry?from=nothing"), 400, "StepNotFound")
    for query in ("form=a", "from=", "from=%00", f"from={'x' * 501}"):
        answer = refused(api.post(f"{RUNS}/{run}/retry?{query}"), 400, "InvalidRequest")
        assert answer["errors"][0]["path"] == query.partition("=")[0]
    assert data_of(api.get(f"{RUNS}/{run}"))["status"] == "failed"


def test_a_completed_run_is_not_retried(api: Api) -> None:
    make_workflow(step("a"))
    refused(api.post(f"{RUNS}/{executed(api)['execution_id']}/retry"), 409, "RunStateConflict")


def test_a_run_is_repeated_with_its_own_input_or_another(api: Api) -> None:
    make_workflow(step("a"))
    original = queued(api, input_context={"who": "you"})
    for body, input in ((None, {"who": "you"}), ({"input_context": {}}, {}), ({"input_context": {"n": 1}}, {"n": 1})):
        accepted = data_of(api.post(f"{RUNS}/{original}/rerun", body), 202)
        assert set(accepted) == {"execution_id", "workflow_id", "message", "status_url", "stream_url"}
        new = data_of(api.get(f"{RUNS}/{accepted['execution_id']}"))
        assert (new["rerun_of"], new["trigger"], new["input_context"]) == (original, "rerun", input)
        assert data_of(api.get(accepted["status_url"]))["execution_id"] == accepted["execution_id"]
    assert data_of(api.get(f"{RUNS}/{original}"))["rerun_of"] is None


def test_a_run_is_repeated_with_its_own_version_or_another(api: Api) -> None:
    make_workflow(step("a"))
    original = queued(api)
    publishing.revise("sample", make_definition(step("a"), step("b")), actor="tester")
    for body, version in ((None, 1), ({"version": 2}, 2)):
        new = data_of(api.post(f"{RUNS}/{original}/rerun", body), 202)["execution_id"]
        assert data_of(api.get(f"{RUNS}/{new}"))["version"] == version
    wrong = refused(api.post(f"{RUNS}/{original}/rerun", {"version": 3}), 400, "InvalidRequest")
    assert wrong["errors"][0]["path"] == "version"


def test_a_run_of_an_archived_workflow_is_not_repeated(api: Api) -> None:
    make_workflow(step("a"))
    run = queued(api)
    publishing.archive("sample", actor="tester")
    refused(api.post(f"{RUNS}/{run}/rerun"), 409, "RunStateConflict")


def test_an_input_that_the_workflow_refuses_repeats_nothing(api: Api) -> None:
    make_workflow(step("a"), parameters={"type": "object", "required": ["topic"]})
    run = queued(api, input_context={"topic": "owls"})
    refused(api.post(f"{RUNS}/{run}/rerun", {"input_context": {}}), 400, "InputInvalid")
    assert Run.objects.count() == 1


@pytest.mark.parametrize(
    ("verb", "field"), [("pause", "from"), ("resume", "at"), ("retry", "from"), ("rerun", "input")]
)
def test_a_field_that_a_verb_does_not_read_is_refused(api: Api, verb: str, field: str) -> None:
    make_workflow(step("a"))
    run = queued(api)
    answer = refused(api.post(f"{RUNS}/{run}/{verb}", {field: "a"}), 400, "InvalidRequest")
    assert answer["errors"][0]["path"] == field
    answer = refused(api.post(f"{RUNS}/{run}/{verb}?{field}s=a"), 400, "InvalidRequest")
    assert answer["errors"][0]["path"] == f"{field}s"
    assert data_of(api.get(f"{RUNS}/{run}"))["status"] == "queued"


@pytest.mark.parametrize("verb", [*VERBS, "cancel"])
@pytest.mark.parametrize("run", [str(uuid.UUID(int=7)), "nonsense", "a%00b"])
def test_a_verb_finds_no_run_that_is_not_there(api: Api, run: str, verb: str) -> None:
    refused(api.post(f"{RUNS}/{run}/{verb}"), 404, "RunNotFound")


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_needs_its_permission(api: Api, verb: str) -> None:
    make_workflow(step("a"))
    run = queued(api)
    person = User.objects.create_user("person")
    needed, other = ("add_run", "change_run") if verb == "rerun" else ("change_run", "add_run")
    person.user_permissions.add(Permission.objects.get(codename=other))
    api.force_login(person)
    refused(api.post(f"{RUNS}/{run}/{verb}"), 403, "PermissionDenied")
    person.user_permissions.add(Permission.objects.get(codename=needed))
    assert api.post(f"{RUNS}/{run}/{verb}").status_code != 403


def test_who_did_it_is_in_the_audit_trail(api: Api) -> None:
    make_workflow(step("a"))
    run = queued(api)
    api.force_login(User.objects.create_superuser("root"))
    data_of(api.post(f"{RUNS}/{run}/pause"))
    data_of(api.post(f"{RUNS}/{run}/resume"))
    events = data_of(api.get(f"{RUNS}/{run}/events"))[1:]
    assert [event["actor"] for event in events] == ["root", "root"]
    assert runs.get(data_of(api.post(f"{RUNS}/{run}/rerun"), 202)["execution_id"]).actor == "root"


def test_the_stream_of_a_retried_run_has_one_end(server: Server, api: Api, tmp_path: Path) -> None:
    make_workflow(step("a"), flaky(tmp_path))
    run = executed(api)["execution_id"]
    first = follow_stream(server, run)
    assert [item.type for item in first].count("workflow_complete") == 1
    data_of(api.post(f"{RUNS}/{run}/retry"))
    engine_thread.offer(uuid.UUID(run))
    rest = follow_stream(server, run, first[-1].id)  # open before the second end
    assert [(item.type, item.body.get("step_id")) for item in rest] == [
        ("step_start", "b"),
        ("step_complete", "b"),
        ("workflow_complete", None),
    ]
    assert rest[-1].body["result"]["success"]
    whole = follow_stream(server, run)
    assert [item.id for item in whole] == [item.id for item in [*first[:-1], *rest]]


def test_text_of_a_discarded_attempt_is_not_told_as_that_of_the_new_one(
    server: Server, api: Api, tmp_path: Path
) -> None:
    page = tmp_path / "page"
    dictate(page, *DISCARDED, ".")
    make_workflow(step("talk", "dictated", {"file": str(page)}), flaky(tmp_path))
    run = executed(api)["execution_id"]
    page.unlink()
    dictate(page, *WORDS)
    data_of(api.post(f"{RUNS}/{run}/retry?from=talk"))
    engine_thread.offer(uuid.UUID(run))
    with requests.get(server.url(f"{RUNS}/{run}/stream"), headers=STREAM, stream=True, timeout=30) as response:
        items = []
        for item in told(response):
            items.append(item)
            if item.body.get("token", "").endswith(WORDS[-1]):
                break
        time.sleep(attempt_texts.KEEP + 0.2)  # now the discarded attempt's text is deleted, and only that
        begun = next(item.id for item in reversed(items) if item.type == "step_start")
        dictate(page, ".")
        late = follow_stream(server, run, begun)
    assert text_of(items, "talk") == text_of(late, "talk") == "".join(WORDS)


def test_who_follows_from_before_the_retry_is_told_only_the_last_end(server: Server, api: Api, tmp_path: Path) -> None:
    make_workflow(step("a"), flaky(tmp_path, failures=2))
    run = executed(api)["execution_id"]
    for _ in range(2):
        known = follow_stream(server, run)[0].id
        data_of(api.post(f"{RUNS}/{run}/retry"))
        carried_on(run)
        items = follow_stream(server, run, known)
        assert [item.type for item in items].count("workflow_complete") == 1
        assert items[-1].type == "workflow_complete"
    assert items[-1].body["result"]["status"] == "completed"
