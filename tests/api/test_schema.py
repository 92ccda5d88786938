"""The OpenAPI schema and its page."""

import re
from contextlib import closing
from typing import Any

import pytest
from django.core.management import call_command
from drf_spectacular.validation import validate_schema
from jsonschema import Draft202012Validator

from tests.api.client import Api
from tests.api.routes import CALLS
from tests.api.shape import BASE
from tests.factories import make_workflow, step


@pytest.fixture
def schema(api: Api) -> dict[str, Any]:
    response = api.get("/api/schema", HTTP_ACCEPT="application/vnd.oai.openapi+json")
    assert response.status_code == 200
    found: dict[str, Any] = response.json()
    return found


def test_the_schema_is_made_without_a_warning_and_is_valid(schema: dict[str, Any], tmp_path: Any) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yaml"))
    validate_schema(schema)
    assert schema["openapi"].startswith("3.1")


def test_every_route_is_in_the_schema(schema: dict[str, Any]) -> None:
    shapes = {(verb, re.sub(r"{\w+}", "*", path)) for path, verbs in schema["paths"].items() for verb in verbs}
    for call in CALLS:
        if call.address in {"/", "/api/schema", "/api/docs"}:
            continue
        address = re.sub(r"/(sample|tester|default|1|0189[0-9a-f-]{32})(?=/|$)", "/*", call.address)
        assert (call.verb.lower(), address) in shapes, call


def test_what_is_no_definition_is_not_described_as_one(schema: dict[str, Any]) -> None:
    parts = schema["components"]["schemas"]
    assert parts["RunDetail"]["properties"]["input_context"]["type"] == "object"
    assert "$ref" not in parts["RunDetail"]["properties"]["input_context"]
    assert parts["VersionDetail"]["properties"]["definition"] == {"$ref": "#/components/schemas/Definition"}


def test_answers_are_in_the_envelope_and_errors_in_their_shape(schema: dict[str, Any]) -> None:
    responses = schema["paths"][BASE]["get"]["responses"]
    listed = responses["200"]["content"]["application/json"]["schema"]["properties"]
    assert set(listed) == {"success", "data", "count", "next", "previous", "timestamp"}
    assert responses["default"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Error"}
    assert {"FunctionStep", "ForEach", "Approval"} <= schema["components"]["schemas"].keys()


def test_a_workflow_and_its_archiving_answer_as_the_schema_says(api: Api, schema: dict[str, Any]) -> None:
    make_workflow(step("a"))
    operations = schema["paths"][f"{BASE}/{{workflow_id}}"]
    for verb in ("get", "delete"):
        answer = api.generic(verb.upper(), f"{BASE}/sample")
        said = operations[verb]["responses"][str(answer.status_code)]["content"]["application/json"]["schema"]
        validator = Draft202012Validator({**said, "components": schema["components"]})
        assert list(validator.iter_errors(answer.json())) == []


def test_the_page_loads_nothing_from_elsewhere(api: Api) -> None:
    page = api.get("/api/docs", HTTP_ACCEPT="text/html").content.decode()
    assert "swagger-ui" in page
    for address in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert address.startswith("/"), address
        if address.startswith("/static/"):
            with closing(api.get(address)) as file:
                assert file.status_code == 200
    assert "<script>" not in page
