"""Events can't be changed in the store, nor deleted but by retention."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import DatabaseError, IntegrityError, connection, connections, transaction
from django.test import override_settings
from django.utils import timezone

from tests.factories import run_to_end, step
from tests.tampering import unguarded
from tests.workflows.bulk import ended_runs
from workflows import append_only, retention, verification
from workflows.models import Event, Run

sqlite_only = pytest.mark.skipif(connection.vendor != "sqlite", reason="about SQLite")
postgresql_only = pytest.mark.skipif(connection.vendor != "postgresql", reason="about PostgreSQL")
COLUMNS = "(id, seq, type, at, actor, path, data, hash, run_id)"
REST = "type, at, 'x', path, data, hash, run_id FROM workflows_event WHERE seq = 1 AND run_id IS NOT NULL"
CHANGED = "an event is never changed"
DELETED = "only retention deletes them"


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def stored() -> list[tuple[object, ...]]:
    return list(Event.objects.order_by("id").values_list("id", "run", "seq", "actor", "hash"))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda event: Event.objects.filter(pk=event.pk).update(actor="x"), CHANGED),
        (lambda event: Event(pk=event.pk, run=event.run, seq=1, type="x", at=event.at).save(), CHANGED),
        (lambda event: event.delete(), DELETED),
        (lambda event: event.run.delete(), DELETED),
        (lambda event: Event.objects.filter(pk=event.pk)._raw_delete("default"), DELETED),
        (lambda event: execute("UPDATE workflows_event SET hash = hash"), CHANGED),
        (lambda event: execute("DELETE FROM workflows_event"), DELETED),
    ],
)
def test_events_are_neither_changed_nor_deleted(harm: Callable[[Event], object], said: str) -> None:
    run = run_to_end(step("a"))
    before = stored()
    with pytest.raises(IntegrityError, match=said):
        harm(Event.objects.get(run=run, seq=1))
    assert stored() == before
    assert Run.objects.get().pk == run.pk


@sqlite_only
@pytest.mark.parametrize(
    "statement",
    [
        "INSERT OR REPLACE INTO workflows_event {columns} SELECT id, 99, {rest}",
        "REPLACE INTO workflows_event {columns} SELECT 999, 1, {rest}",
        "UPDATE OR REPLACE workflows_event SET actor = 'x'",
        "UPDATE OR IGNORE workflows_event SET actor = 'x'",
        "DELETE FROM workflows_event WHERE 1",
    ],
)
def test_sqlite_has_no_other_way(statement: str) -> None:
    run_to_end(step("a"))
    before = stored()
    with pytest.raises(IntegrityError, match="append-only"):
        execute(statement.format(columns=COLUMNS, rest=REST))
    assert stored() == before


@postgresql_only
@pytest.mark.parametrize("statement", ["TRUNCATE workflows_event", "TRUNCATE workflows_run CASCADE"])
def test_postgresql_has_no_other_way(statement: str) -> None:
    run_to_end(step("a"))
    before = stored()
    with pytest.raises(IntegrityError, match="append-only"):
        execute(statement)
    assert stored() == before


def test_permission_to_delete_ends_with_its_block() -> None:
    runs = [run_to_end(step("a")) for _ in range(3)]
    with transaction.atomic():
        with append_only.deleting():
            runs[0].delete()
        with pytest.raises(IntegrityError, match=DELETED), transaction.atomic():
            runs[1].delete()
    with pytest.raises(ValueError, match="no"), append_only.deleting():
        raise ValueError("no")
    with pytest.raises(IntegrityError, match=DELETED):
        runs[2].delete()
    with append_only.deleting(), pytest.raises(IntegrityError, match=CHANGED), transaction.atomic():
        Event.objects.update(actor="x")
    assert Run.objects.count() == 2
    assert append_only.lacking() == []


def test_while_retention_deletes_others_still_may_not() -> None:
    run_to_end(step("a"))
    told: list[str] = []

    def delete() -> None:
        try:
            if connection.vendor == "sqlite":
                execute("PRAGMA busy_timeout = 50")
            execute("DELETE FROM workflows_event")
        except DatabaseError as error:
            told.append(str(error))
        finally:
            connections.close_all()

    with append_only.deleting():
        other = threading.Thread(target=delete)
        other.start()
        other.join()
    assert ("locked" if connection.vendor == "sqlite" else DELETED) in told[0]


@override_settings(RETENTION_DAYS=30)
def test_retention_deletes_events_with_their_runs() -> None:
    ended_runs(3, timezone.now() - timedelta(days=40))
    assert retention.delete_old() == 3
    assert not Event.objects.filter(run__isnull=False).exists()


def test_migrate_brings_back_triggers_that_are_gone_and_verify_audit_tells() -> None:
    run_to_end(step("a"))
    with unguarded():
        told = [str(broken) for broken in verification.verify()]
        assert len(told) == len(append_only.triggers(connection))
        assert "lacks the trigger workflows_event_no_" in told[0]
        call_command("migrate", verbosity=0)
        assert append_only.lacking() == []


@sqlite_only
def test_a_permission_that_somebody_committed_is_told() -> None:
    execute("INSERT INTO workflows_event_deleting VALUES (1)")
    (told,) = verification.verify()
    execute("DELETE FROM workflows_event_deleting")
    assert "anybody may delete events" in str(told)


@postgresql_only
def test_a_trigger_that_is_switched_off_is_told() -> None:
    execute("ALTER TABLE workflows_event DISABLE TRIGGER workflows_event_no_change")
    (told,) = append_only.lacking()
    execute("ALTER TABLE workflows_event ENABLE TRIGGER workflows_event_no_change")
    assert "workflows_event_no_change" in told
    assert append_only.lacking() == []
