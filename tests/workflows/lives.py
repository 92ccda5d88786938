"""Engines in this process whose life ends after so many commits: killed, stopped, or with their runs paused."""

import asyncio
import contextlib
import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from unittest import mock

from django.utils import timezone

from tests.engines import and_close
from workflows import changes, requests, runs, transitions
from workflows.engine import Engine
from workflows.errors import WorkflowError
from workflows.ledger import Ledger
from workflows.models import Run, StepResult, Worker

ENDS = ("killed before a commit", "killed after a commit", "paused", "stopped")
LOOK_EVERY = 0.03
LONGEST = 120.0  # seconds of one life


@dataclass(frozen=True, slots=True)
class Life:
    """``commits`` until it ends, in the way that ``end`` says."""

    commits: int
    end: str


class Killed(BaseException):
    """The process is gone: whatever it was about to write is not written."""


class MortalLedger(Ledger):
    def _serve(self) -> None:
        with contextlib.suppress(Killed, RuntimeError):  # the loop of a life that is over may be closed by now
            super()._serve()


def live(life: Life | None = None, meanwhile: Callable[[], object] = lambda: None) -> bool:
    """Carry out all runs until they have ended, or the life has. ``meanwhile`` is done again and again.

    Returns whether all have ended. What a killed engine held can be taken over at once; what was paused is resumed.
    """
    with _counting(life) as over:
        done = asyncio.run(_live(life, over, meanwhile))
    past = timezone.now() - timedelta(seconds=60)
    Worker.objects.update(expires_at=past)
    for run_id in Run.objects.filter(status="paused").values_list("pk", flat=True):
        with contextlib.suppress(WorkflowError):  # resumed with its parent
            runs.resume(run_id, actor="ann")
    return done


def give_what_is_waited_for() -> None:
    """Answer what is asked, and send what is waited for, as people and other systems would."""
    waiting = StepResult.objects.filter(superseded=False, status="waiting", kind__in=("approval", "wait_for"))
    for step in list(waiting.filter(run__worker=None)):
        with contextlib.suppress(WorkflowError):
            if step.kind == "approval":
                runs.answer(step.run_id, step.path, "yes", actor="ann")
            elif not step.run.requests.filter(verb="event").exists():
                runs.send_event(step.run_id, step.parameters["event"], next(_numbers), actor="ann")


_numbers = itertools.count()


@contextlib.contextmanager
def _counting(life: Life | None) -> Iterator[threading.Event]:
    """The event is set at the last commit of an engine's life."""
    over, commits, original = threading.Event(), itertools.count(1), changes.write

    def write(group: Any) -> Any:
        if life is None or threading.current_thread().name != "ledger":
            return original(group)
        is_last = next(commits) == life.commits
        kills = life.end.startswith("killed")
        if kills and (is_last or over.is_set()):
            if life.end == "killed after a commit":
                original(group)
            over.set()
            raise Killed
        lost = original(group)
        if is_last:
            over.set()
        return lost

    with mock.patch("workflows.engine.Ledger", MortalLedger), mock.patch.object(changes, "write", write):
        yield over


async def _live(life: Life | None, over: threading.Event, meanwhile: Callable[[], object]) -> bool:
    engine = Engine(Worker.Kind.WEB, capacity=20)
    engine.begin_chores()
    async with asyncio.timeout(LONGEST):
        while not over.is_set():
            active = await asyncio.to_thread(and_close, _active)
            if not active:
                await _closed(engine)
                return True
            await asyncio.wait({asyncio.create_task(engine.take(active))}, timeout=LOOK_EVERY)
            await asyncio.to_thread(and_close, meanwhile)
            await asyncio.to_thread(and_close, _sweep)
            await asyncio.sleep(LOOK_EVERY)
        if life is not None and not life.end.startswith("killed"):
            await _given_up(engine, life)
    return False


async def _given_up(engine: Engine, life: Life) -> None:
    if life.end == "paused":
        for task in list(engine._active.values()):
            task.halt(lambda held: transitions.pause(held, "ann"))
        await engine.wait()
    await _closed(engine)


async def _closed(engine: Engine) -> None:
    await engine.finish(0.2)
    await engine.close()


def _sweep() -> None:
    """What the pacemaker does every ten seconds: whoever ended a child may have died before its parent was woken."""
    requests.settle()
    requests.settle_families()


def _active() -> list[Any]:
    return list(Run.objects.active().exclude(status="paused").values_list("pk", flat=True))
