"""The web process ends soon, whoever is following."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from django.conf import settings
from django.db import connection

from tests.api.live import Server, told
from tests.api.shape import BASE
from tests.factories import make_workflow, step
from workflows.models import Run


@pytest.fixture
def process() -> Iterator[tuple[subprocess.Popen[bytes], Server]]:
    """uvicorn in a process of its own, on this test's database."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "kolosal.asgi:application", "--fd", str(listener.fileno())]
    environment = {
        **os.environ,
        "DATABASE_URL": database_url(connection.settings_dict),
        "KOLOSAL_STARTED_LOCALLY": "1",
        "KOLOSAL_GRACE_SECONDS": "0.5",
    }
    started = subprocess.Popen(
        command,
        pass_fds=[listener.fileno()],
        env=environment,
        cwd=settings.BASE_DIR,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    server = Server(port)
    assert requests.get(server.url("/health"), timeout=30).status_code == 200
    yield started, server
    started.kill()
    started.wait()
    listener.close()


def database_url(database: dict[str, Any]) -> str:
    if connection.vendor == "sqlite":
        return f"sqlite:///{database['NAME']}"
    account = f"{database['USER']}:{database['PASSWORD']}@" if database["USER"] else ""
    return f"postgres://{account}{database['HOST']}:{database['PORT'] or 5432}/{database['NAME']}"


def test_ctrl_c_ends_streams_and_gives_runs_back(process: tuple[subprocess.Popen[bytes], Server]) -> None:
    web, server = process
    make_workflow(step("a", "nap", {"seconds": 60}, timeout_seconds=120))
    address = server.url(f"{BASE}/sample/execute")
    with requests.post(address, headers={"Accept": "text/event-stream"}, stream=True, timeout=30) as response:
        items = told(response)
        assert next(items).type == "step_start"
        began = time.monotonic()
        web.send_signal(signal.SIGINT)
        assert [item.type for item in items] == ["error"]
    web.wait(timeout=10)
    assert time.monotonic() - began < 5
    run = Run.objects.get()
    assert (run.status, run.worker_id) == ("queued", None)
