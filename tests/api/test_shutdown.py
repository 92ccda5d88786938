"""The web process ends soon, whoever is following."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from django.conf import settings
from django.db import connection
from django.utils import timezone

from tests.api.live import Server, told
from tests.api.shape import BASE
from tests.factories import make_workflow, step
from tests.workers.conftest import wait_for
from workflows.models import Run, Worker


@pytest.fixture
def process(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Server]]:
    """The web server in a process of its own, on this test's database; what it says is in ``output``."""
    port = free_port()
    environment = {
        **os.environ,
        "DATABASE_URL": database_url(connection.settings_dict),
        "KOLOSAL_STARTED_LOCALLY": "1",
        "KOLOSAL_GRACE_SECONDS": "1",
        "KOLOSAL_PORT": str(port),
    }
    with (tmp_path / "output").open("wb") as output:
        started = subprocess.Popen(
            [sys.executable, "-m", "kolosal.web"],
            env=environment,
            cwd=settings.BASE_DIR,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    server = Server(port)
    wait_until_answering(server)
    yield started, server
    started.kill()
    started.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def wait_until_answering(server: Server) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            assert requests.get(server.url("/health"), timeout=30).status_code == 200
        except requests.ConnectionError:
            assert time.monotonic() < until
            time.sleep(0.05)
        else:
            return


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


def test_a_stop_ends_within_the_grace_whatever_is_under_way(
    process: tuple[subprocess.Popen[bytes], Server], tmp_path: Path
) -> None:
    web, server = process
    make_workflow(step("a", "nap", {"seconds": 60}, timeout_seconds=120))
    answers: list[requests.Response] = []

    def call(path: str, body: dict[str, Any]) -> None:
        answers.append(requests.post(server.url(path), json=body, timeout=60))

    calls = [
        threading.Thread(target=call, args=(f"{BASE}/sample/execute", {})),
        threading.Thread(target=call, args=("/api/v1/agents/tester/execute", {"function": "spin", "parameters": {}})),
    ]
    for one in calls:
        one.start()
    wait_for(lambda: Run.objects.filter(steps__status="running").exists())
    began = time.monotonic()
    web.send_signal(signal.SIGTERM)
    assert web.wait(timeout=20) == 0, (tmp_path / "output").read_text()
    assert time.monotonic() - began < 1 + 5
    for one in calls:
        one.join()
    assert sorted(answer.status_code for answer in answers) == [202, 503]
    run = Run.objects.get()
    assert (run.status, run.worker_id) == ("queued", None)
    assert not Worker.objects.live(timezone.now()).exists()
