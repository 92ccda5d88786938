"""An HTTP server that counts what it is asked to do, by ``Idempotency-Key``, and can hold a call open.

``POST /effect`` writes the line of one execution and answers; ``POST /hold`` writes it and answers never: what is kept
of it is when the client closed.
"""

import asyncio
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from tests.crash import effects

ANSWER = (
    b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\nConnection: close\r\n\r\n{"done": 1}'
)


@dataclass(slots=True)
class Held:
    """A call under way; times are Unix seconds."""

    key: str
    opened: float
    closed: float | None = None


class CountingServer:
    """Serves from a thread of its own until `close`."""

    def __init__(self, folder: Path) -> None:
        self.held: list[Held] = []
        self._folder = folder
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="counting server", daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        self.port = int(self._server.sockets[0].getsockname()[1])

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._answer, "127.0.0.1", 0)

    async def _end(self) -> None:
        self._server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
            await reader.readexactly(int(headers.get("content-length", "0")))
            key = headers.get("idempotency-key", "")
            effects.count(str(self._folder), key, 0)
            if head[0].split()[1] == "/hold":
                await self._hold(key, reader)
            else:
                writer.write(ANSWER)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

    async def _hold(self, key: str, reader: asyncio.StreamReader) -> None:
        held = Held(key, time.time())
        self.held.append(held)
        try:
            while await reader.read(1024):
                pass
        finally:
            held.closed = time.time()
