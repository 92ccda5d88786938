"""A site as `make run` makes it: web server and worker in processes of their own, on SQLite, driven over HTTP."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import requests

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "a password of the tests"
ENDED = {"completed", "failed", "cancelled", "timeout"}

MAKE_PERSON = """
from django.contrib.auth.models import Group, User
person = User.objects.create_user(input(), is_staff=True)
person.groups.add(Group.objects.get(name=input()))
person.set_password(input())
person.save()
"""


class Site:
    """``environment`` goes to every process. Requests from here are anonymous ones from this machine: the API's own."""

    def __init__(self, **environment: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="kolosal-browser-"))
        self.address = f"http://localhost:{_free_port()}"
        self.environment = os.environ | {
            "KOLOSAL_DATA_DIR": str(self.folder),
            "KOLOSAL_PORT": self.address.rpartition(":")[2],
            "KOLOSAL_ADMIN_PASSWORD": PASSWORD,
            "KOLOSAL_GRACE_SECONDS": "1",
            **environment,
        }
        self.log = (self.folder / "output").open("wb")
        self.server = self._begin("serve")
        self._await(lambda: requests.get(f"{self.address}/health", timeout=5).ok)

    def api(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """The ``data`` of the answer. Any answer but a good one is an error."""
        answer = requests.request(method, f"{self.address}/api/v1/{path}", json=body, timeout=30, **options)
        assert answer.ok, answer.text
        return answer.json().get("data")

    def store(self, *steps: dict[str, Any], workflow_id: str, **fields: Any) -> str:
        """Make a workflow of these steps. Returns its id."""
        self.api("POST", "sequential-workflows", {"workflow_id": workflow_id, **fields, "steps": list(steps)})
        return workflow_id

    def start(self, workflow_id: str, input: dict[str, Any] | None = None) -> str:
        """Start a run. Returns its id."""
        body = {"input_context": input or {}}
        return str(self.api("POST", f"sequential-workflows/{workflow_id}/execute-async", body)["execution_id"])

    def run(self, workflow_id: str, input: dict[str, Any] | None = None) -> str:
        """Start a run and wait for its end. Returns its id."""
        run_id = self.start(workflow_id, input)
        self.until(run_id, *ENDED)
        return run_id

    def until(self, run_id: str, *statuses: str) -> str:
        """Wait until the run has one of these statuses. Returns which."""
        self._await(lambda: self.status(run_id) in {*statuses, *ENDED})
        run = self.api("GET", f"runs/{run_id}")
        assert run["status"] in statuses, run
        return str(run["status"])

    def status(self, run_id: str) -> str:
        return str(self.api("GET", f"runs/{run_id}")["status"])

    def manage(self, *arguments: str, text: str = "") -> str:
        """What a command of ``manage.py`` prints; ``text`` is given to it."""
        command = [sys.executable, "manage.py", *arguments]
        ended = subprocess.run(command, cwd=ROOT, env=self.environment, input=text, capture_output=True, text=True)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def make_person(self, username: str, role: str) -> None:
        """An account with `PASSWORD` in the group of that name."""
        self.manage("shell", "-c", MAKE_PERSON, text=f"{username}\n{role}\n{PASSWORD}\n")

    def close(self) -> None:
        self.server.send_signal(signal.SIGTERM)
        try:
            self.server.wait(15)
        except subprocess.TimeoutExpired:
            self.server.kill()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _begin(self, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=self.log, stderr=self.log)

    def _await(self, so: Any, seconds: float = 60) -> None:
        until = time.monotonic() + seconds
        while True:
            try:
                if so():
                    return
            except requests.ConnectionError:
                pass
            if time.monotonic() > until or self.server.poll() is not None:
                raise AssertionError(f"It did not come to that:\n{(self.folder / 'output').read_text()[-4000:]}")
            time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
