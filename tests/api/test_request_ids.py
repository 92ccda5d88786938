"""From a request to its log lines and its run, through a real server in a process of its own."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from django.conf import settings
from django.db import connection

from tests.api.live import Server
from tests.api.shape import BASE
from tests.api.test_shutdown import database_url, free_port, wait_until_answering
from tests.factories import make_workflow, step
from workflows.models import Event, Run

pytestmark = pytest.mark.django_db(transaction=True)


@dataclass(frozen=True, slots=True)
class Site:
    server: Server
    log: Path
    console: Path

    def lines(self, **ids: Any) -> list[dict[str, Any]]:
        """What the log file has under these ids."""
        told = map(json.loads, self.log.read_text().splitlines())
        return [line for line in told if ids.items() <= line.items()]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    port = free_port()
    environment = {
        **os.environ,
        "DATABASE_URL": database_url(connection.settings_dict),
        "KOLOSAL_DATA_DIR": str(tmp_path),
        "KOLOSAL_STARTED_LOCALLY": "1",
        "KOLOSAL_LOG_FORMAT": "json",
        "KOLOSAL_PORT": str(port),
        "KOLOSAL_SECRET_SHOP": "hunter22",
    }
    with (tmp_path / "stderr").open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "kolosal.web"], env=environment, cwd=settings.BASE_DIR, stderr=stderr
        )
    server = Server(port)
    try:
        wait_until_answering(server)
        yield Site(server, tmp_path / "sequential_workflow.log", tmp_path / "stderr")
    finally:
        process.kill()
        process.wait()


def test_one_goes_from_a_request_to_its_run_and_its_lines(site: Site) -> None:
    secret = "${secrets.SHOP}"
    make_workflow(
        step("quick", "tell", {"line": secret}),
        step("bad", "tell", {"line": "again", "error": secret}, max_retries=0),
    )
    mine = {"X-Request-ID": "shop-order:42"}
    answer = requests.post(site.server.url(f"{BASE}/sample/execute"), json={}, headers=mine, timeout=60)
    assert answer.headers["X-Request-ID"] == "shop-order:42"
    run = Run.objects.get()
    assert Event.objects.get(run=run, type="run_created").data["request_id"] == "shop-order:42"
    told, beside = sorted(site.lines(run_id=str(run.pk), step="quick", attempt=1), key=lambda line: line["logger"])[
        ::-1
    ]
    assert told["message"] == "told: ***"
    assert beside["message"] == "beside: ***"  # from the helper process itself
    assert told["worker"] == beside["worker"]
    assert "request_id" not in told  # a run may outlive its request by years; its first event has it
    (failed,) = site.lines(run_id=str(run.pk), step="bad", level="warning", logger="workflows.steps")
    assert failed["message"] == "FunctionFailed: RuntimeError: ***"
    assert failed["trace"].startswith("Traceback (most recent call last):\n")
    assert failed["trace"].endswith("RuntimeError: ***\n")
    (access,) = site.lines(request_id="shop-order:42", logger="uvicorn.access")
    assert f"POST {BASE}/sample/execute" in access["message"]
    assert "hunter22" not in site.log.read_text()
    assert "hunter22" not in site.console.read_text()
    line = json.loads(site.console.read_text().splitlines()[0])
    assert line["message"] == "beside: ***"


def test_what_is_no_sane_id_is_replaced(site: Site) -> None:
    ids = set()
    for given in ("", "a b", "x" * 129, "ä", '"', None):
        headers = {} if given is None else {"X-Request-ID": given.encode().decode("latin-1")}
        answer = requests.get(site.server.url("/health"), headers=headers, timeout=30)
        assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-ID"])
        ids.add(answer.headers["X-Request-ID"])
    assert len(ids) == 6
    assert all(site.lines(request_id=request_id, logger="uvicorn.access") for request_id in ids)
