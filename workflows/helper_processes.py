"""Helper processes for what must be stopped for certain: plain functions, and expressions that may take long.

Each is a process group of its own and is stopped by SIGKILL to the group. They are forked from a fork server that
has Django loaded; all of them die with the process that started them.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import threading
import types
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextvars import copy_context
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from workflows.errors import HelperDied
from workflows.process_group import kill_group

Message = dict[str, Any]
Value = TypeVar("Value")
_starting = threading.Lock()


class _Helper:
    def __init__(self) -> None:
        context = get_context("forkserver")
        context.set_forkserver_preload(["workflows.helper_child"])
        from workflows.helper_child import serve

        self._connection: Connection
        self._connection, other_end = context.Pipe()
        self._process = context.Process(target=serve, args=(other_end,), daemon=True)
        with _no_main_module():
            self._process.start()
        other_end.close()
        self._wait_until_ready()

    def is_alive(self) -> bool:
        return self._process.is_alive()

    def _wait_until_ready(self) -> None:
        """The time that a process takes to come up is not that of its first job."""
        try:
            self._connection.recv_bytes()
        except (EOFError, OSError):
            raise self._died() from None

    def converse(self, job: bytes, on_message: Callable[[Message], None], before: Callable[[], None]) -> Message:
        """Send a job and wait for its answer; blocks. Raises `HelperDied`, and what ``before`` raises."""
        before()
        try:
            self._connection.send_bytes(job)
            while True:
                message: Message = json.loads(self._connection.recv_bytes())
                if "result" in message or "error" in message:
                    return message
                on_message(message)
        except (EOFError, OSError):
            raise self._died() from None

    def _died(self) -> HelperDied:
        self._process.join(5)
        code = self._process.exitcode
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            hint = " (often: out of memory)" if name == "SIGKILL" else ""
            return HelperDied(f"the function's process was ended by {name}{hint}", signal=-code)
        return HelperDied(f"the function's process ended by itself with code {code}")

    def kill(self) -> None:
        if self._process.pid is not None:
            kill_group(self._process.pid)
        # What the function started and led out of the group may hold the pipe open: wake whoever reads from it.
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self._connection.fileno())) as pipe:
            pipe.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Kill it, and wait until it is gone."""
        self.kill()
        self._process.join(5)
        self._connection.close()


@contextlib.contextmanager
def _no_main_module() -> Iterator[None]:
    """Keep multiprocessing from running the main script again in a helper: it needs nothing of it, and a script
    without ``if __name__ == "__main__"`` would start its run once more."""
    with _starting:
        main, sys.modules["__main__"] = sys.modules["__main__"], types.ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


class HelperPool:
    """At most ``limit`` helpers at once, started at need and kept for the next job. Belongs to one event loop."""

    def __init__(self, limit: int) -> None:
        self._slots = asyncio.Semaphore(limit)
        self._idle: list[_Helper] = []
        self._closing: set[Future[None]] = set()

    async def ask(
        self,
        job: Message,
        *,
        timeout: float,
        on_message: Callable[[Message], None] = lambda _: None,
        before: Callable[[], None] = lambda: None,
    ) -> Message:
        """The answer to a job: ``result`` or ``error``, ``cpu_seconds``, ``peak_memory_bytes``.

        ``timeout`` (seconds) starts when a helper is free, and ``before`` is called then, in a thread. Raises
        `TimeoutError`, `HelperDied`, and what ``before`` raises; then, and when cancelled, the helper and all that it
        started are killed.
        """
        loop = asyncio.get_running_loop()
        encoded = json.dumps(job).encode()
        context = copy_context()  # threads have none of their own
        async with self._slots:
            helper = self._take_idle() or await _started()
            try:
                async with asyncio.timeout(timeout):
                    answer: Message = await asyncio.wrap_future(
                        _in_thread(
                            helper.converse,
                            encoded,
                            lambda message: loop.call_soon_threadsafe(on_message, message, context=context),
                            before,
                        )
                    )
            except BaseException:
                helper.kill()  # ends the thread's wait too; closing waits for the end of the process
                self._close(helper)
                raise
            self._idle.append(helper)
            return answer

    async def close(self) -> None:
        """Kill all helpers and wait until they are gone. One that is still starting goes as soon as it has."""
        while self._idle:
            self._close(self._idle.pop())
        await asyncio.gather(*map(asyncio.wrap_future, list(self._closing)))

    def _take_idle(self) -> _Helper | None:
        while self._idle:
            helper = self._idle.pop()
            if helper.is_alive():
                return helper
            self._close(helper)
        return None

    def _close(self, helper: _Helper) -> None:
        closing = _in_thread(helper.close)
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)


async def _started() -> _Helper:
    """A new helper. It takes seconds on a busy machine; who is cancelled does not wait for it."""
    starting = _in_thread(_Helper)
    try:
        return await asyncio.wrap_future(starting)
    except asyncio.CancelledError:
        starting.add_done_callback(_close_unused)
        raise


def _close_unused(starting: "Future[_Helper]") -> None:
    if starting.exception() is None:
        starting.result().close()


def _in_thread(function: Callable[..., Value], *arguments: Any) -> "Future[Value]":
    # A daemon, unlike an executor's: a process that stops does not wait for a helper that is still starting.
    future: Future[Value] = Future()
    future.set_running_or_notify_cancel()  # from now on nobody can cancel it

    def work() -> None:
        try:
            future.set_result(function(*arguments))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=work, name="helper", daemon=True).start()
    return future
