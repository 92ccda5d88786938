"""Scripted functions whose executions are counted from outside: each writes a line before anything else.

The file is ``<folder>/<idempotency key>``, a line ``<Unix seconds> <pid of the loop>``; :mod:`tests.crash.witness`
reads them.
"""

import asyncio
import os
import secrets
import signal
import time
from pathlib import Path
from typing import Any

from agents.functions.base import Call, Parameters
from agents.functions.registry import function

NAMES = ["effect", "effect_plain", "effect_crash", "effect_generate", "effect_score", "effect_give"]


class Effect(Parameters):
    """``failures``: so many executions fail, counted over all attempts; ``seconds``: it then takes so long."""

    folder: str
    failures: int = 0
    seconds: float = 0.0


def count(folder: str, key: str, loop: int) -> int:
    """Write the line of one execution, by the loop of that process id. Returns how many there are now."""
    path = Path(folder) / key
    with path.open("a") as file:
        file.write(f"{time.time():.6f} {loop}\n")
    return len(path.read_text().splitlines())


def loop_of_helper() -> int:
    """The process whose helper this is: the parent of the fork server."""
    return int(Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(")")[2].split()[1])


@function("effect")
async def effect(call: Call, parameters: Effect) -> dict[str, Any]:
    """Runs in the loop."""
    executions = count(parameters.folder, call.idempotency_key, os.getpid())
    await asyncio.sleep(parameters.seconds)
    return _result(executions, parameters.failures)


class Generate(Effect):
    """``count`` steps are made, each of which takes ``seconds_each``."""

    count: int = 2
    seconds_each: float = 0.0


@function("effect_generate")
async def effect_generate(call: Call, parameters: Generate) -> dict[str, Any]:
    """Makes other steps at each call, the last of them inside a block."""
    count(parameters.folder, call.idempotency_key, os.getpid())
    await asyncio.sleep(parameters.seconds)
    made = [_made(call, parameters, number) for number in range(parameters.count)]
    inside = {"step_id": f"if_{made[-1]['step_id']}", "if": "true", "then": made[-1:]}
    return {"steps": [*made[:-1], inside]}


def _made(call: Call, parameters: Generate, number: int) -> dict[str, Any]:
    effect = {"folder": parameters.folder, "seconds": parameters.seconds_each}
    return {
        "step_id": f"made{number}_{secrets.token_hex(8)}",
        "agent_id": call.agent.name,
        "function_name": "effect",
        "parameters": effect,
        "max_retries": 20,
        "retry": {"initial_delay_seconds": 0.1},
    }


class Give(Effect):
    """``value`` is the result."""

    value: dict[str, Any]


@function("effect_give")
async def effect_give(call: Call, parameters: Give) -> dict[str, Any]:
    """Whatever it is given."""
    count(parameters.folder, call.idempotency_key, os.getpid())
    await asyncio.sleep(parameters.seconds)
    return parameters.value


class Score(Effect):
    """``before`` is the score so far."""

    before: int = 0


@function("effect_score")
async def effect_score(call: Call, parameters: Score) -> dict[str, Any]:
    """One better than before."""
    count(parameters.folder, call.idempotency_key, os.getpid())
    await asyncio.sleep(parameters.seconds)
    return {"score": parameters.before + 1}


@function("effect_plain")
def effect_plain(call: Call, parameters: Effect) -> dict[str, Any]:
    """Runs in a helper process."""
    executions = count(parameters.folder, call.idempotency_key, loop_of_helper())
    time.sleep(parameters.seconds)
    return _result(executions, parameters.failures)


@function("effect_crash")
def effect_crash(call: Call, parameters: Effect) -> dict[str, Any]:
    """Ends its helper process as a crash in C code would, as often as it is told to fail."""
    executions = count(parameters.folder, call.idempotency_key, loop_of_helper())
    if executions <= parameters.failures:
        os.kill(os.getpid(), signal.SIGSEGV)
    return {"executions": executions}


def _result(executions: int, failures: int) -> dict[str, Any]:
    if executions <= failures:
        raise RuntimeError(f"failure {executions} of {failures}")
    return {"executions": executions}
