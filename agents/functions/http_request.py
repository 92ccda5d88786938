"""`http_request`: one HTTP call to a public address."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import Field, field_validator

from agents.functions.base import EXPLICIT, Call, Parameters, Result
from agents.functions.registry import function

Method = Literal["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"]

# Answers are stored and shown: what lets somebody in stays out of them.
SECRET_HEADERS = frozenset({
    "authorization", "authentication-info", "cookie", "proxy-authenticate", "proxy-authorization",
    "set-cookie", "set-cookie2", "www-authenticate", "x-api-key", "x-auth-token", "x-csrf-token",
})  # fmt: skip


class HttpRequest(Parameters):
    """What to call, and what to send there."""

    url: str = Field(min_length=1, max_length=8_192, description="Address, beginning with http:// or https://.")
    method: Method = Field("GET", json_schema_extra=EXPLICIT, description="HTTP method, in any case.")
    headers: dict[str, str] = Field(
        default_factory=dict, json_schema_extra=EXPLICIT, description="Headers to send: name → text."
    )
    query: dict[str, str | list[str]] = Field(
        default_factory=dict,
        json_schema_extra=EXPLICIT,
        description="What to add to the address after `?`: name → text, or a list of texts.",
    )
    body: Any = Field(
        None, json_schema_extra=EXPLICIT, description="What to send: text goes as it is, anything else as JSON."
    )
    timeout_seconds: float = Field(
        30.0,
        gt=0,
        le=600,
        json_schema_extra=EXPLICIT,
        description="How long the whole call may take, redirects included, in seconds.",
    )
    follow_redirects: bool = Field(
        True, json_schema_extra=EXPLICIT, description="Go on to where the answer points, at most five times."
    )

    @field_validator("method", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("headers")
    @classmethod
    def _sendable(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if not name or not f"{name}{text}".isprintable():
                raise ValueError(f"header {name!r} is empty or has control characters")
        return value


@function("http_request", description="Calls an HTTP address and gives back status, headers and the parsed body")
async def http_request(call: Call, parameters: HttpRequest) -> Result:
    """Returns `{status, ok, url, headers, body, json, content_type, size_bytes, redirects, untrusted}`.

    `json` is the parsed body, None where it is not JSON; `body` its text. An HTTP error status is a result,
    not an error. Raises as `agents.http.fetch`.
    """
    from agents.http import fetch

    headers, content = _message(call, parameters)
    answer = await fetch(
        parameters.method,
        _with_query(parameters),
        headers=headers,
        content=content,
        timeout_seconds=parameters.timeout_seconds,
        follow_redirects=parameters.follow_redirects,
    )
    public = {name.lower(): value for name, value in answer.headers if name.lower() not in SECRET_HEADERS}
    text = answer.content.decode(answer.charset, "replace")
    return {
        "status": answer.status,
        "ok": 200 <= answer.status < 300,
        "url": answer.url,
        "headers": public,
        "body": text,
        "json": parsed_json(text),
        "content_type": public.get("content-type", ""),
        "size_bytes": len(answer.content),
        "redirects": answer.redirects,
        "untrusted": True,
    }


def parsed_json(text: str) -> Any:
    """The text as JSON, or None; NaN and Infinity are not JSON."""
    try:
        return json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return None


def _no_number(name: str) -> None:
    raise ValueError(name)


def _message(call: Call, parameters: HttpRequest) -> tuple[dict[str, str], bytes | None]:
    """The request's headers and body. The idempotency key lets the receiver see a repeated attempt as one."""
    headers = dict(parameters.headers)
    names = {name.lower() for name in headers}
    changes = parameters.method not in {"GET", "HEAD", "OPTIONS"}
    if changes and call.idempotency_key and "idempotency-key" not in names:
        headers["Idempotency-Key"] = call.idempotency_key
    if parameters.body is None:
        return headers, None
    if isinstance(parameters.body, str):
        return headers, parameters.body.encode()
    if "content-type" not in names:
        headers["Content-Type"] = "application/json"
    return headers, json.dumps(parameters.body, ensure_ascii=False, allow_nan=False).encode()


def _with_query(parameters: HttpRequest) -> str:
    if not parameters.query:
        return parameters.url
    from urllib.parse import urlencode

    separator = "&" if "?" in parameters.url else "?"
    return f"{parameters.url}{separator}{urlencode(parameters.query, doseq=True)}"
