"""A site under test: one store, one broker, a folder; hosts join it (:mod:`tests.crash.hosts`).

`Site.here` points the Django of this process at the site, whatever it was set up with.
"""

import atexit
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from django.conf import settings
from django.core.management import call_command
from django.db import connection, connections
from django_q.conf import Conf

from agents import catalog
from tests.crash import effects
from tests.crash.counting_server import CountingServer
from tests.crash.services import PostgreSQL, Redis, mount_small
from tests.factories import make_agent
from workflows.models.workflow import known_version, parsed_version
from workflows.statements import on_postgresql

TEMPLATE = "kolosal_template"  # a migrated database, or file, that those of sites are copied from
FUNCTIONS = "tests.scripted,tests.crash.effects,tests.crash.names"


class Site:
    """``postgresql`` and ``redis``: its servers; without them SQLite and the broker in the database.

    ``environment`` goes to every process of every host. ``small``: the SQLite file is on a file system of so many MiB.
    """

    def __init__(
        self,
        postgresql: PostgreSQL | None = None,
        redis: Redis | None = None,
        small: int = 0,
        **environment: str,
    ) -> None:
        self.postgresql = postgresql
        self.redis = redis
        self.folder = Path(tempfile.mkdtemp(prefix="kolosal-site-"))
        self.name = self.folder.name.replace("-", "_").lower()
        self.effects = self._subfolder("effects")
        self.faults = self._subfolder("faults")
        self.server = CountingServer(self.effects)
        self.hosts: list[Any] = []  # each has a `close`; whoever makes one adds it
        self.environment = {
            "KOLOSAL_DATA_DIR": str(self.folder),
            "KOLOSAL_SECRET_KEY": str(settings.SECRET_KEY),
            "KOLOSAL_FUNCTIONS": FUNCTIONS,
            "KOLOSAL_FAULTS": str(self.faults),
            "KOLOSAL_HTTP_ALLOW": "127.0.0.1",
            "KOLOSAL_GRACE_SECONDS": "2",
            **environment,
        }
        if postgresql is None:
            self._file = self._subfolder("store") / "kolosal.sqlite3"
            if small:
                mount_small(self._file.parent, small)
            shutil.copy(_migrated_file(), self._file)
        else:
            if self._is_new(postgresql):
                _migrate(postgresql)
            postgresql.create(self.name, TEMPLATE)
        if redis is not None:
            redis.flush()

    def database_url(self, port: int | None = None) -> str:
        if self.postgresql is None:
            return f"sqlite:///{self._file}"
        return self.postgresql.url(self.name, port)

    def broker_url(self, port: int | None = None) -> str:
        return "" if self.redis is None else self.redis.url(0, port)

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self._file

    @contextmanager
    def here(self) -> Iterator["Site"]:
        """This process's models are those of the site, and its messages go to the site's broker."""
        described = sqlite(self._file) if self.postgresql is None else postgresql(self.postgresql, self.name)
        with pointed_at(described), _ringing(self.broker_url()):
            make_agent(functions=[*effects.NAMES, "http_request", "nap", "spin", "measure", "spawn"])
            yield self

    def arm(self, point: str, fault: str = "kill", suffix: str = "1") -> Path:
        """Have the next process that reaches a fault point struck. Returns the file, which is gone when it was."""
        file = self.faults / f"{point}.{suffix}"
        file.write_text(fault)
        return file

    def close_hosts(self) -> None:
        """End all processes of all hosts."""
        while self.hosts:
            self.hosts.pop().close()

    def close(self) -> None:
        self.close_hosts()
        self.server.close()
        if self.postgresql is not None:
            self.postgresql.drop(self.name)
        else:
            subprocess.run(["umount", "--lazy", str(self._file.parent)], check=False, capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _subfolder(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir()
        return folder

    def _is_new(self, server: PostgreSQL) -> bool:
        return server not in _migrated


def sqlite(file: Path) -> dict[str, Any]:
    options = {"timeout": 5, "transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=WAL"}
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(file), "OPTIONS": options}


def postgresql(server: PostgreSQL, name: str) -> dict[str, Any]:
    place = {"HOST": "127.0.0.1", "PORT": str(server.port), "USER": "postgres", "NAME": name}
    # A host that is cut off within a transaction leaves its locks; the experiment must not wait for them for ever.
    options = {"options": "-c lock_timeout=5000", "connect_timeout": 10}
    return {"ENGINE": "django.db.backends.postgresql", "CONN_MAX_AGE": None, "OPTIONS": options, **place}


@contextmanager
def pointed_at(described: dict[str, Any]) -> Iterator[None]:
    """The default database of this process is another one for a while, in every thread that asks from now on."""
    handler = cast(Any, connections)
    before = handler.settings["default"]
    connection.close()
    del connections["default"]
    handler.settings["default"] = handler.configure_settings({"default": described})["default"]
    _forget()
    try:
        yield
    finally:
        connection.close()
        del connections["default"]
        handler.settings["default"] = before
        _forget()


@contextmanager
def _ringing(broker_url: str) -> Iterator[None]:
    before = (Conf.REDIS, Conf.ORM, Conf.BROKER_CLASS)
    own = (broker_url, None, None) if broker_url else ({}, "default", "workflows.brokers.database.DatabaseBroker")
    Conf.REDIS, Conf.ORM, Conf.BROKER_CLASS = own
    try:
        yield
    finally:
        Conf.REDIS, Conf.ORM, Conf.BROKER_CLASS = before


def _forget() -> None:
    """What was known of the database before, and which kind it is."""
    on_postgresql.cache_clear()
    catalog.forget()
    known_version.cache_clear()
    parsed_version.cache_clear()


_migrated: set[PostgreSQL] = set()
_files: list[Path] = []


def _migrate(server: PostgreSQL) -> None:
    server.create(TEMPLATE)
    with pointed_at(postgresql(server, TEMPLATE)):
        call_command("migrate", verbosity=0)
    _migrated.add(server)


def _migrated_file() -> Path:
    if not _files:
        folder = tempfile.mkdtemp(prefix="kolosal-template-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        file = Path(folder) / "template.sqlite3"
        with pointed_at(sqlite(file)):
            call_command("migrate", verbosity=0)
            connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        _files.append(file)
    return _files[0]
