"""Rows that the admin's tests look at, made through the verbs that make them in the product."""

import json
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from agents.sync import sync
from workflows import publishing, runs, transitions
from workflows.definitions import check, read_object
from workflows.held import HeldRun, write
from workflows.models import Run, Worker, Workflow
from workflows.outcomes import ErrorRecord, Failed, Footprint, RetryAt, Succeeded
from workflows.statements import Encoded

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'${1}"


def sync_agents() -> None:
    sync(settings.AGENTS_FILE)


def signed_in(*permissions: str, superuser: bool = False) -> Client:
    """A client of a staff member with these permissions (`workflows.view_run`, …)."""
    user = User.objects.create(username="person", is_staff=True, is_superuser=superuser)
    for permission in permissions:
        app, code = permission.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=code))
    client = Client(headers={"host": "localhost"})
    client.force_login(user)
    return client


def step(step_id: str = "write", **fields: Any) -> dict[str, Any]:
    return {"step_id": step_id, "agent_id": "content_creator", "function_name": "echo"} | fields


def workflow(*steps: dict[str, Any], **fields: Any) -> Workflow:
    """A stored workflow, by default of one echo step."""
    written = {"workflow_id": "article", **fields, "steps": list(steps) or [step()]}
    definition = check(read_object(written)).definition_or_raise()
    return publishing.create(definition, actor="tests")


def run_of(workflow: Workflow, input: dict[str, Any] | None = None) -> Run:
    return runs.start(workflow, input or {}, trigger="api", actor="tests", wake=False)


def held(run: Run) -> HeldRun:
    """The run as a worker that has claimed it holds it."""
    now = timezone.now()
    expires_at = now + timedelta(minutes=1)
    worker = Worker.objects.create(kind="worker", host="host", pid=1, started_at=now, expires_at=expires_at)
    hold = HeldRun.of(run, "tests")
    transitions.claim(hold, worker.pk, now, 600)
    return hold


def begin(hold: HeldRun, path: str, parameters: dict[str, Any] | None = None, name: str = "") -> None:
    columns = {
        "step_id": path,
        "name": name or path,
        "agent": "content_creator",
        "function": "echo",
        "parameters": Encoded(json.dumps(parameters or {})),
    }
    transitions.start_step(hold, path, columns)


def succeed(hold: HeldRun, path: str, result: dict[str, Any], *logs: dict[str, Any]) -> None:
    encoded = json.dumps(result)
    footprint = Footprint(logs=list(logs))
    transitions.complete_step(hold, path, Succeeded(result, encoded, {}, footprint))


def fail(hold: HeldRun, path: str, message: str, retry_in: float | None = None) -> None:
    error = ErrorRecord("FunctionFailed", message, f"Traceback\nValueError: {message}")
    if retry_in is None:
        transitions.fail_step(hold, path, Failed(error))
    else:
        transitions.retry_step(hold, path, RetryAt(retry_in, error))


def end(hold: HeldRun, error: str = "") -> Run:
    if error:
        transitions.fail(hold, ErrorRecord("FunctionFailed", error))
    else:
        transitions.complete(hold, None)
    write(hold)
    return Run.objects.get(pk=hold.id)
