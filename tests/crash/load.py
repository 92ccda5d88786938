"""The workflows of a campaign, one for each kind of step and block, and a thread that starts runs of them."""

import json
import random
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from django.db import DatabaseError, connection

from agents.models import Agent
from tests.crash import effects
from tests.crash.hosts import Host
from tests.crash.site import Site
from tests.factories import make_workflow, step
from tests.nests import CHILD, EVENT, LEAVES_ALONE, LEAVES_OUTSIDE, drawn
from workflows import runs
from workflows.models import Run, Workflow

Value = TypeVar("Value")

AGENT_LIMIT = 3
WORKFLOW_LIMIT = 4
THROUGH_HTTP = 0.1  # share of the runs that a web process carries out
NESTS = 4  # random nests of blocks, drawn by the campaign's seed
EVERY_LEAF = (*LEAVES_ALONE, *LEAVES_OUTSIDE)
QUICK = 0.1  # seconds of a step in a block
FAR = 5.3  # seconds: far enough away to be parked
AT_ONCE: dict[str, Any] = {"retry": {"initial_delay_seconds": 0.1}}
LATER: dict[str, Any] = {
    "retry": {"initial_delay_seconds": 5.5, "multiplier": 1, "jitter": "none"}
}  # far enough away to be parked


def kinds(site: Site, seconds: float, seed: int) -> dict[str, list[dict[str, Any]]]:
    """Kind → steps. Each step takes about so long; in blocks only the first does."""
    counted = partial(_counted, site, seconds)
    call = {"url": site.server.url("/effect"), "method": "POST"}
    return {
        "async": [counted("a"), counted("b"), counted("c")],
        "plain": [counted("a"), counted("b", "effect_plain"), counted("c")],
        "http": [counted("a"), step("b", "http_request", call, max_retries=20, **AT_ONCE), counted("c")],
        "flaky": [counted("a"), counted("b", failures=1), counted("c", "effect_crash", failures=1)],
        "parked": [counted("a"), counted("b", failures=1, **LATER)],
        "limits": [counted("a"), counted("b", agent_id="narrow"), counted("c")],
        **{kind: [counted("a"), *blocks] for kind, blocks in _blocks(site, seed).items()},
    }


def _counted(site: Site, seconds: float, step_id: str, function: str = "effect", **fields: Any) -> dict[str, Any]:
    parameters = {"folder": str(site.effects), "failures": fields.pop("failures", 0), "seconds": seconds}
    parameters |= fields.pop("parameters", {})
    return step(step_id, function, parameters, **{"max_retries": 20, **AT_ONCE, **fields})


def _blocks(site: Site, seed: int) -> dict[str, list[dict[str, Any]]]:
    """Kind → blocks, which follow a first step."""
    quick = partial(_counted, site, QUICK)
    so_far = 'steps.get("score.result.score", 0)'
    score = quick("score", "effect_score", parameters={"before": f"${{{so_far}}}"})
    items = {"for_each": "[1, 2, 3]", "steps": [quick("b"), quick("c", failures=1)]}
    branches = {"x": [quick("b"), quick("c")], "y": [quick("d", failures=1)], "z": [quick("e", "effect_plain")]}
    child = {"workflow": CHILD}
    ask = {"approval": {"prompt": "Go on?", "options": ["yes", "no"]}}
    paid = {"wait_for": {"event": EVENT}}
    nests = drawn(NESTS, seed, str(site.effects), seconds=QUICK / 2, leaves=EVERY_LEAF, torn=True)
    return {
        "branch": [
            {"step_id": "gate", "if": "true", "then": [quick("b")], "else": [quick("never")]},
            {"step_id": "route", "switch": "1 + 1", "cases": {"2": [quick("c")]}, "default": [quick("not")]},
        ],
        "for_each": [{"step_id": "each", **items}],
        "at_once": [{"step_id": "each", **items, "max_concurrency": 3}],
        "while": [{"step_id": "improve", "while": f"{so_far} < 3", "steps": [score, quick("b")]}],
        "parallel": [{"step_id": "both", "parallel": branches}, quick("f")],
        "generate": [quick("outline", "effect_generate", generate=True, parameters={"count": 3}), quick("b")],
        "child": [{"step_id": "call", **child}, quick("b")],
        "children": [{"step_id": "both", "parallel": {
            "x": [{"step_id": "one", **child}], "y": [quick("b"), {"step_id": "two", **child}]}}],
        "wait": [{"step_id": "w", "wait": {"seconds": 0.2}}, {"step_id": "far", "wait": {"seconds": FAR}}, quick("b")],
        "approval": [{"step_id": "ask", **ask}, quick("b")],
        "wait_for": [{"step_id": "paid", **paid}, quick("b"), {"step_id": "again", **paid}],
        **{f"nest{number}": nest for number, nest in enumerate(nests)},
    }  # fmt: skip


def publish(site: Site, seconds: float, seed: int, prefix: str = "") -> dict[str, Workflow]:
    """Kind → its workflow, of that id with the prefix. Call it with the site `here`."""
    if not Workflow.objects.filter(workflow_id=CHILD).exists():
        make_workflow(_counted(site, QUICK, "first"), _counted(site, QUICK, "second", failures=1), workflow_id=CHILD)
    limit = {"functions": effects.NAMES, "max_concurrent_jobs": AGENT_LIMIT}
    Agent.objects.get_or_create(name="narrow", defaults=limit)
    return {
        kind: make_workflow(
            *steps,
            workflow_id=f"{prefix}{kind}",
            max_execution_time_seconds=3600,
            **({"concurrency": {"limit": WORKFLOW_LIMIT}} if kind == "limits" else {}),
        )
        for kind, steps in kinds(site, seconds, seed).items()
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
