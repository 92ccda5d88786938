"""A loop that is stalled past its lease: it can't write, stops what it was at, and goes on with other runs."""

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.factories import make_workflow, step
from tests.workers.conftest import alive, ended, wait_for
from workflows import audit, runs
from workflows.models import Event, Run, Worker

Start = Callable[..., subprocess.Popen[bytes]]
LEASE = "6"


class SilentServer:
    """Accepts calls, answers none, and counts how many are open."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.open = 0
        self.seen = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                call, _ = self._socket.accept()
            except OSError:
                return
            self.open += 1
            self.seen += 1
            threading.Thread(target=self._until_closed, args=(call,), daemon=True).start()

    def _until_closed(self, call: socket.socket) -> None:
        with call:
            try:
                while call.recv(65536):
                    pass
            except OSError:
                pass
        self.open -= 1


@pytest.fixture
def server() -> Iterator[SilentServer]:
    silent = SilentServer()
    yield silent
    silent.close()


def start(workflow_id: str, *steps: dict) -> Run:
    return runs.start(make_workflow(*steps, workflow_id=workflow_id), {}, trigger="api", actor="tester")


def test_a_stalled_loop_is_fenced_and_comes_back_clean(
    start_worker: Start, server: SilentServer, tmp_path: Path
) -> None:
    environment = {"KOLOSAL_LEASE_SECONDS": LEASE, "KOLOSAL_WORKERS": "1", "KOLOSAL_HTTP_ALLOW": "127.0.0.1"}
    start_worker(**environment, KOLOSAL_HOST="one")
    pid_file, done = tmp_path / "pid", tmp_path / "done"
    call = start("call", step("a", "http_request", {"url": f"http://127.0.0.1:{server.port}/"}, timeout_seconds=300))
    helper = start("helper", step("a", "spawn", {"file": str(pid_file)}, timeout_seconds=300))
    late = start("late", step("a", "nap", {"seconds": 7}), step("b", "note", {"file": str(done)}))
    held = [call, helper, late]
    wait_for(
        lambda: Run.objects.filter(steps__status="running").count() == 3 and pid_file.exists() and server.open == 1
    )
    holder = Worker.objects.get(runs=call)
    first_child = int(pid_file.read_text())

    os.kill(holder.pid, signal.SIGSTOP)
    two = start_worker(**environment, KOLOSAL_HOST="two")
    for run in held:
        wait_for(lambda: Event.objects.filter(run=run, type="run_taken_over").exists())  # noqa: B023
    wait_for(lambda: server.seen == 2 and int(pid_file.read_text()) != first_child)
    os.kill(holder.pid, signal.SIGCONT)

    wait_for(lambda: server.open == 1)  # its call is closed, that of the new holder goes on
    wait_for(lambda: not alive({first_child}))
    wait_for(lambda: ended(late))
    assert late.status == "completed"
    assert len(done.read_text().splitlines()) == 1
    for run in held:
        took = Event.objects.filter(run=run, type="run_taken_over").count()
        assert took == 1
        assert audit.first_broken(run.pk) is None

    for run in (call, helper):
        runs.cancel(run.pk, actor="tester")
        wait_for(lambda: ended(run))  # noqa: B023
    two.send_signal(signal.SIGTERM)
    assert two.wait(10) == 0
    again = start("again", step("a"))
    wait_for(lambda: ended(again))
    assert again.status == "completed"
    assert Event.objects.get(run=again, type="run_started").actor.startswith("worker:one:")
