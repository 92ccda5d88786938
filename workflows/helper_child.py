"""What runs inside a helper process: one job after another, each asked for and answered as JSON over a pipe.

Imported by multiprocessing's fork server before any helper is forked, so that a new one is ready at once.
"""

import contextlib
import json
import os
import resource
import signal
import sys
from multiprocessing.connection import Connection
from typing import Any

import django
from django.apps import apps

if not apps.ready:
    django.setup()

from structlog.contextvars import bound_contextvars

from agents.artifacts import Shelf
from agents.errors import AgentError, FunctionFailed
from agents.functions import registry
from agents.functions.base import AgentSpec, Call
from workflows import expressions
from workflows.process_group import die_with_parent


def serve(connection: Connection) -> None:
    """Say that it is ready, then answer jobs until the other end closes."""
    os.setpgid(0, 0)  # a group of its own, so that whatever a function starts is killed with it
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    registry.all_functions()
    with contextlib.suppress(EOFError, OSError):
        _send(connection, {"ready": True})
        while True:
            _answer(connection, json.loads(connection.recv_bytes()))


def _answer(connection: Connection, job: dict[str, Any]) -> None:
    _reset_peak_memory()
    before = resource.getrusage(resource.RUSAGE_SELF)
    try:
        answer = {"result": _JOBS[job["kind"]](connection, job)}
    except AgentError as error:
        answer = {"error": error.to_json()}
    except Exception as error:
        answer = {"error": FunctionFailed.wrap(error).to_json()}
    after = resource.getrusage(resource.RUSAGE_SELF)
    answer["cpu_seconds"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    answer["peak_memory_bytes"] = _peak_memory_bytes()
    _send(connection, answer)


def _call_function(connection: Connection, job: dict[str, Any]) -> Any:
    call = Call(
        agent=AgentSpec.from_json(job["agent"]),
        context=job["context"],
        idempotency_key=job["idempotency_key"],
        model=job["model"],
        output_schema=job["output_schema"],
        on_token=lambda token: _send(connection, {"token": token}),
        on_log=lambda line: _send(connection, {"log": line}),
        artifacts=Shelf.from_json(job["artifacts"], lambda made: _send(connection, {"artifact": made.to_json()})),
        profile=job["profile"],
    )
    function = registry.get(job["function"])
    profiling = _profiled(call, function.name) if call.profile else contextlib.nullcontext()
    with bound_contextvars(**job["log_ids"]), profiling:
        return registry.run(function, call, job["parameters"])


def _profiled(call: Call, function: str) -> contextlib.AbstractContextManager[None]:
    from workflows import profiling  # brings pyinstrument, which nobody else needs

    return profiling.profiled(call, function)


def _evaluate(connection: Connection, job: dict[str, Any]) -> Any:
    return expressions.compile(job["expression"]).evaluate(job["scope"])


def _render(connection: Connection, job: dict[str, Any]) -> Any:
    return expressions.render(job["value"], job["scope"])


_JOBS = {"call": _call_function, "evaluate": _evaluate, "render": _render}


def _send(connection: Connection, message: dict[str, Any]) -> None:
    connection.send_bytes(json.dumps(message).encode())


def _reset_peak_memory() -> None:
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def _peak_memory_bytes() -> int:
    with contextlib.suppress(OSError), open("/proc/self/status") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
