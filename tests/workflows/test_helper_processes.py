"""Plain functions run in processes that can be killed for certain; nothing is left of them afterwards."""

import asyncio
import os
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.environment import MARK
from tests.factories import results, run_to_end, step
from tests.workers.conftest import wait_for
from workflows import helper_processes
from workflows.helper_processes import HelperPool


def children() -> set[int]:
    """Processes that this one has led to, the fork server and multiprocessing's resource tracker left out.

    Known by their environment, since a process whose parent was killed is nobody's child.
    """
    mark = f"{MARK}={os.environ[MARK]}".encode()
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command, environment = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            helper = b"forkserver" in command and int(entry.name) != _fork_server()
            if state != "Z" and mark in environment.split(b"\0") and (helper or b"sleep\x00300" in command):
                found.add(int(entry.name))
    return found


def _fork_server() -> int | None:
    from multiprocessing import forkserver

    pid: int | None = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    return pid


@pytest.fixture(autouse=True)
def nothing_left_behind():
    threads, processes = threading.active_count(), children()
    yield
    wait_for(lambda: threading.active_count() == threads)
    assert children() <= processes


def test_a_plain_function_gives_its_result_and_its_footprint() -> None:
    run = run_to_end(step("a", "measure", {"megabytes": 50, "seconds": 0.05}))
    row = run.steps.get()
    assert results(run)["a"] == {"bytes": 50 * 1024 * 1024}
    assert row.cpu_seconds is not None
    assert row.cpu_seconds >= 0.05
    assert row.peak_memory_bytes is not None
    assert row.peak_memory_bytes > 50 * 1024 * 1024
    assert row.logs[0]["message"] == "used 50 MiB"


def test_an_endless_loop_is_stopped_at_its_timeout() -> None:
    run = run_to_end(step("a", "spin", timeout_seconds=0.3, max_retries=0))
    assert (run.steps.get().status, run.steps.get().error_code) == ("timed_out", "StepTimeout")


def test_a_function_that_hangs_on_a_socket_is_stopped_and_its_connection_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        run = run_to_end(step("a", "hang", {"port": port}, timeout_seconds=0.5, max_retries=0))
        assert run.steps.get().error_code == "StepTimeout"
        connection, _ = server.accept()
        connection.settimeout(5)
        assert connection.recv(1) == b""  # closed from the other end
        connection.close()


def test_what_a_function_started_is_killed_with_it(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    run = run_to_end(step("a", "spawn", {"file": str(file)}, timeout_seconds=1, max_retries=0))
    assert run.steps.get().error_code == "StepTimeout"
    assert int(file.read_text()) not in children()


@pytest.mark.parametrize(("signal", "name"), [(11, "SIGSEGV"), (9, "SIGKILL")])
def test_a_crash_fails_its_step_alone_and_names_the_signal(signal: int, name: str) -> None:
    run = run_to_end(step("a", "die", {"signal": signal}, max_retries=0, continue_on_failure=True), step("b"))
    row = run.steps.get(path="a")
    assert (row.status, row.error_code) == ("failed", "HelperDied")
    assert name in row.error_message
    assert run.steps.get(path="b").status == "completed"


def test_an_expression_that_takes_too_long_is_stopped_and_others_are_not() -> None:
    rows = list(range(300))
    heavy = "rows.map(x, rows.map(y, rows.map(z, x * y * z))).size() > 0".replace("rows", "input.rows")
    run = run_to_end(step("a", precondition=heavy), input={"rows": rows})
    row = run.steps.get()
    assert (row.status, row.error_code) == ("failed", "ExpressionError")
    assert "0.25 s" in row.error_message


def test_nobody_waits_for_a_helper_that_still_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine the fork server needs seconds for its first one, longer than a stop may take."""
    started, may_be_ready = threading.Event(), threading.Event()
    ready = helper_processes._Helper._wait_until_ready

    def wait_long(helper: Any) -> None:
        started.set()
        may_be_ready.wait()
        ready(helper)

    monkeypatch.setattr(helper_processes._Helper, "_wait_until_ready", wait_long)

    async def main() -> None:
        pool = HelperPool(1)
        asking = asyncio.create_task(pool.ask({"kind": "evaluate", "expression": "1", "scope": {}}, timeout=30))
        await asyncio.to_thread(started.wait)
        asking.cancel()
        await asyncio.wait([asking])
        await pool.close()
        assert not may_be_ready.is_set()
        assert children()
        may_be_ready.set()

    asyncio.run(main())
    wait_for(lambda: not children())
