"""A site that has been in use: runs of every kind, versions, people, tokens, a batch."""

from dataclasses import dataclass
from typing import Any

from tests.browser.site import Site


@dataclass(frozen=True)
class Lived:
    """Ids of runs."""

    completed: str
    failed: str
    waiting: str
    cancelled: str


def echo(step_id: str, **fields: Any) -> dict[str, Any]:
    given = {"step_id": step_id, "agent_id": "content_creator", "function_name": "echo"}
    return {**given, "parameters": {"message": step_id}, **fields}


def delay(step_id: str, seconds: float = 60, **fields: Any) -> dict[str, Any]:
    """A step that is under way for so long."""
    given = {"step_id": step_id, "agent_id": "content_creator", "function_name": "delay"}
    return {**given, "parameters": {"ms": seconds * 1000}, **fields}


def unreachable(step_id: str, **fields: Any) -> dict[str, Any]:
    """A step that fails: nobody listens at that address."""
    given = {"step_id": step_id, "agent_id": "research_assistant", "function_name": "http_request"}
    return {**given, "parameters": {"url": "http://127.0.0.1:9/"}, **fields}


def live(site: Site) -> Lived:
    site.store(echo("a"), {"step_id": "ask", "approval": {"prompt": "Publish it?"}}, workflow_id="asking")
    site.store(unreachable("fetch", max_retries=0), workflow_id="failing")
    site.store(echo("a", cache={"ttl_seconds": 3600}), echo("b"), workflow_id="cached")
    site.api("PUT", "sequential-workflows/cached", {"steps": [echo("a", cache={"ttl_seconds": 3600}), echo("c")]})
    site.store(delay("hold", 3600), workflow_id="held")
    site.until(site.start("held"), "running")
    waiting, cancelled = site.start("asking"), site.start("asking")
    site.until(waiting, "waiting")
    site.until(cancelled, "waiting")
    site.api("POST", f"runs/{cancelled}/cancel")
    site.run("cached")
    _start_with_a_key(site)
    _make_a_batch(site)
    _make_people(site)
    return Lived(site.run("content_creation", {"topic": "Lighthouses"}), site.run("failing"), waiting, cancelled)


def _start_with_a_key(site: Site) -> None:
    header = {"Idempotency-Key": "order-4711"}
    site.api("POST", "sequential-workflows/cached/execute-async", {}, headers=header)


def _make_a_batch(site: Site) -> None:
    step = echo("greet", parameters={"message": "${params.who}"})
    parameters = {"type": "object", "properties": {"who": {"type": "string", "minLength": 1}}, "required": ["who"]}
    definition = {"workflow_id": "greet_${params.who}", "steps": [step]}
    site.api("POST", "workflow-templates", {"name": "greeting", "parameters": parameters, "definition": definition})
    rows = [{"parameters": {"who": who}} for who in ("Ann", "Bob", "")]
    site.api("POST", "workflow-templates/greeting/instantiate", {"rows": rows})


def _make_people(site: Site) -> None:
    site.manage("create_token", "admin", "--days", "1")
    site.manage("shell", "-c", "from django.contrib.auth.models import Group; Group.objects.create(name='A shift')")
