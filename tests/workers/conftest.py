"""Real worker processes on the test database, and on the broker that the environment names."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django_q.brokers import get_broker

from agents import catalog
from tests.factories import make_agent
from workflows.models import Run, Worker

START_SECONDS = 20.0


@pytest.fixture(autouse=True)
def agent(transactional_db: None) -> None:
    make_agent()
    catalog.forget()


@pytest.fixture(autouse=True)
def no_message_waits() -> None:
    """Redis keeps what earlier tests rang: a loop that hears it begins where a test expects none."""
    get_broker().purge_queue()


@pytest.fixture
def start_worker() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start ``manage.py worker`` and wait until it is up; all are stopped at the end, whatever happened."""
    started: list[subprocess.Popen[bytes]] = []

    def start(**environment: str) -> subprocess.Popen[bytes]:
        before = set(Worker.objects.filter(kind="pacemaker").values_list("pid", flat=True))
        worker = subprocess.Popen(
            [sys.executable, "manage.py", "worker"],
            cwd=settings.BASE_DIR,
            env=os.environ | {"DATABASE_URL": test_database_url(), "KOLOSAL_GRACE_SECONDS": "2"} | environment,
            start_new_session=True,
        )
        started.append(worker)
        wait_for(lambda: Worker.objects.filter(kind="pacemaker", pid=worker.pid).exclude(pid__in=before).exists())
        return worker

    yield start
    for worker in started:
        if worker.poll() is None:
            worker.send_signal(signal.SIGTERM)
            worker.wait(30)


def test_database_url() -> str:
    name = connection.settings_dict["NAME"]
    if connection.vendor == "sqlite":
        return f"sqlite:///{name}"
    described: dict[str, Any] = connection.settings_dict
    return "postgres://{USER}@{HOST}:{PORT}/{NAME}".format(**described)


test_database_url.__test__ = False  # type: ignore[attr-defined]


def wait_for(condition: Callable[[], Any], seconds: float = START_SECONDS) -> float:
    """Seconds until the condition holds; fails if it does not in time."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, "waited in vain"
        time.sleep(0.02)
    return time.monotonic() - started


def ended(run: Run) -> bool:
    run.refresh_from_db()
    return run.has_ended


def descendants(pid: int) -> set[int]:
    """Processes below ``pid``, at any depth."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if fields[0] != "Z":
                parents[int(entry.name)] = int(fields[1])
    found: set[int] = set()
    fresh = {pid}
    while fresh:
        fresh = {child for child, parent in parents.items() if parent in fresh} - found
        found |= fresh
    return found


def alive(pids: set[int]) -> set[int]:
    return {pid for pid in pids if Path(f"/proc/{pid}").exists() and "Z" not in _state(pid)}


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"
