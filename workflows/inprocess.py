"""Running a definition in this process, to its end: the builder's ``run()`` and ``manage.py run_workflow``."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import Any

from django.core.management import call_command
from django.db import connection, connections
from django.utils import timezone

from workflows import publishing, runs
from workflows.changes import Change
from workflows.definitions import Definition
from workflows.engine import Engine
from workflows.models import Run, Worker


def run(
    definition: Definition,
    input: Mapping[str, Any] | None = None,
    *,
    callables: Mapping[str, Callable[..., Any]] | None = None,
    on_written: Callable[[Change], None] = lambda _: None,
    actor: str = "python",
    profile: bool = False,
) -> Run:
    """Run a definition and wait for its end; returns the run as it was stored. Raises `InputInvalid`.

    The definition is stored out of sight, as an archived workflow: a published one of the same id is not touched.
    ``profile``: see `runs.start`. ``on_written`` is called, in another thread, with each change as it has been written.
    """
    set_up_if_new()
    workflow = publishing.unlisted(definition, actor=actor, note="in process")
    started = runs.start(workflow, dict(input or {}), trigger="python", actor=actor, reserved=True, profile=profile)
    failure: list[BaseException] = []

    def carry_out() -> None:  # in a thread, so that it works where an event loop runs already, as in a notebook
        try:
            asyncio.run(_carry_out(started, callables or {}, on_written))
        except BaseException as error:
            failure.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=carry_out, name="run in process")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return runs.get(started.pk)


def set_up_if_new() -> None:
    """Prepare a store that was never used: tables and agents."""
    if "workflows_run" not in connection.introspection.table_names():
        call_command("migrate", verbosity=0)
        call_command("sync_agents", verbosity=0)


async def _carry_out(
    run: Run, callables: Mapping[str, Callable[..., Any]], on_written: Callable[[Change], None]
) -> None:
    engine = Engine(Worker.Kind.LOCAL, capacity=1, callables=callables, on_written=on_written)
    try:
        while True:
            await engine.take([run.pk])
            await engine.wait()
            row = await asyncio.to_thread(_fresh, run)
            if row.has_ended:
                return
            due = (row.due_at - timezone.now()).total_seconds() if row.due_at else 0.2
            await asyncio.sleep(min(max(due, 0.05), 1))
    finally:
        await engine.close()


def _fresh(run: Run) -> Run:
    try:
        return Run.objects.get(pk=run.pk)
    finally:
        connections.close_all()
