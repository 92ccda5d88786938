"""Scripted functions whose executions are counted from outside: each writes a line before anything else.

The file is ``<folder>/<idempotency key>``, a line ``<Unix seconds> <pid of the loop>``; :mod:`tests.crash.witness`
reads them.
"""

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

from agents.functions.base import Call, Parameters
from agents.functions.registry import function

NAMES = ["effect", "effect_plain", "effect_crash"]


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
