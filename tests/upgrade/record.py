"""Record the runs of a release in every state, for the test of upgrades. At the release's tag, with that tag's code:

    export KOLOSAL_DATA_DIR=$(mktemp -d) KOLOSAL_FUNCTIONS=tests.scripted DJANGO_SETTINGS_MODULE=kolosal.settings
    .venv/bin/python -m tests.upgrade.record tests/upgrade/release_0_1.json

Real engines make the rows; two runs are left as a killed process leaves them. `@WITNESS@` stands for the folder that
the steps write to, `@SOURCE@` for that of the program.
"""

import asyncio
import json
import multiprocessing
import socket
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import django

django.setup()

from django.apps import apps  # noqa: E402
from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connections  # noqa: E402
from django.db.migrations.recorder import MigrationRecorder  # noqa: E402

from kolosal import __version__  # noqa: E402
from tests.factories import make_agent, make_workflow, step  # noqa: E402
from tests.upgrade.recording import Rows, columns, models, rows  # noqa: E402
from workflows import runs  # noqa: E402
from workflows.engine import Engine  # noqa: E402
from workflows.models import Run, StepResult, Worker  # noqa: E402

A_DAY = 86_400
NAP_SECONDS = 3.0
PARKED = {"initial_delay_seconds": 6, "jitter": "none"}  # long enough that the run lets go of its worker
SECOND_STEPS = {
    "nap": step("second", "nap", {"seconds": NAP_SECONDS}),
    "flaky": step("second", "flaky", {"file": "${input.folder}/tries", "failures": 1}, retry=PARKED),
    "broken": step("second", "raise_text", {"text": "broken for good"}, max_retries=0),
}


def main(target: Path) -> None:
    socket.gethostname = lambda: "recorder"  # the name stands in hashed events
    with tempfile.TemporaryDirectory() as folder:
        record(folder)
        target.write_text(written(Path(folder)), encoding="utf-8")
    for run in Run.objects.order_by("pk"):
        print(run.input["name"], run.status, [row.status for row in run.steps.all()])


def record(folder: str) -> None:
    """Make the runs: their states are told by the names in their input."""
    call_command("migrate", verbosity=0)
    make_agent()
    workflows = {name: make_workflow(*three(second), **fields(name)) for name, second in SECOND_STEPS.items()}

    def start(name: str, workflow: str = "nap") -> Run:
        folder_and_name = {"folder": folder, "name": name}
        return runs.start(workflows[workflow], folder_and_name, trigger="api", actor="tester", wake=False)

    start("queued")
    leave_behind(start("held"), start("asked to cancel"))
    asyncio.run(carry_out(start("parked", "flaky"), lambda run: run.status == "waiting"))
    asyncio.run(carry_out(start("released"), in_second_step))
    asyncio.run(carry_out(start("completed"), lambda run: run.has_ended))
    asyncio.run(carry_out(start("failed", "broken"), lambda run: run.has_ended))
    asyncio.run(carry_out(start("cancelled"), in_second_step, cancelled))


def three(second: dict[str, Any]) -> list[dict[str, Any]]:
    note = {"file": "${input.folder}/notes", "text": "${input.name}"}
    return [step("first", "note", note), second, step("third", "note", note)]


def fields(name: str) -> dict[str, Any]:
    return {"workflow_id": name, "max_execution_time_seconds": A_DAY}


def leave_behind(held: Run, asked: Run) -> None:
    """Let a process hold two runs and kill it; of one, the end is asked for after that."""
    connections.close_all()
    lost = multiprocessing.get_context("fork").Process(target=hold, args=([held.pk, asked.pk],))
    lost.start()
    while not (in_second_step(held) and in_second_step(asked)):
        time.sleep(0.02)
    lost.kill()
    lost.join()
    runs.cancel(asked.pk, actor="ann")


def hold(run_ids: list[Any]) -> None:
    async def work() -> None:
        engine = Engine(Worker.Kind.WORKER, capacity=5)
        await engine.take(run_ids)
        await engine.wait()

    asyncio.run(work())


async def carry_out(
    run: Run, reached: Callable[[Run], bool], then: Callable[[Run], Awaitable[None]] | None = None
) -> None:
    """Work on a run until it has got so far, then stop in good order."""
    engine = Engine(Worker.Kind.WORKER, capacity=5)
    await engine.take([run.pk])
    await until(run, reached)
    if then is not None:
        await then(run)
    await engine.finish(0)
    await engine.close()


async def cancelled(run: Run) -> None:
    await asyncio.to_thread(runs.cancel, run.pk, actor="ann")
    await until(run, lambda run: run.has_ended)


async def until(run: Run, reached: Callable[[Run], bool]) -> None:
    while not await asyncio.to_thread(lambda: reached(Run.objects.get(pk=run.pk))):
        await asyncio.sleep(0.02)


def in_second_step(run: Run) -> bool:
    return StepResult.objects.filter(run=run, path="second", status="running").exists()


def written(witness: Path) -> str:
    """The store's rows, one a line, and what the steps have left in the world outside."""
    applied = MigrationRecorder.Migration.objects.filter(app__in=["agents", "workflows"]).order_by("id")
    parts = {
        "release": json.dumps(__version__),
        "migrations": json.dumps(dict(applied.values_list("app", "name"))),  # the newest of each
        "files": json.dumps({file.name: file.read_text() for file in sorted(witness.iterdir())}),
        **{name: lines(rows(model, columns(model))) for name, model in models(apps).items()},
    }
    text = "{\n" + ",\n".join(f'"{name}": {value}' for name, value in parts.items()) + "\n}\n"
    return text.replace(str(witness), "@WITNESS@").replace(str(settings.BASE_DIR), "@SOURCE@")


def lines(found: Rows) -> str:
    return "[\n" + ",\n".join("  " + json.dumps(row) for row in found) + "\n]" if found else "[]"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
