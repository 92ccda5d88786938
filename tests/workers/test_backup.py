"""Backups made while workers write, and what comes of them."""

import base64
import contextlib
import itertools
import sqlite3
import subprocess
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.utils import timezone

from kolosal.backup import BackupFailed, back_up, restore
from tests.factories import make_workflow, run_to_end, step
from tests.stores import empty_store
from tests.workers.conftest import wait_for
from workflows import append_only, audit, runs, verification
from workflows.models import Artifact, Run, StepResult

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "backups"
    made.mkdir()
    return made


def start_runs(notes: Path) -> None:
    """Five runs that end one after the other, and one that is due only later."""
    note = {"file": str(notes)}
    nap = step("second", "nap", {"seconds": "${input.seconds}"})
    workflow = make_workflow(step("first", "note", note), nap, step("third", "note", note))
    for seconds in (0, 0.5, 2, 3, 4):
        runs.start(workflow, {"seconds": seconds}, trigger="api", actor="tester")
    later = timezone.now() + timedelta(seconds=5)
    runs.start(workflow, {"seconds": 0}, trigger="api", actor="tester", run_at=later)


def completed() -> dict[tuple[object, str], list[dict]]:
    """(run, path) → attempts of the steps that completed."""
    rows = StepResult.objects.filter(status="completed")
    return {(row.run_id, row.path): row.attempts for row in rows}


@contextlib.contextmanager
def working(start_worker: Start) -> Iterator[None]:
    worker = start_worker()
    try:
        yield
    finally:
        worker.kill()
        worker.wait()


def test_runs_go_on_from_a_backup_that_was_made_while_they_ran(
    start_worker: Start, folder: Path, tmp_path: Path
) -> None:
    notes, file = tmp_path / "notes", folder / "backup"
    with working(start_worker):
        start_runs(notes)
        wait_for(lambda: Run.objects.filter(status="completed").count() >= 2)
        call_command("backup", str(file))
        wait_for(lambda: Run.objects.filter(status="completed").count() >= 3)  # the store goes on, the backup does not
    notes.unlink()

    with empty_store(tmp_path):
        call_command("restore", str(file))
        before = completed()
        assert append_only.lacking() == []
        statuses = Counter(Run.objects.values_list("status", flat=True))
        assert (statuses["completed"], statuses["running"], statuses["queued"]) == (2, 3, 1)
        with working(start_worker):
            wait_for(lambda: not Run.objects.active().exists(), 40)
        after = completed()
        assert {run.status for run in Run.objects.all()} == {"completed"}
        assert len(after) == 6 * 3
        assert {key: after[key] for key in before} == before
        again = {f"{run}:{path}" for run, path in after.keys() - before.keys() if path != "second"}
        assert sorted(line.split()[1] for line in notes.read_text().splitlines()) == sorted(again)
        assert [audit.first_broken(run.pk) for run in Run.objects.all()] == [None] * 6
        assert audit.first_broken(None) is None


def test_files_that_functions_made_are_in_a_backup(folder: Path, tmp_path: Path) -> None:
    raw = bytes(range(256)) * 5000
    made = [{"name": "raw.bin", "base64": base64.b64encode(raw).decode()}]
    run = run_to_end(step("a", "make", {"files": made}))
    assert run.status == "completed", run.error_message
    call_command("backup", str(folder / "backup"))
    with empty_store(tmp_path):
        call_command("restore", str(folder / "backup"))
        assert bytes(Artifact.objects.get(run=run).content) == raw
        assert list(verification.verify()) == []


def test_an_existing_file_is_not_overwritten(folder: Path) -> None:
    file = folder / "backup"
    file.write_text("precious")
    with pytest.raises(CommandError, match="exists already"):
        call_command("backup", str(file))
    assert [(path.name, path.read_text()) for path in folder.iterdir()] == [("backup", "precious")]


def test_a_folder_that_is_not_there_is_told(folder: Path) -> None:
    with pytest.raises(CommandError, match=r"nothing can be written to the folder .*missing: No such file"):
        call_command("backup", str(folder / "missing" / "backup"))


def test_nothing_is_restored_over_a_store(folder: Path) -> None:
    call_command("backup", str(folder / "backup"))
    with pytest.raises(CommandError, match=r"move .* elsewhere first|restore into an empty one"):
        call_command("restore", str(folder / "backup"))


def test_a_file_that_is_no_backup_is_not_restored(folder: Path, tmp_path: Path) -> None:
    file = folder / "letter"
    file.write_text("Dear Sir or Madam, " * 1000)
    with empty_store(tmp_path):
        with pytest.raises(CommandError, match=r"is no store of this program|pg_restore failed"):
            call_command("restore", str(file))
        assert not list(tmp_path.glob("store*"))
        with pytest.raises(CommandError, match="is not a file"):
            call_command("restore", str(folder))


# --- SQLite ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def plain_store(tmp_path: Path) -> Iterator[Path]:
    """A small store with two accounts and many pages."""
    if connection.vendor != "sqlite":
        pytest.skip("for SQLite")
    with empty_store(tmp_path):
        file = Path(connection.settings_dict["NAME"])
        with contextlib.closing(sqlite3.connect(file)) as store, store:
            store.execute("PRAGMA journal_mode=WAL")
            store.execute("CREATE TABLE workflows_run (id INTEGER PRIMARY KEY, text TEXT UNIQUE)")
            store.executemany("INSERT INTO workflows_run (text) VALUES (?)", ((f"{n:01000}",) for n in range(20_000)))
            store.execute("CREATE TABLE accounts (amount INTEGER)")
            store.execute("INSERT INTO accounts VALUES (50), (50)")
        yield file


def test_a_backup_of_a_store_that_is_written_all_the_time_ends_and_holds_one_moment(
    plain_store: Path, folder: Path
) -> None:
    stop, written = threading.Event(), itertools.count()

    def write() -> None:
        with contextlib.closing(sqlite3.connect(plain_store, isolation_level=None)) as store:
            while not stop.is_set():
                store.execute("BEGIN IMMEDIATE")
                store.execute("UPDATE accounts SET amount = amount + 1 WHERE rowid = 1")
                store.execute("UPDATE accounts SET amount = amount - 1 WHERE rowid = 2")
                store.execute("COMMIT")
                next(written)

    told: list[tuple[int, int]] = []
    writer = threading.Thread(target=write)
    writer.start()
    try:
        wait_for(lambda: next(written) > 100)
        back_up(folder / "backup", lambda done, total: told.append((done, total)))
    finally:
        stop.set()
        writer.join()
    assert len(told) > 1
    assert told[-1][0] == told[-1][1]
    with contextlib.closing(sqlite3.connect(folder / "backup")) as copy:
        assert copy.execute("SELECT sum(amount), max(amount) > 100 FROM accounts").fetchone() == (100, 1)
        assert copy.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert [path.name for path in folder.iterdir()] == ["backup"]


def test_a_damaged_store_gives_no_backup(plain_store: Path, folder: Path) -> None:
    with contextlib.closing(sqlite3.connect(plain_store)) as store:
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    size = plain_store.stat().st_size
    with plain_store.open("r+b") as file:
        file.seek(size // 2)
        file.write(b"\xff" * 50_000)
    with pytest.raises(BackupFailed, match=r"damaged|malformed"):
        back_up(folder / "backup")
    assert not list(folder.iterdir())


def test_what_a_lost_store_left_is_not_taken_for_part_of_the_backup(plain_store: Path, folder: Path) -> None:
    back_up(folder / "backup")
    plain_store.unlink()
    Path(f"{plain_store}-wal").write_bytes(b"changes of another store")
    with pytest.raises(BackupFailed, match=r"store\.sqlite3-wal exists"):
        restore(folder / "backup")


# --- PostgreSQL ------------------------------------------------------------------------------------------------------


@pytest.fixture
def postgresql() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("for PostgreSQL")


def test_a_missing_pg_dump_is_told(postgresql: None, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(BackupFailed, match="pg_dump is not installed"):
        back_up(folder / "backup")
    assert not list(folder.iterdir())


def test_a_failing_pg_dump_is_told_and_leaves_nothing(
    postgresql: None, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connection.settings_dict, "USER", "nobody-we-know")
    with pytest.raises(BackupFailed, match=r"pg_dump failed: .*nobody-we-know"):
        back_up(folder / "backup")
    assert not list(folder.iterdir())


def test_the_password_is_told_to_pg_dump_by_the_environment_only(
    postgresql: None, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = folder / "pg_dump"
    program.write_text('#!/bin/sh\necho "$PGPASSWORD, but $@" >&2\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin")
    monkeypatch.setitem(connection.settings_dict, "PASSWORD", "canary")
    with pytest.raises(BackupFailed, match=r"canary, but --no-password (?!.*canary)"):
        back_up(folder / "backup")
