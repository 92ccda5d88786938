"""Overhead of steps in a loop beside plain ones, a long loop, and branches at once."""

import json
import statistics
import sys
from typing import Any

import django

django.setup()

from django.core.management import call_command  # noqa: E402
from django.utils import timezone  # noqa: E402

from agents.models import Agent  # noqa: E402
from workflows import inprocess  # noqa: E402
from workflows.definitions import Definition  # noqa: E402
from workflows.models import Run  # noqa: E402

AGENT = "unlimited"  # the shipped ones have a `max_concurrent_jobs`
STEPS = 100
ITERATIONS = 10_000
BRANCHES = 100


def main() -> None:
    call_command("migrate", verbosity=0)
    call_command("sync_agents", verbosity=0)
    Agent.objects.update_or_create(name=AGENT, defaults={"functions": ["echo", "add", "delay"]})
    plain = _definition("plain", *(_count(f"s{number}", "s0") for number in range(STEPS)))
    loop = _definition("loop", _for_each(_count("s")))
    rounds = _definition(
        "rounds", {"step_id": "loop", "while": _below(STEPS), "max_iterations": STEPS, "steps": [_count("s")]}
    )
    items = {"items": list(range(STEPS))}
    for warm_up in (plain, loop, rounds):
        inprocess.run(warm_up, items)
    taken: dict[str, list[float]] = {"plain": [], "for_each": [], "while": []}
    for _ in range(int(sys.argv[1])):
        for name, definition in zip(taken, (plain, loop, rounds), strict=True):
            taken[name].append(_seconds(inprocess.run(definition, items)) / STEPS * 1000)
    wide = _definition("wide", _parallel(_nap("s")))
    figures = {f"{name}_step_ms": statistics.median(times) for name, times in taken.items()}
    figures["iterations_10000_s"] = _seconds(inprocess.run(loop, {"items": list(range(ITERATIONS))}))
    figures["branches_100_s"] = statistics.median(_seconds(inprocess.run(wide)) for _ in range(3))
    print(json.dumps(figures))


def _definition(workflow_id: str, *steps: dict[str, Any]) -> Definition:
    return Definition.model_validate(
        {"workflow_id": workflow_id, "max_execution_time_seconds": 3600, "steps": list(steps)}
    )


def _call(step_id: str, function: str, **parameters: Any) -> dict[str, Any]:
    return {"step_id": step_id, "agent_id": AGENT, "function_name": function, "parameters": parameters}


def _nap(step_id: str) -> dict[str, Any]:
    return _call(step_id, "delay", ms=1000)


def _count(step_id: str, other: str = "s") -> dict[str, Any]:
    return _call(step_id, "add", a=f'${{steps.get("{other}.result.result", 0)}}', b=1)


def _below(limit: int) -> str:
    return f'steps.get("s.result.result", 0) < {limit}'


def _for_each(step: dict[str, Any]) -> dict[str, Any]:
    return {"step_id": "loop", "for_each": "input.items", "max_iterations": ITERATIONS, "steps": [step]}


def _parallel(step: dict[str, Any]) -> dict[str, Any]:
    branches = {f"b{number}": [step | {"step_id": f"s{number}"}] for number in range(BRANCHES)}
    return {"step_id": "wide", "parallel": branches}


def _seconds(run: Run) -> float:
    assert run.success, run.error_message
    return run.execution_ms(timezone.now()) / 1000


main()
