"""The shapes of answers, and the addresses of the API."""

import json
from typing import Any

BASE = "/api/v1/sequential-workflows"
ERROR_KEYS = {"success", "error", "error_code", "code", "errors", "timestamp"}


def data_of(response: Any, status: int = 200) -> Any:
    """The ``data`` of an answer that succeeded."""
    body = json.loads(response.content)
    assert response.status_code == status, body
    assert body["success"] is True
    assert isinstance(body["timestamp"], int)
    return body["data"]


def refused(response: Any, status: int, code: str | None = None) -> dict[str, Any]:
    """The body of an answer that is an error, having checked the one error shape."""
    assert response.status_code == status, response.content[:500]
    assert response.headers["Content-Type"].startswith("application/json")
    body: dict[str, Any] = json.loads(response.content)
    assert set(body) == ERROR_KEYS
    assert body["success"] is False
    assert body["error_code"] == status
    assert body["error"]
    assert all({"path", "message", "code"} <= set(problem) for problem in body["errors"])
    assert "Traceback" not in response.content.decode()
    if code:
        assert body["code"] == code
    return body


def sample(**fields: Any) -> dict[str, Any]:
    """A definition of two steps that succeed."""
    return {
        "workflow_id": "sample",
        "workflow_name": "Sample",
        "steps": [
            {
                "step_id": "a",
                "agent_id": "tester",
                "function_name": "echo",
                "parameters": {"message": "hello"},
            },
            {
                "step_id": "b",
                "agent_id": "tester",
                "function_name": "echo",
                "parameters": {"message": "${steps.a.result.echo} ${context.who}"},
            },
        ],
        "global_context": {"who": "world"},
        **fields,
    }
