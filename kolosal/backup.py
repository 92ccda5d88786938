"""Backing up the store while everything runs, and putting a backup in the place of a store that is not there."""

import contextlib
import errno
import os
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

from django.db import DatabaseError, connection
from django.db.backends.postgresql.client import DatabaseClient
from rich.console import Console
from rich.progress import Progress

PAGES_AT_ONCE = 4096  # copied between two reports of progress
NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS}  # of file systems without hard links
LEFT_BESIDE = ("", "-wal", "-shm")  # files of a SQLite store

Tell = Callable[[int, int], None]  # pages copied, pages there are


class BackupFailed(Exception):
    """Why there is no backup, or nothing was restored; both ends are as they were."""


def back_up(file: Path, tell: Tell = lambda done, total: None) -> None:
    """Write a consistent copy of the store to ``file``, which must not exist. Raises `BackupFailed`."""
    with _all_or_nothing(file) as part:
        if connection.vendor == "sqlite":
            _copy(_opened(Path(connection.settings_dict["NAME"]), "rw"), part, tell)
        else:
            _postgresql("pg_dump", "--format=custom", f"--file={part}")


def restore(file: Path, tell: Tell = lambda done, total: None) -> None:
    """Make a backup the store, where there is none yet. Raises `BackupFailed`."""
    if not file.is_file():
        raise BackupFailed(f"{file} is not a file")
    if connection.vendor == "sqlite":
        _restore_sqlite(file, Path(connection.settings_dict["NAME"]), tell)
    else:
        _restore_postgresql(file)


def progress_bar() -> Progress:
    """Shown on a terminal while it goes on."""
    console = Console(stderr=True)
    return Progress(console=console, transient=True, disable=not console.is_terminal)


@contextlib.contextmanager
def _all_or_nothing(file: Path) -> Iterator[Path]:
    """A file beside ``file`` to write to, readable by its owner only; it gets its name when it is whole and on disk."""
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", suffix=".part", dir=file.parent)
    except OSError as error:
        raise BackupFailed(f"nothing can be written to the folder {file.parent}: {error.strerror}") from None
    os.close(descriptor)
    part = Path(name)
    try:
        if file.exists():
            raise FileExistsError
        yield part
        _flush(part)
        _name(part, file)
        _flush(file.parent)
    except FileExistsError:
        raise BackupFailed(f"{file} exists already, and is not overwritten") from None
    except (OSError, sqlite3.Error) as error:
        raise BackupFailed(f"{file} was not written: {error}") from None
    finally:
        part.unlink(missing_ok=True)


def _name(part: Path, file: Path) -> None:
    try:
        os.link(part, file)  # unlike a renaming, it replaces nothing
    except OSError as error:
        if error.errno not in NO_LINKS or file.exists():
            raise
        part.rename(file)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- SQLite ----------------------------------------------------------------------------------------------------------


def _copy(store: sqlite3.Connection, target: Path, tell: Tell) -> None:
    with contextlib.closing(store), contextlib.closing(sqlite3.connect(target)) as copy:
        # An open reading transaction holds one state of the store. Without it the copying would begin anew whenever a
        # worker writes, and might never end.
        store.execute("BEGIN")
        store.execute("SELECT count(*) FROM sqlite_master").fetchone()
        store.backup(copy, pages=PAGES_AT_ONCE, progress=lambda _, left, total: tell(total - left, total))
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, with nothing beside it
        found = copy.execute("PRAGMA integrity_check").fetchone()[0]
    if found != "ok":
        raise BackupFailed(f"the copy of the store is damaged, and was not kept: {found}")


def _opened(file: Path, mode: str) -> sqlite3.Connection:
    try:
        store = sqlite3.connect(f"file:{quote(str(file))}?mode={mode}", uri=True, isolation_level=None)
        store.execute("SELECT 1 FROM workflows_run LIMIT 1").fetchone()
    except sqlite3.Error as error:
        raise BackupFailed(f"{file} is no store of this program: {error}") from None
    return store


def _restore_sqlite(file: Path, store: Path, tell: Tell) -> None:
    for path in (Path(f"{store}{ending}") for ending in LEFT_BESIDE):
        if path.exists():
            raise BackupFailed(f"{path} exists: stop everything that uses it, and move {store.name}* elsewhere first")
    with _all_or_nothing(store) as part:
        _copy(_opened(file, "ro"), part, tell)


# --- PostgreSQL ------------------------------------------------------------------------------------------------------


def _restore_postgresql(file: Path) -> None:
    try:
        tables = connection.introspection.table_names()
    except DatabaseError as error:
        raise BackupFailed(f"the database can't be reached: {error}") from None
    if tables:
        raise BackupFailed(f"the database has {len(tables)} tables: restore into an empty one")
    connection.close()
    _postgresql("pg_restore", "--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges", str(file))


def _postgresql(program: str, *arguments: str) -> None:
    """Run one of PostgreSQL's own programs on the store; the password goes through the environment."""
    (_, *where, database), secrets = DatabaseClient.settings_to_cmd_args_env(connection.settings_dict, [])
    command = [program, "--no-password", *where, f"--dbname={database}", *arguments]
    try:
        done = subprocess.run(  # noqa: S603
            command, env=os.environ | (secrets or {}), capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise BackupFailed(f"{program} is not installed: it comes with PostgreSQL's client programs") from None
    if done.returncode:
        raise BackupFailed(f"{program} failed: {done.stderr.strip()}")
