"""The one error shape, wherever an error comes from."""

import logging
import re

import pytest
from django.db import OperationalError
from django.test import Client

from tests.api.client import Api
from tests.api.routes import CALLS, REFUSED_VERBS, Call
from tests.api.shape import BASE, refused


def test_the_routes_were_found() -> None:
    addresses = {str(call) for call in CALLS}
    assert f"POST {BASE}/sample/execute" in addresses
    assert "GET /engines/default" in addresses
    assert "GET /metrics" in addresses
    assert len(CALLS) > 30


@pytest.mark.parametrize("call", REFUSED_VERBS, ids=str)
def test_a_method_that_a_route_does_not_have_is_405(api: Api, call: Call) -> None:
    response = api.generic(call.verb, call.address)
    refused(response, 405, "MethodNotAllowed")
    assert response.headers["Allow"]


@pytest.mark.parametrize("address", sorted({call.address for call in CALLS}))
@pytest.mark.parametrize("verb", ["OPTIONS", "TRACE", "CONNECT", "PROPFIND"])
def test_a_method_that_nothing_answers_is_405(api: Api, verb: str, address: str) -> None:
    refused(api.generic(verb, address), 405, "MethodNotAllowed")


@pytest.mark.parametrize("call", [call for call in CALLS if call.address.startswith(("/api/v1", "/engines"))], ids=str)
def test_every_call_refuses_query_parameters_that_it_does_not_read(api: Api, call: Call) -> None:
    answer = refused(api.generic(call.verb, f"{call.address}?version=2"), 400, "InvalidRequest")
    assert answer["errors"][0]["path"] == "version"


@pytest.mark.parametrize("call", CALLS, ids=str)
@pytest.mark.parametrize("accept", ["text/html", "application/yaml", "text/event-stream", "image/png"])
def test_errors_are_json_whatever_is_accepted(api: Api, call: Call, accept: str) -> None:
    response = api.generic(call.verb, call.address, HTTP_ACCEPT=accept, REMOTE_ADDR="192.0.2.7")
    if not call.public:
        refused(response, 401)


@pytest.mark.parametrize("call", [call for call in CALLS if call.verb == "POST"], ids=str)
def test_malformed_json_is_400_on_every_route_that_reads_a_body(api: Api, call: Call) -> None:
    response = api.post(call.address, b"{", content_type="application/json")
    if not call.address.endswith("/cancel"):  # reads none
        refused(response, 400)
    else:
        refused(response, 404)


@pytest.mark.parametrize(
    "address",
    [
        "/nothing",
        "/api/v1/nothing",
        f"{BASE}/",
        f"{BASE}/a%00b",
        f"{BASE}/{'x' * 101}",
        "/v1/x",
        "/engines/",
        "/%ff",
    ],
)
@pytest.mark.parametrize("verb", ["GET", "POST", "DELETE"])
def test_an_address_that_is_not_there_is_404(api: Api, verb: str, address: str) -> None:
    refused(api.generic(verb, address), 404)


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_a_crash_is_500_with_a_reference_and_its_trace_in_the_log(
    api: Api, call: Call, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def crash(*args: object, **kwargs: object) -> None:
        raise RuntimeError("the secret cause")

    monkeypatch.setattr("rest_framework.views.APIView.check_throttles", crash)
    with caplog.at_level(logging.ERROR):
        body = refused(api.generic(call.verb, call.address), 500, "InternalError")
    assert "secret" not in str(body)
    reference = re.search(r"[0-9a-f]{12}", body["error"])
    assert reference is not None
    record = next(r for r in caplog.records if reference[0] in r.getMessage())
    assert record.exc_info is not None
    assert "the secret cause" in str(record.exc_info[1])


def test_a_crash_outside_the_api_has_the_same_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*args: object, **kwargs: object) -> None:
        raise RuntimeError("the secret cause")

    monkeypatch.setattr("django.contrib.sessions.middleware.SessionMiddleware.process_request", crash)
    body = refused(Client(raise_request_exception=False).get(BASE), 500, "InternalError")
    assert "secret" not in str(body)


def test_a_store_that_does_not_answer_is_503(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(*args: object, **kwargs: object) -> None:
        raise OperationalError("database is locked")

    monkeypatch.setattr("workflows.metrics.run_counts", locked)
    response = api.get(f"{BASE}/executor/metrics")
    refused(response, 503, "StoreUnavailable")
    assert response.headers["Retry-After"] == "1"


def test_pages_for_people_keep_their_own_errors(api: Api) -> None:
    assert "text/html" in api.get("/admin/nothing-here/").headers["Content-Type"]
