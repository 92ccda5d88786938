"""A TCP proxy between one host and one server, which can be cut, refused and healed.

Its own thread has its own event loop; the methods may be called from anywhere and return when it is done.
"""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import Any

CHUNK = 65536


class Proxy:
    """Listens on ``port`` of the loopback address and forwards to ``target``, a port of it too."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy to {target}", daemon=True)
        self._thread.start()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.port = 0
        self._call(self._open())

    def cut(self) -> None:
        """Swallow everything: open connections stay open and silent, new ones are taken and get no answer."""
        self._call(self._cut())

    def refuse(self) -> None:
        """Close everything, and take no connection."""
        self._call(self._refuse())

    def heal(self) -> None:
        """Forward again. What was open meanwhile is closed, so that both ends see that it was cut."""
        self._call(self._heal())

    def close(self) -> None:
        self._call(self._refuse())
        self._call(asyncio.sleep(0))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def _call(self, action: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(action, self._loop).result(10)

    # --- In the thread ---

    async def _open(self) -> None:
        self._healthy = asyncio.Event()
        self._healthy.set()
        self._server: asyncio.Server | None = None
        await self._listen()

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _cut(self) -> None:
        self._healthy.clear()

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._drop()

    async def _heal(self) -> None:
        if not self._healthy.is_set():
            await self._drop()
            self._healthy.set()
        await self._listen()

    async def _drop(self) -> None:
        tasks, self._tasks = list(self._tasks), set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()  # a reset: nothing that waited in the proxy arrives late
        self._writers.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        ends = [writer]
        try:
            await self._healthy.wait()
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self._target)
            self._writers.add(to_server)
            ends.append(to_server)
            await asyncio.gather(self._pump(reader, to_server), self._pump(from_server, writer))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            for end in ends:
                self._writers.discard(end)
                end.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            chunk = await reader.read(CHUNK)
            await self._healthy.wait()
            if not chunk:
                break
            writer.write(chunk)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()
