"""Bodies that nobody should send."""

import gzip
import json
from typing import Any

import pytest
from pytest_django import Settings

from tests.api.client import Api
from tests.api.shape import BASE, data_of, refused, sample
from tests.factories import make_workflow, step
from workflows.models import Run, Workflow

BAD_JSON = {
    "nothing but spaces": b"   ",
    "no JSON": b"{workflow_id: x}",
    "cut": b'{"input_context": {"a": 1',
    "invalid UTF-8": b'{"input_context": {"a": "\xff\xfe"}}',
    "NaN": b'{"input_context": {"a": NaN}}',
    "Infinity": b'{"input_context": {"a": -Infinity}}',
    "a number that overflows": b'{"input_context": {"a": 1e999}}',
    "beyond 64 bits": b'{"input_context": {"a": 9223372036854775808}}',
    "beyond any number": b'{"input_context": {"a": ' + b"9" * 5000 + b"}}",
    "NUL": b'{"input_context": {"a": "x\\u0000y"}}',
    "a raw NUL": b'{"input_context": {"a": "x\x00y"}}',
    "half a surrogate pair": b'{"input_context": {"a": "\\ud800"}}',
    "duplicate keys": b'{"input_context": {"a": 1, "a": 2}}',
    "10,000 deep": b'{"input_context": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "110 deep": b'{"input_context": ' + b'{"a":' * 110 + b"1" + b"}" * 111,
    "two values": b"{} {}",
}
ADDRESSES = ["", "/validate", "/templates", "/sample/execute", "/sample/execute-async"]


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("name", BAD_JSON)
def test_a_body_that_is_no_plain_json_is_refused(api: Api, name: str, address: str) -> None:
    make_workflow(step("a"))
    response = api.post(BASE + address, BAD_JSON[name], content_type="application/json")
    if address == "/validate" and response.status_code == 200:
        assert not response.json()["data"]["valid"]
    else:
        assert refused(response, 400)["errors"]
    assert not Run.objects.exists()
    assert Workflow.objects.count() == 1


def test_a_fault_is_told_with_its_place(api: Api) -> None:
    make_workflow(step("a"))
    body = b'{"input_context":\n {"a": 1, "a": 2}}'
    answer = refused(api.post(f"{BASE}/sample/execute", body, content_type="application/json"), 400, "MalformedBody")
    problem = answer["errors"][0]
    assert (problem["path"], problem["line"]) == ("input_context.a", 2)


@pytest.mark.parametrize("value", [[], "text", 5, None, True])
def test_a_definition_that_is_no_object_is_refused(api: Api, value: Any) -> None:
    import json

    refused(api.post(BASE, json.dumps(value), content_type="application/json"), 400, "DefinitionError")


@pytest.mark.parametrize(
    "change",
    [
        {"stop_on_failure": "yes"},
        {"max_execution_time_seconds": "60"},
        {"steps": {}},
        {"workflow_id": "not an id"},
        {"workflow_id": "validate"},
        {"workflow_id": 5},
        {"unknown": 1},
        {"steps": [{**sample()["steps"][0], "max_retries": "3"}]},
        {"steps": [sample()["steps"][0], sample()["steps"][0]]},
    ],
)
def test_a_definition_with_a_wrong_type_is_refused(api: Api, change: dict[str, Any]) -> None:
    refused(api.post(BASE, sample(**change), content_type="application/json"), 400, "DefinitionError")
    assert not Workflow.objects.exists()


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/xml", "multipart/form-data; boundary=x", "nonsense", "*/*", "application/*"]
)
@pytest.mark.parametrize("address", ADDRESSES)
def test_an_unknown_content_type_is_415(api: Api, address: str, kind: str) -> None:
    make_workflow(step("a"))
    answer = refused(api.post(BASE + address, b"{}", content_type=kind), 415, "UnsupportedMediaType")
    assert "application/json" in answer["error"]


def test_curl_without_a_content_type_is_told_what_to_send(api: Api) -> None:
    kind = "application/x-www-form-urlencoded"
    answer = refused(api.post(f"{BASE}", b'{"workflow_id": "a"}', content_type=kind), 415)
    assert "application/json or application/yaml" in answer["error"]


def test_a_compressed_body_is_415_and_not_unpacked(api: Api) -> None:
    make_workflow(step("a"))
    packed = gzip.compress(b"{}")
    for address in ADDRESSES:
        answer = api.post(BASE + address, packed, headers={"Content-Encoding": "gzip"})
        assert "'gzip'" in refused(answer, 415, "UnsupportedEncoding")["error"]
    assert api.post(f"{BASE}/validate", b"{}", headers={"Content-Encoding": "identity"}).status_code == 200


@pytest.mark.parametrize("call", ["execute", "execute-async"])
def test_an_input_that_the_context_has_no_room_for_is_refused(api: Api, settings: Settings, call: str) -> None:
    settings.CONTEXT_MAX_BYTES = 1000
    make_workflow(step("a"), global_context={"g": "x" * 500})
    answer = refused(api.post(f"{BASE}/sample/{call}", {"input_context": {"i": "x" * 500}}), 400, "InputInvalid")
    assert (answer["errors"][0]["path"], answer["errors"][0]["code"]) == ("input_context", "too_large")
    assert not Run.objects.exists()


def test_a_body_over_the_limit_is_413(api: Api, settings: Settings) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    refused(api.post(BASE, b" " * 1001, content_type="application/json"), 413, "BodyTooLarge")


def test_yaml_is_read_strictly_too(api: Api) -> None:
    kind = "application/yaml"
    refused(api.post(BASE, b"a: 1\na: 2\n", content_type=kind), 400, "DefinitionError")
    refused(api.post(BASE, b"a: !!python/object:os.system {}\n", content_type=kind), 400, "DefinitionError")
    refused(api.post(BASE, b"[" * 10_000, content_type=kind), 400, "DefinitionError")
    refused(api.post(BASE, b"a: \xff\n", content_type=kind), 400, "DefinitionError")


@pytest.mark.parametrize("address", ["", "/validate"])
@pytest.mark.parametrize(
    "wrong",
    [
        {"function_name": "\ud800"},
        {"agent_id": "\ud800"},
        {"step_id": "\ud800"},
        {"\ud800": 1},
        {"depends_on": ["\ud800"]},
        {"precondition": {"callable": "\ud800"}},
        {"precondition": 'steps.get("\ud800")'},
        {"parameters": {"message": "${steps.get('\ud800')}", "\ud800": 1}},
        {"output_schema": {"pattern": "\ud800"}},
        {"output_schema": {"type": "\ud800", "$ref": "\ud800"}},
        {"retry": {"retry_on": ["\ud800"]}},
    ],
)
def test_half_a_surrogate_pair_anywhere_in_a_definition_is_refused(api: Api, wrong: Any, address: str) -> None:
    body = json.dumps(sample(steps=[{**step("a"), **wrong}]))
    response = api.post(BASE + address, body)
    if address:
        assert not data_of(response)["valid"]
    else:
        refused(response, 400, "DefinitionError")
