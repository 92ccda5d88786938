"""Several clients at once, and clients that leave."""

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests

from tests.api.live import Server
from tests.api.shape import BASE, data_of, sample
from tests.factories import make_workflow, step
from workflows.models import Run, Workflow


def at_once(number: int, ask: Callable[[int], requests.Response]) -> list[requests.Response]:
    with ThreadPoolExecutor(number) as clients:
        return list(clients.map(ask, range(number)))


def wait_for(condition: Callable[[], Any], seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come to pass"
        threading.Event().wait(0.05)


def test_of_many_that_create_one_id_one_succeeds(server: Server) -> None:
    answers = at_once(10, lambda _: requests.post(server.url(BASE), json=sample(), timeout=30))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 9}
    assert Workflow.objects.count() == 1


def test_patches_at_once_are_all_kept(server: Server) -> None:
    make_workflow(step("a"))
    address = server.url(f"{BASE}/sample")
    patch = lambda number: requests.patch(address, json={"global_context": {f"k{number}": 1}}, timeout=30)  # noqa: E731
    assert {answer.status_code for answer in at_once(8, patch)} == {200}
    data = data_of(requests.get(address, timeout=10))
    assert set(data["global_context"]) == {f"k{number}" for number in range(8)}
    assert data["version"] == 9


def test_clients_that_leave_stop_no_run_and_leave_no_thread(server: Server) -> None:
    make_workflow(step("a", "nap", {"seconds": 0.5}))
    requests.post(server.url(f"{BASE}/sample/execute"), timeout=30)  # starts the engine's threads
    before = threading.active_count()

    def leave(number: int) -> None:
        accept = b"Accept: text/event-stream\r\n" if number % 2 else b""
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(
                f"POST {BASE}/sample/execute HTTP/1.1\r\nHost: localhost\r\n".encode()
                + accept
                + b"Content-Length: 0\r\n\r\n"
            )
            wait_for(lambda: Run.objects.count() > number)  # one after the other, each while its run is under way

    for number in range(1, 11):
        leave(number)
    wait_for(lambda: Run.objects.filter(status="completed").count() == 11)
    wait_for(lambda: threading.active_count() <= before)
