"""A real HTTP server in a thread that answers what a test tells it to, cut connections included."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Exchange:
    """A request that arrived, and the means to answer it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    handler: BaseHTTPRequestHandler

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def reply(self, status: int, body: Any = b"", headers: dict[str, str] | None = None) -> None:
        """A whole answer; anything but bytes goes as JSON."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        kind = "text/plain" if isinstance(body, bytes) else "application/json"
        self.handler.send_response(status)
        for name, value in {"Content-Type": kind, **(headers or {})}.items():
            self.handler.send_header(name, value)
        self.handler.send_header("Content-Length", str(len(raw)))
        self.handler.end_headers()
        self.handler.wfile.write(raw)

    def stream(self, *events: Any, cut: bool = False, content_type: str = "text/event-stream") -> None:
        """A chunked event stream; with `cut` the connection breaks after the last event."""
        self.open_stream(content_type)
        for event in events:
            self.event(event)
        if not cut:
            self.handler.wfile.write(b"0\r\n\r\n")
        self.handler.close_connection = True

    def open_stream(self, content_type: str = "text/event-stream") -> None:
        self.handler.send_response(200)
        self.handler.send_header("Content-Type", content_type)
        self.handler.send_header("Transfer-Encoding", "chunked")
        self.handler.end_headers()

    def event(self, event: Any) -> None:
        data = event if isinstance(event, str) else json.dumps(event)
        raw = f"data: {data}\n\n".encode()
        self.handler.wfile.write(f"{len(raw):x}\r\n".encode() + raw + b"\r\n")
        self.handler.wfile.flush()


@dataclass
class ScriptedServer:
    """`url` ends in `/v1`; `seen` holds the requests in the order of their arrival."""

    url: str
    port: int
    seen: list[Exchange] = field(default_factory=list)


@contextmanager
def scripted_server(respond: Callable[[Exchange], None]) -> Iterator[ScriptedServer]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            headers = {name.lower(): value for name, value in self.headers.items()}
            exchange = Exchange(self.command, self.path, headers, body, self)
            server.seen.append(exchange)
            try:
                respond(exchange)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = answer

        def log_message(self, *args: object) -> None:
            """Nothing: the tests' output is theirs."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        server = ScriptedServer(f"http://127.0.0.1:{http.server_port}/v1", http.server_port)
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()


def delta(content: str | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """A chunk of a streamed chat completion."""
    return {
        "model": "scripted",
        "choices": [{"index": 0, "delta": {"content": content, **more}, "finish_reason": finish}],
    }


def usage(sent: int, received: int) -> dict[str, Any]:
    """The last chunk, with the usage."""
    return {"choices": [], "usage": {"prompt_tokens": sent, "completion_tokens": received}}


def asks(*calls: dict[str, Any]) -> dict[str, Any]:
    """A chunk with pieces of calls of tools; see `asked`."""
    return delta(tool_calls=list(calls))


def asked(name: str = "", arguments: Any = "", **more: Any) -> dict[str, Any]:
    """A call of a tool, or a piece of one; `index` and `id` as the test wants them."""
    return {
        "type": "function",
        **more,
        "function": {"name": name, "arguments": arguments} if name else {"arguments": arguments},
    }


def turns(*answers: Sequence[Any]) -> Callable[[Exchange], None]:
    """Streams one list of events after the other, the last one again and again."""
    waiting = list(answers)
    return lambda exchange: exchange.stream(*(waiting.pop(0) if len(waiting) > 1 else waiting[0]), "[DONE]")
