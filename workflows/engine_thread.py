"""The engine of a web process: one loop in its own thread, started at first use. It claims only what it is offered."""

import asyncio
import logging
import threading
import uuid
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

from django.conf import settings

from agents import catalog
from agents.functions.base import AgentSpec, Call
from workflows.changes import Change
from workflows.engine import Engine
from workflows.errors import Stopping
from workflows.models import Run, Worker

logger = logging.getLogger(__name__)
Value = TypeVar("Value")

_listeners: list[Callable[[Change], None]] = []
_lock = threading.Lock()
_started: "_EngineThread | None" = None


def offer(run_id: uuid.UUID) -> None:
    """Have this process claim and carry out a run; returns at once."""
    running = _running()
    running.submit(running.engine.take([run_id]))


def adopt_orphans() -> None:
    """Carry on with runs of web processes that were lost, if there are any and nobody else would."""
    if Run.objects.active().filter(worker__kind=Worker.Kind.WEB).exists():
        _running()


def call_function(agent: AgentSpec, function: str, parameters: dict[str, Any], timeout: float) -> dict[str, Any]:
    """One call of an agent's function outside any workflow; blocks. ``timeout`` in seconds.

    Raises what `Engine.call` raises, and `Stopping`.
    """
    running, offered = _running(), catalog.function(agent, function)
    call = Call(agent=agent, idempotency_key=f"call:{uuid.uuid4()}")
    try:
        return running.submit(running.engine.call(agent, offered, call, parameters, timeout)).result()
    except CancelledError:
        raise Stopping("the server stops, and the call was cut short; nothing is known of its effect") from None


def on_written(listener: Callable[[Change], None]) -> None:
    """Have ``listener`` called, in the engine's database thread, with each change that was written."""
    _listeners.append(listener)


def begin_stop(grace: float) -> None:
    """Claim nothing more, let attempts end for ``grace`` seconds, then give back the rest; returns at once."""
    with _lock:
        if _started is not None and _started.finishing is None:
            _started.finishing = _started.submit(_started.engine.finish(grace))


def stop() -> None:
    """Wait for what `begin_stop` began, then end the thread; nothing where it never started."""
    global _started
    begin_stop(0)
    with _lock:
        running, _started = _started, None
    if running is not None and running.finishing is not None:
        running.finishing.result()
        running.submit(running.engine.close()).result()
        running.loop.call_soon_threadsafe(running.loop.stop)
        running.thread.join()


class _EngineThread:
    def __init__(self) -> None:
        self.finishing: Future[None] | None = None
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._serve, name="engine", daemon=True)
        self.thread.start()
        self.engine: Engine = self.submit(self._make()).result()

    def submit(self, coroutine: Coroutine[Any, Any, Value]) -> "Future[Value]":
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        future.add_done_callback(_log_failure)
        return future

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
        self.loop.close()

    async def _make(self) -> Engine:
        engine = Engine(Worker.Kind.WEB, capacity=settings.RUNS_PER_WORKER, on_written=_tell)
        engine.begin_chores()
        return engine


def _tell(change: Change) -> None:
    for listener in _listeners:
        listener(change)


def _running() -> _EngineThread:
    global _started
    with _lock:
        if _started is None:
            _started = _EngineThread()
        return _started


def _log_failure(future: "Future[Any]") -> None:
    if not future.cancelled() and (error := future.exception()) is not None:
        logger.warning("The web process's engine could not do what it was asked for: %s", error)
