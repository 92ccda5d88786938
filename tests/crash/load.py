"""The workflows of a campaign, one for each kind of step, and a thread that starts runs of them while it goes."""

import json
import random
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from django.db import DatabaseError, connection

from agents.models import Agent
from tests.crash import effects
from tests.crash.hosts import Host
from tests.crash.site import Site
from tests.factories import make_workflow, step
from workflows import runs
from workflows.models import Run, Workflow

Value = TypeVar("Value")

AGENT_LIMIT = 3
WORKFLOW_LIMIT = 4
THROUGH_HTTP = 0.1  # share of the runs that a web process carries out
AT_ONCE: dict[str, Any] = {"retry": {"initial_delay_seconds": 0.1}}
LATER: dict[str, Any] = {
    "retry": {"initial_delay_seconds": 5.5, "multiplier": 1, "jitter": "none"}
}  # far enough away to be parked


def kinds(site: Site, seconds: float) -> dict[str, list[dict[str, Any]]]:
    """Kind → steps; each step takes about so long."""

    def counted(step_id: str, function: str = "effect", failures: int = 0, **fields: Any) -> dict[str, Any]:
        parameters = {"folder": str(site.effects), "failures": failures, "seconds": seconds}
        return step(step_id, function, parameters, **{"max_retries": 20, **AT_ONCE, **fields})

    call = {"url": site.server.url("/effect"), "method": "POST"}
    return {
        "async": [counted("a"), counted("b"), counted("c")],
        "plain": [counted("a"), counted("b", "effect_plain"), counted("c")],
        "http": [counted("a"), step("b", "http_request", call, max_retries=20, **AT_ONCE), counted("c")],
        "flaky": [counted("a"), counted("b", failures=1), counted("c", "effect_crash", failures=1)],
        "parked": [counted("a"), counted("b", failures=1, **LATER)],
        "limits": [counted("a"), counted("b", agent_id="narrow"), counted("c")],
    }


def publish(site: Site, seconds: float, prefix: str = "") -> dict[str, Workflow]:
    """Kind → its workflow, of that id with the prefix. Call it with the site `here`."""
    limit = {"functions": effects.NAMES, "max_concurrent_jobs": AGENT_LIMIT}
    Agent.objects.get_or_create(name="narrow", defaults=limit)
    return {
        kind: make_workflow(
            *steps,
            workflow_id=f"{prefix}{kind}",
            max_execution_time_seconds=3600,
            **({"concurrency": {"limit": WORKFLOW_LIMIT}} if kind == "limits" else {}),
        )
        for kind, steps in kinds(site, seconds).items()
    }


def persistently(ask: Callable[[], Value], seconds: float = 60.0) -> Value:
    """What ``ask`` returns, asked again as long as the database is away."""
    until = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except DatabaseError:
            connection.close()
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


def start(workflow: Workflow, priority: int = 0) -> Run:
    return persistently(lambda: runs.start(workflow, {}, trigger="api", actor="campaign", priority=priority))


class Load:
    """Starts ``count`` runs, spread over ``seconds``; most here, some by `execute` of ``web``."""

    def __init__(
        self, workflows: Mapping[str, Workflow], web: Host, count: int, seconds: float, chance: random.Random
    ) -> None:
        self.started = 0
        self._workflows = workflows
        self._web = web
        self._count = count
        self._pause = seconds / max(count, 1)
        self._chance = chance
        self._clients = ThreadPoolExecutor(8, thread_name_prefix="client")
        self._thread = threading.Thread(target=self._start_all, name="load")

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join()
        self._clients.shutdown()

    def _start_all(self) -> None:
        begin = time.monotonic()
        for number in range(self._count):
            kind = self._chance.choice(list(self._workflows))
            if self._chance.random() < THROUGH_HTTP:
                self._clients.submit(self._execute, kind)
            else:
                start(self._workflows[kind], self._chance.choice([0, 0, 5]))
            self.started += 1
            time.sleep(max(0.0, begin + (number + 1) * self._pause - time.monotonic()))
        connection.close()

    def _execute(self, kind: str) -> None:
        """A client that takes what comes: the server may be killed under it, or the database be away."""
        url = self._web.url(f"/api/v1/sequential-workflows/{kind}/execute")
        request = urllib.request.Request(url, json.dumps({}).encode(), {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=90) as answer:
                answer.read()
        except OSError:
            pass
