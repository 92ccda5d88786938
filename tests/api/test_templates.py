"""Stored templates: storing, reading, changing, exporting, and making one workflow or many."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from pytest_django import Settings

from tests.api.client import Api
from tests.api.shape import BASE, data_of, refused, sample
from tests.factories import make_workflow, step
from workflows import publishing, tasks
from workflows.models import Event, TemplateBatch, Workflow

TEMPLATES = "/api/v1/workflow-templates"
YAML = "application/yaml"


def document(**fields: Any) -> dict[str, Any]:
    return {
        "name": "greet",
        "description": "Greets somebody.",
        "parameters": {
            "type": "object",
            "required": ["who"],
            "additionalProperties": False,
            "properties": {"who": {"type": "string"}, "seconds": {"type": "number", "default": 5}},
        },
        "definition": {
            "workflow_id": "greet_${params.who}",
            "steps": [
                step(
                    "a", parameters={"message": "Hi ${params.who}, ${input.text}"}, timeout_seconds="${params.seconds}"
                )
            ],
        },
        **fields,
    }


@pytest.fixture
def template(api: Api) -> dict[str, Any]:
    data_of(api.post(TEMPLATES, document()), 201)
    return document()


def test_a_template_is_stored_read_changed_and_deleted(api: Api) -> None:
    assert data_of(api.post(TEMPLATES, document()), 201)["name"] == "greet"
    refused(api.post(TEMPLATES, document()), 409, "TemplateExists")
    read = data_of(api.get(f"{TEMPLATES}/greet"))
    assert {key: read[key] for key in document()} == document()
    assert read["author"] == "local"
    assert [row["name"] for row in data_of(api.get(TEMPLATES))] == ["greet"]
    data_of(api.put(f"{TEMPLATES}/greet", {**read, "description": "new"}, content_type="application/json"))
    assert data_of(api.get(f"{TEMPLATES}/greet"))["description"] == "new"
    refused(api.put(f"{TEMPLATES}/greet", document(name="other"), content_type="application/json"), 400)
    refused(api.put(f"{TEMPLATES}/nope", document(name="nope"), content_type="application/json"), 404)
    data_of(api.delete(f"{TEMPLATES}/greet"))
    refused(api.get(f"{TEMPLATES}/greet"), 404, "TemplateNotFound")
    events = Event.objects.filter(path="greet").order_by("seq").values_list("type", flat=True)
    assert list(events) == ["template_created", "template_changed", "template_deleted"]


def test_what_comes_as_yaml_is_what_goes_in(api: Api, template: dict[str, Any]) -> None:
    text = api.get(f"{TEMPLATES}/greet", HTTP_ACCEPT=YAML).content
    data_of(api.delete(f"{TEMPLATES}/greet"))
    data_of(api.post(TEMPLATES, text, content_type=YAML), 201)
    assert api.get(f"{TEMPLATES}/greet", HTTP_ACCEPT=YAML).content == text
    read = data_of(api.get(f"{TEMPLATES}/greet"))
    assert {key: read[key] for key in template} == template


def test_a_bad_template_is_refused_with_every_place(api: Api) -> None:
    text = "name: bad name\ndefinition:\n  steps:\n    - {step_id: a, agent_id: testr, function_name: echo}\n"
    problems = refused(api.post(TEMPLATES, text, content_type=YAML), 400, "DefinitionError")["errors"]
    assert [(p["path"], p["line"]) for p in problems] == [("name", 1), ("definition.steps[0].agent_id", 4)]


def test_a_workflow_is_made_and_runs(api: Api, template: dict[str, Any]) -> None:
    made = api.post(f"{TEMPLATES}/greet/instantiate", {"parameters": {"who": "Ann"}})
    assert data_of(made, 201)["workflow_id"] == "greet_Ann"
    assert made.headers["ETag"] == '"1"'
    (stored,) = data_of(api.get(f"{BASE}/greet_Ann"))["steps"]
    assert stored["timeout_seconds"] == 5
    result = data_of(api.post(f"{BASE}/greet_Ann/execute", {"input_context": {"text": "how are you?"}}))
    assert result["step_results"]["a"]["result_data"]["echo"] == "Hi Ann, how are you?"
    refused(api.post(f"{TEMPLATES}/greet/instantiate", {"parameters": {"who": "Ann"}}), 409, "WorkflowExists")
    other = {"parameters": {"who": "Ann"}, "workflow_id": "other"}
    assert data_of(api.post(f"{TEMPLATES}/greet/instantiate", other), 201)["workflow_id"] == "other"


def test_a_parameter_is_never_an_expression(
    api: Api, template: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOLOSAL_SECRET_CANARY", "tweet")
    asked = {"parameters": {"who": "${secrets.CANARY}$"}, "workflow_id": "w"}
    data_of(api.post(f"{TEMPLATES}/greet/instantiate", asked), 201)
    result = data_of(api.post(f"{BASE}/w/execute", {"input_context": {"text": "${secrets.CANARY}"}}))
    assert result["step_results"]["a"]["result_data"]["echo"] == "Hi ${secrets.CANARY}$, ${secrets.CANARY}"


def test_bad_parameters_are_refused_with_every_place(api: Api, template: dict[str, Any]) -> None:
    wrong = {"parameters": {"whom": 1, "seconds": "5"}}
    body = refused(api.post(f"{TEMPLATES}/greet/instantiate", wrong), 400, "ParametersInvalid")
    assert {problem["path"] for problem in body["errors"]} == {"parameters", "parameters.seconds"}
    body = refused(api.post(f"{TEMPLATES}/greet/instantiate", {"parameters": {"who": "a b", "seconds": -1}}), 400)
    paths = [problem["path"] for problem in body["errors"]]
    assert sorted(paths) == ["definition.steps[0].timeout_seconds", "definition.workflow_id"]
    assert not Workflow.objects.exists()


def test_a_template_without_an_id_wants_one(api: Api) -> None:
    data_of(api.post(TEMPLATES, document(definition={"steps": [step("a")]})), 201)
    body = refused(api.post(f"{TEMPLATES}/greet/instantiate", {"parameters": {"who": "x"}}), 400)
    assert body["errors"][0]["path"] == "workflow_id"


def test_a_workflow_is_exported_as_a_template(api: Api) -> None:
    data_of(api.post(BASE, sample(description="said")), 201)
    data_of(api.post(TEMPLATES, {"from_workflow": "sample", "name": "copy"}), 201)
    read = data_of(api.get(f"{TEMPLATES}/copy"))
    assert (read["definition"], read["description"]) == (sample(description="said"), "said")
    data_of(api.post(f"{TEMPLATES}/copy/instantiate", {"workflow_id": "second"}), 201)
    assert data_of(api.get(f"{BASE}/second"))["steps"] == sample()["steps"]
    refused(api.post(TEMPLATES, {"from_workflow": "nope", "name": "x"}), 404, "WorkflowNotFound")
    body = refused(api.post(TEMPLATES, {"from_workflow": "sample", "nam": "x"}), 400)
    assert [problem["path"] for problem in body["errors"]] == ["nam", "name"]


def test_who_may_not_read_workflows_may_not_export_one(api: Api, settings: Settings) -> None:
    make_workflow()
    user = User.objects.create_user("author")
    user.user_permissions.add(Permission.objects.get(codename="add_template"))
    api.force_login(user)
    api.handler.enforce_csrf_checks = False
    settings.LOCAL_ANONYMOUS = False
    refused(api.post(TEMPLATES, {"from_workflow": "sample", "name": "x"}), 403)
    data_of(api.post(TEMPLATES, document()), 201)


def test_an_inline_template_takes_parameters(api: Api) -> None:
    asked = {"template": document()["definition"], "parameters": {"who": "Bob", "seconds": 3}}
    assert data_of(api.post(f"{BASE}/templates", asked), 201)["workflow_id"] == "greet_Bob"
    body = refused(api.post(f"{BASE}/templates", {"template": document()["definition"]}), 400)
    assert body["errors"][0]["path"] == "template.workflow_id"


# --- Many ------------------------------------------------------------------------------------------------------------


def test_many_are_made_by_the_workers_and_a_bad_row_harms_no_other(api: Api, template: dict[str, Any]) -> None:
    make_workflow(workflow_id="greet_taken")
    rows: list[Any] = [{"parameters": {"who": who}} for who in ("a", "taken", "no id", "d")]
    rows += [{"parameters": {}}, {"parameters": {"who": "a"}, "workflow_id": "own"}]
    accepted = data_of(api.post(f"{TEMPLATES}/greet/instantiate", {"rows": rows}), 202)
    assert accepted["total"] == 6
    before = data_of(api.get(accepted["status_url"]))
    assert (before["pending"], before["done"], before["ended_at"]) == (6, 0, None)
    data_of(api.delete(f"{TEMPLATES}/greet"))  # the batch keeps what the template said

    tasks.instantiate_rows()
    after = data_of(api.get(accepted["status_url"]))
    assert (after["pending"], after["done"], after["failed"]) == (0, 3, 3)
    assert after["ended_at"]
    reports = data_of(api.get(after["rows_url"]))
    assert [(row["number"], row["status"], row["workflow_id"], row["error_code"]) for row in reports] == [
        (1, "done", "greet_a", ""),
        (2, "failed", "", "WorkflowExists"),
        (3, "failed", "", "DefinitionError"),
        (4, "done", "greet_d", ""),
        (5, "failed", "", "ParametersInvalid"),
        (6, "done", "own", ""),
    ]
    assert reports[2]["problems"][0]["path"] == "definition.workflow_id"
    assert reports[4]["problems"][0]["message"] == "'who' is a required property"
    failed = data_of(api.get(after["rows_url"] + "?status=failed&page_size=2"))
    assert [row["number"] for row in failed] == [2, 3]
    refused(api.get(after["rows_url"] + "?status=nope"), 400)
    assert set(Workflow.objects.values_list("workflow_id", flat=True)) == {"greet_taken", "greet_a", "greet_d", "own"}


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        ({"rows": []}, "rows"),
        ({"rows": [{}], "parameters": {}}, "parameters"),
        ({"rows": [{}, {"parameter": {}}]}, "rows[1].parameter"),
        ({"rows": [{}, 5]}, "rows.1"),
        ({"rows": [{}] * 10_001}, "rows"),
        ({"row": [{}]}, "row"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_as_a_whole(
    api: Api, template: dict[str, Any], asked: Any, path: str
) -> None:
    body = refused(api.post(f"{TEMPLATES}/greet/instantiate", asked), 400)
    assert body["errors"][0]["path"] == path
    assert not TemplateBatch.objects.exists()


def test_a_row_that_crashes_harms_no_other(api: Api, template: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    create = publishing.create

    def crashing(definition: Any, **rest: Any) -> Any:
        made = create(definition, **rest)
        if definition.workflow_id == "greet_a":
            raise ZeroDivisionError
        return made

    monkeypatch.setattr(publishing, "create", crashing)
    rows = [{"parameters": {"who": who}} for who in "ab"]
    accepted = data_of(api.post(f"{TEMPLATES}/greet/instantiate", {"rows": rows}), 202)
    tasks.instantiate_rows()
    reports = data_of(api.get(accepted["status_url"] + "/rows"))
    assert [row["error_code"] for row in reports] == ["InternalError", ""]
    assert list(Workflow.objects.values_list("workflow_id", flat=True)) == ["greet_b"]


def test_a_batch_that_is_not_there_is_404(api: Api) -> None:
    refused(api.get(f"{TEMPLATES}/batches/nope"), 404, "TemplateNotFound")
    refused(api.get(f"{TEMPLATES}/batches/nope/rows"), 404)
