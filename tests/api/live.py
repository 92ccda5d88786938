"""The server under a real uvicorn, and what its clients read."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests
import uvicorn

from kolosal.http_protocol import Protocol


@dataclass(frozen=True, slots=True)
class Server:
    port: int

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"


@contextmanager
def serving() -> Iterator[Server]:
    from kolosal.asgi import application

    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(application, log_level="error", lifespan="on", timeout_graceful_shutdown=5, http=Protocol)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    port = listener.getsockname()[1]
    _wait_for(port)
    try:
        yield Server(port)
    finally:
        server.should_exit = True
        thread.join(15)
        listener.close()
        assert not thread.is_alive(), "uvicorn did not stop"


def _wait_for(port: int) -> None:
    session = requests.Session()
    session.mount("http://", requests.adapters.HTTPAdapter(max_retries=0))
    with session:
        assert session.get(f"http://127.0.0.1:{port}/health", timeout=10).status_code == 200


@dataclass(frozen=True, slots=True)
class Told:
    """One event of a stream."""

    id: str
    body: dict[str, Any]

    @property
    def type(self) -> str:
        return str(self.body["type"])


def told(response: requests.Response) -> Iterator[Told]:
    """The events of a stream as they arrive."""
    name = ""
    for line in response.iter_lines(chunk_size=1):
        if line.startswith(b"id: "):
            name = line[4:].decode()
        elif line.startswith(b"data: "):
            yield Told(name, json.loads(line[6:]))


def text_of(items: list[Told], step_id: str) -> str:
    """The text that was streamed for a step."""
    return "".join(i.body["token"] for i in items if i.type == "llm_token" and i.body["step_id"] == step_id)
