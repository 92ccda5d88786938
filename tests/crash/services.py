"""PostgreSQL and Redis servers of one's own, which a test may restart, kill and fill.

Each lives in a folder under the temporary one, listens on a port of its own on the loopback address, and dies with the
process that made it.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis

from workflows.process_group import die_with_parent

START_SECONDS = 20.0
STOP = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
OPTIONS = {"shared_buffers": "32MB", "max_connections": "200", "wal_level": "minimal", "max_wal_senders": "0"}


def unavailable(reason: str) -> None:
    """Skip the test and say loudly why; in CI, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(f"NOT TESTED: {reason}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class PostgreSQL:
    """A cluster with fsync on. ``start``, ``stop`` and ``restart`` block until it is so."""

    def __init__(self) -> None:
        self.port = free_port()
        self._binaries = _postgresql_binaries()
        self._owner = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        self._folder = Path(tempfile.mkdtemp(prefix="kolosal-pg-"))
        self._small: Path | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._own(self._folder)
        initdb = [str(self._binaries / "initdb"), "-D", str(self._data), "-U", "postgres", "-A", "trust", "-E", "UTF8"]
        subprocess.run([*initdb, "--locale=C"], check=True, stdout=subprocess.DEVNULL, **self._as_owner())
        self.start()

    def url(self, name: str, port: int | None = None) -> str:
        """Of a database in it, reached directly or through the proxy at ``port``."""
        return f"postgres://postgres@127.0.0.1:{port or self.port}/{name}"

    def start(self) -> None:
        options = [word for name, value in OPTIONS.items() for word in ("-c", f"{name}={value}")]
        command = [str(self._binaries / "postgres"), "-D", str(self._data), "-k", str(self._folder)]
        with (self._folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [*command, "-p", str(self.port), "-c", "listen_addresses=127.0.0.1", *options],
                stdout=log, stderr=log, preexec_fn=die_with_parent, **self._as_owner(),
            )  # fmt: skip
        _wait_for(self._answers, "PostgreSQL", self._folder / "log")

    def stop(self, mode: str = "fast") -> None:
        """``smart``, ``fast``, or ``immediate``: without a checkpoint, as after a crash."""
        if self._server is not None:
            self._server.send_signal(STOP[mode])
            self._server.wait(30)
            self._server = None

    def restart(self, mode: str = "fast") -> None:
        self.stop(mode)
        self.start()

    def execute(self, statement: str, database: str = "postgres") -> None:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(statement)

    def create(self, name: str, template: str = "template0") -> None:
        tablespace = " TABLESPACE small" if self._small else ""
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"{tablespace}')

    def drop(self, name: str) -> None:
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def cut_connections(self) -> None:
        """Terminate every backend that serves a client."""
        mine = "pid <> pg_backend_pid() AND backend_type = 'client backend'"
        self.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {mine}")

    def keep_small(self, megabytes: int) -> Path:
        """Put databases created from now on into a file system of that size; returns its folder."""
        self._small = self._folder / "small"
        self._small.mkdir()
        mount_small(self._small, megabytes)
        place = self._small / "tablespace"
        place.mkdir()
        self._own(place)
        self.execute(f"CREATE TABLESPACE small LOCATION '{place}'")
        return self._small

    def close(self) -> None:
        self.stop("immediate")
        if self._small is not None:
            subprocess.run(["umount", "--lazy", str(self._small)], check=False)
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _own(self, folder: Path) -> None:
        if self._owner is not None:
            os.chown(folder, self._owner.pw_uid, self._owner.pw_gid)

    def _as_owner(self) -> dict[str, Any]:
        """It refuses to run as root."""
        folder = str(self._folder)
        if self._owner is None:
            return {"cwd": folder}
        return {"user": self._owner.pw_uid, "group": self._owner.pw_gid, "cwd": folder}

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True


class Redis:
    """A server that keeps nothing on disk: a restart empties it."""

    def __init__(self) -> None:
        self.port = free_port()
        binary = shutil.which("redis-server")
        if binary is None:
            unavailable("redis-server is not on the PATH")
        self._binary = str(binary)
        self._folder = Path(tempfile.mkdtemp(prefix="kolosal-redis-"))
        self._server: subprocess.Popen[bytes] | None = None
        self.start()

    def url(self, number: int = 0, port: int | None = None) -> str:
        return f"redis://127.0.0.1:{port or self.port}/{number}"

    def start(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        with (self._folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [self._binary, *options, "--dir", str(self._folder)], stdout=log, preexec_fn=die_with_parent
            )
        _wait_for(self._answers, "Redis", self._folder / "log")

    def stop(self) -> None:
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def flush(self) -> None:
        with redis.Redis(port=self.port) as client:
            client.flushall()

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _answers(self) -> bool:
        with redis.Redis(port=self.port) as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False


def mount_small(folder: Path, megabytes: int) -> None:
    """A file system of that size in memory, to be filled. Whoever mounts it calls ``umount``."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, check=False, capture_output=True).returncode:
        unavailable("a small file system can't be mounted here (it takes root)")


def _postgresql_binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    if not found and on_path is None:
        unavailable("PostgreSQL's initdb is neither under /usr/lib/postgresql nor on the PATH")
    return (found[-1] if found else Path(str(on_path)).resolve()).parent


def _wait_for(answers: Callable[[], bool], name: str, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while not answers():
        assert time.monotonic() < until, f"{name} did not start:\n{log.read_text()[-2000:]}"
        time.sleep(0.05)
