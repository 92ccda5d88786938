"""A host of a site: the processes of one machine, or what acts as one, behind proxies of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from django.conf import settings

from tests.crash.names import WORKER_NAME
from tests.crash.processes import alive, descendants, group, kill_all, named, parent, strike
from tests.crash.proxy import Proxy
from tests.crash.services import free_port
from tests.crash.site import Site
from tests.workers.conftest import wait_for
from workflows.models import Worker
from workflows.process_group import die_with_parent
from workflows.workers import database_now

UP_SECONDS = 30.0


class Host:
    """``name`` is its `KOLOSAL_HOST`. ``proxied``: it reaches PostgreSQL and Redis through proxies, to be cut off."""

    def __init__(self, site: Site, name: str, *, proxied: bool = False, **environment: str) -> None:
        self.site = site
        site.hosts.append(self)
        self.name = name
        self.log = site.folder / f"{name}.log"
        self.worker: subprocess.Popen[bytes] | None = None
        self.web: subprocess.Popen[bytes] | None = None
        self.web_port = free_port()
        servers = [server for server in (site.postgresql, site.redis) if server is not None]
        self.proxies = [Proxy(server.port) for server in servers] if proxied else []
        self._environment = site.environment | self._addresses() | {"KOLOSAL_HOST": name} | environment

    def _addresses(self) -> dict[str, str]:
        ports = [proxy.port for proxy in self.proxies]
        database = ports[0] if ports and self.site.postgresql is not None else None
        broker = ports[-1] if ports and self.site.redis is not None else None
        return {"DATABASE_URL": self.site.database_url(database), "KOLOSAL_BROKER_URL": self.site.broker_url(broker)}

    # --- Starting and stopping ---

    def start_worker(self, *, wait: bool = True) -> "Host":
        """Start ``manage.py worker``, and wait until it has registered and its django-q2 workers are there."""
        self.worker = self._start(sys.executable, "manage.py", "worker")
        if wait:
            wait_for(self.is_up, UP_SECONDS)
        return self

    def start_web(self, *, wait: bool = True) -> "Host":
        self.web = self._start(sys.executable, "-m", "kolosal.web", KOLOSAL_STARTED_LOCALLY="1")
        if wait:
            wait_for(self.web_answers, UP_SECONDS)
        return self

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.web_port}{path}"

    def is_up(self) -> bool:
        if self.worker is None or len(self.q_workers()) < int(self._environment.get("KOLOSAL_WORKERS", "2")) + 1:
            return False
        live = Worker.objects.live(database_now()).filter(kind=Worker.Kind.PACEMAKER, host=self.name)
        return live.filter(pid=self.worker.pid).exists()

    def web_answers(self) -> bool:
        import socket

        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.web_port)) == 0

    def stop_worker(self, seconds: float = 30.0) -> None:
        """SIGTERM, and wait for the end."""
        if self.worker is not None:
            self.worker.terminate()
            self.worker.wait(seconds)
            self.worker = None

    def kill(self) -> None:
        """SIGKILL to everything at once, as when the power goes."""
        kill_all(self.family())
        for process in (self.worker, self.web):
            if process is not None:
                process.wait()
        self.worker = self.web = None

    def close(self) -> None:
        self.heal()
        self.kill()
        for proxy in self.proxies:
            proxy.close()

    # --- Its processes ---

    def family(self) -> set[int]:
        """Every process of the host."""
        roots = {process.pid for process in (self.worker, self.web) if process is not None}
        return roots.union(*(descendants(pid) for pid in roots))

    def q_workers(self) -> set[int]:
        """django-q2's worker processes: those in a loop, and those that wait for a task."""
        return named(self.family(), WORKER_NAME)

    def loops(self) -> set[int]:
        """Processes that hold a lease as a loop of a worker."""
        live = Worker.objects.live(database_now()).filter(kind=Worker.Kind.WORKER, host=self.name)
        return alive(set(live.values_list("pid", flat=True)))

    def idle_workers(self) -> set[int]:
        return self.q_workers() - self.loops()

    def sentinels(self) -> set[int]:
        return {parent(pid) for pid in self.q_workers()} - {0, 1}

    def helpers(self) -> set[int]:
        """Helper processes: each leads a group of its own below a loop or the web process."""
        above = self.q_workers() | ({self.web.pid} if self.web else set())
        return {pid for pid in set().union(*(descendants(pid) for pid in above)) if group(pid) == pid}

    def stop_processes(self) -> None:
        """SIGSTOP to all: a machine that hangs."""
        for pid in self.family():
            strike(pid, signal.SIGSTOP)

    def continue_processes(self) -> None:
        for pid in self.family():
            strike(pid, signal.SIGCONT)

    # --- Its network ---

    def cut(self) -> None:
        for proxy in self.proxies:
            proxy.cut()

    def refuse(self) -> None:
        for proxy in self.proxies:
            proxy.refuse()

    def heal(self) -> None:
        for proxy in self.proxies:
            proxy.heal()

    def lines(self, *words: str) -> list[str]:
        """Lines of its log that have all these words."""
        log = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return [line for line in log if all(word in line for word in words)]

    def _start(self, *command: str, **environment: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=Path(settings.BASE_DIR),
                env=os.environ | {"KOLOSAL_PORT": str(self.web_port)} | self._environment | environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
