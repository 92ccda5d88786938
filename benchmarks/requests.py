"""Requests a second that two web processes answer, with the client on the same machine; no worker is running."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import django

django.setup()

from django.core.management import call_command  # noqa: E402

from benchmarks import machine  # noqa: E402
from benchmarks.limit import beside_limit, rates, reading_limit_ms  # noqa: E402
from workflows import publishing  # noqa: E402
from workflows.definitions import Definition  # noqa: E402

PORTS = (int(os.environ["KOLOSAL_PORT"]), int(os.environ["KOLOSAL_PORT"]) + 1)
CONNECTIONS = 4  # to each process, each with one request under way
SECONDS = 1.0


def main() -> None:
    call_command("migrate", verbosity=0)
    call_command("sync_agents", verbosity=0)
    step = {"agent_id": "qa_specialist", "function_name": "echo", "parameters": {"message": "x"}}
    steps = [{"step_id": step_id, **step} for step_id in "abc"]
    publishing.save(Definition.model_validate({"workflow_id": "bench_http", "steps": steps}), actor="bench")
    path = "/api/v1/sequential-workflows/bench_http"
    times = 4 * int(sys.argv[1])

    def execute_async() -> float:
        return asyncio.run(_rate("POST", f"{path}/execute-async", "{}", 202))

    def status() -> float:
        return asyncio.run(_rate("GET", f"{path}/status", "", 200))

    with _served() as pids:
        figures = {
            **rates("execute_async_per_s", beside_limit(execute_async, times)),
            **rates("status_per_s", beside_limit(status, times, reading_limit_ms)),
            "web_mib": machine.pss_mib(pids),
        }
    print(json.dumps(figures))


@contextmanager
def _served() -> Iterator[list[int]]:
    common = os.environ | {"KOLOSAL_STARTED_LOCALLY": "1", "KOLOSAL_LOG_LEVEL": "WARNING"}
    servers = [
        subprocess.Popen([sys.executable, "-m", "kolosal.web"], env=common | {"KOLOSAL_PORT": str(port)})
        for port in PORTS
    ]
    try:
        yield [server.pid for server in servers]
    finally:
        for server in servers:
            server.terminate()
        for server in servers:
            server.wait()


async def _rate(method: str, path: str, body: str, status: int) -> float:
    request = (
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()
    expected = f"HTTP/1.1 {status} ".encode()
    connections = [await _connected(port) for port in PORTS for _ in range(CONNECTIONS)]
    until = time.perf_counter() + SECONDS
    clients = [_ask(*connection, request, expected, until) for connection in connections]
    return sum(await asyncio.gather(*clients)) / SECONDS


async def _connected(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    for _ in range(300):
        try:
            return await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.1)
    raise SystemExit("a server did not come up within 30 s")


async def _ask(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes, expected: bytes, until: float
) -> int:
    """The same request again and again; how often it was answered."""
    answered = 0
    while time.perf_counter() < until:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        content = await reader.readexactly(length)
        if not head.startswith(expected):
            raise SystemExit(f"a request of the benchmark failed: {(head + content).decode()}")
        answered += 1
    writer.close()
    return answered


main()
