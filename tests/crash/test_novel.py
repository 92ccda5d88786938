"""A novel is written while the workers that write it are killed again and again; it becomes the same novel."""

import random
import time
from typing import Any

import pytest

from tests.crash import oracle, witness
from tests.crash.answerer import Answerer
from tests.crash.checks import broken_invariants
from tests.crash.conftest import STORES, StartSite
from tests.crash.hosts import Host
from tests.crash.processes import strike
from tests.crash.site import Site
from tests.factories import make_workflow, step
from tests.workers.conftest import wait_for
from workflows import runs
from workflows.models import Event, Run, Workflow

SEED = 5
KILLS = 10
SECONDS = 0.15  # of a step
PATHS = {
    "outline",
    "outline.chapters",
    *(f"outline.chapters[{chapter}].{step_id}" for chapter in range(3) for step_id in ("write", "polish")),
    *(
        f"outline.chapters[{chapter}].polish[{time}].{step_id}"
        for chapter in range(3)
        for time in range(3)
        for step_id in ("check", "improve")
    ),
    "ask",
    "publish",
}


@pytest.mark.parametrize("store", STORES)
def test_a_novel_is_the_same_whoever_dies_while_it_is_written(start_site: StartSite, store: str) -> None:
    site = start_site(store, KOLOSAL_LEASE_SECONDS="6", KOLOSAL_MAX_RECOVERIES="50")
    host = Host(site, "ada").start_worker()
    novel = publish(site)
    with Answerer(SEED):
        calm, stormy = start(novel), None
        wait_for(lambda: has_ended(calm), 60)
        stormy = start(novel)
        kills = kill_again_and_again(host, stormy)
        wait_for(lambda: has_ended(stormy), 60)
    lost = Event.objects.filter(type="run_taken_over").count()
    print(f"\n{kills} workers killed, {lost} runs taken over; seed {SEED}")
    assert lost
    assert novel_of(stormy) == novel_of(calm)
    assert {row.path for row in stormy.steps.all()} == PATHS
    assert Run.objects.filter(parent=stormy).count() == 1
    assert not oracle.all_complaints(Run.objects.all())
    assert not witness.hear(site.effects, set()).broken
    assert not broken_invariants()


def publish(site: Site) -> Workflow:
    """An outline makes chapters; each is written, and improved until it is good; somebody agrees; it is published."""

    def counted(step_id: str, function: str = "effect", **parameters: Any) -> dict[str, Any]:
        return step(step_id, function, {"folder": str(site.effects), "seconds": SECONDS, **parameters})

    make_workflow(counted("typeset"), counted("print"), workflow_id="publish")
    so_far = 'steps.get("check.result.score", 0)'
    polish = [counted("check", "effect_score", before=f"$${{{so_far}}}"), counted("improve")]
    polished = {"step_id": "polish", "while": f"{so_far} < 3", "max_iterations": 5, "steps": polish}
    chapters = {
        "step_id": "chapters",
        "for_each": '["Call me Ishmael", "The Chase", "Epilogue"]',
        "as": "chapter",
        "max_concurrency": 2,
        "steps": [counted("write"), polished],
    }
    return make_workflow(
        step("outline", "effect_give", {"folder": str(site.effects), "value": {"steps": [chapters]}}, generate=True),
        {"step_id": "ask", "approval": {"prompt": "Is it good?", "options": ["yes"]}},
        {"step_id": "publish", "workflow": "publish"},
        workflow_id="novel",
    )


def start(workflow: Workflow) -> Run:
    return runs.start(workflow, {}, trigger="api", actor="tester")


def kill_again_and_again(host: Host, run: Run) -> int:
    """At moments that the seed gives. Returns how many loops were killed."""
    chance, kills = random.Random(SEED), 0
    while kills < KILLS and not has_ended(run):
        time.sleep(chance.uniform(0.1, 0.8))
        kills += sum(strike(pid) for pid in host.loops())
    return kills


def has_ended(run: Run) -> bool:
    run.refresh_from_db()
    return run.has_ended


def novel_of(run: Run) -> dict[str, Any]:
    """Path → status, result and whose it is, without how often it was tried."""
    return {row.path: (row.status, without_tries(row.result)) for row in run.steps.filter(superseded=False)} | {
        "": (run.status, run.successful_steps, run.failed_steps)
    }


def without_tries(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_tries(below) for key, below in value.items() if key != "executions"}
    return [without_tries(below) for below in value] if isinstance(value, list) else value
