"""Events are only appended, in the store too: triggers refuse UPDATE, and DELETE outside of :func:`deleting`.

Who owns the database can take triggers away; that is what the hash chains are for. Whoever has only a password of it,
or a program with a mistake, changes nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

TABLE = "workflows_event"
UPDATED = "events are append-only: an event is never changed"
DELETED = "events are append-only: only retention deletes them, with their run"

# SQLite's triggers see no variables of the session. So permission is a row that is gone again before the commit: no
# other connection ever sees it, and none can write meanwhile. REPLACE deletes without firing a trigger for DELETE.
SQLITE_PERMIT = ("INSERT OR IGNORE INTO workflows_event_deleting VALUES (1)", "DELETE FROM workflows_event_deleting")
SQLITE_TABLE = "CREATE TABLE IF NOT EXISTS workflows_event_deleting (allowed integer NOT NULL PRIMARY KEY)"
SQLITE = {
    "workflows_event_no_update": f"""
        CREATE TRIGGER workflows_event_no_update BEFORE UPDATE ON {TABLE}
        BEGIN SELECT RAISE(ABORT, '{UPDATED}'); END""",
    "workflows_event_no_delete": f"""
        CREATE TRIGGER workflows_event_no_delete BEFORE DELETE ON {TABLE}
        WHEN NOT EXISTS (SELECT 1 FROM workflows_event_deleting)
        BEGIN SELECT RAISE(ABORT, '{DELETED}'); END""",  # noqa: S608
    "workflows_event_no_replace": f"""
        CREATE TRIGGER workflows_event_no_replace BEFORE INSERT ON {TABLE}
        WHEN EXISTS (SELECT 1 FROM {TABLE} WHERE id = NEW.id)
            OR EXISTS (SELECT 1 FROM {TABLE} WHERE run_id = NEW.run_id AND seq = NEW.seq)
            OR (NEW.run_id IS NULL AND EXISTS (SELECT 1 FROM {TABLE} WHERE run_id IS NULL AND seq = NEW.seq))
        BEGIN SELECT RAISE(ABORT, '{UPDATED}'); END""",  # noqa: S608
}

POSTGRESQL_PERMIT = (
    "SELECT set_config('kolosal.deleting', 'on', true)",  # true: until the end of the transaction at most
    "SELECT set_config('kolosal.deleting', '', true)",
)
POSTGRESQL_FUNCTION = f"""
    CREATE OR REPLACE FUNCTION workflows_event_guard() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'UPDATE' THEN RAISE EXCEPTION '{UPDATED}' USING ERRCODE = 'restrict_violation'; END IF;
        IF current_setting('kolosal.deleting', true) IS DISTINCT FROM 'on' THEN
            RAISE EXCEPTION '{DELETED}' USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN OLD;
    END $$"""
POSTGRESQL = {
    "workflows_event_no_change": f"""
        CREATE TRIGGER workflows_event_no_change BEFORE UPDATE OR DELETE ON {TABLE}
        FOR EACH ROW EXECUTE FUNCTION workflows_event_guard()""",
    "workflows_event_no_truncate": f"""
        CREATE TRIGGER workflows_event_no_truncate BEFORE TRUNCATE ON {TABLE}
        FOR EACH STATEMENT EXECUTE FUNCTION workflows_event_guard()""",
}


@contextmanager
def deleting() -> Iterator[None]:
    """Within the block, which is one transaction, this connection may delete events."""
    grant, withdraw = permission(connection)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(grant)
        yield
        cursor.execute(withdraw)


def permission(database: BaseDatabaseWrapper) -> tuple[str, str]:
    """The statements that grant the rest of a transaction to delete events, and that withdraw it."""
    return SQLITE_PERMIT if database.vendor == "sqlite" else POSTGRESQL_PERMIT


def install(using: str = "default", **_: Any) -> None:
    """Make the triggers that are not there. After each ``migrate``: a migration of the table on SQLite drops them."""
    database = connections[using]
    if TABLE not in database.introspection.table_names():
        return
    missing = [statement for name, statement in triggers(database).items() if name not in _installed(database)]
    if missing:
        with transaction.atomic(using), database.cursor() as cursor:
            for statement in (SQLITE_TABLE if database.vendor == "sqlite" else POSTGRESQL_FUNCTION, *missing):
                cursor.execute(statement)


def lacking() -> list[str]:
    """What keeps the store from refusing changes, in words; empty where all is well."""
    gone = sorted(set(triggers(connection)) - _installed(connection))
    found = [f"the store lacks the trigger {name}: `manage.py migrate` makes it" for name in gone]
    if not gone and connection.vendor == "sqlite" and _is_left_open():
        found.append("the table workflows_event_deleting has a row, so that anybody may delete events: delete it")
    return found


def triggers(database: BaseDatabaseWrapper) -> dict[str, str]:
    """Name → the statement that makes it."""
    return SQLITE if database.vendor == "sqlite" else POSTGRESQL


def _installed(database: BaseDatabaseWrapper) -> set[str]:
    """Names of the table's triggers that are there and in force."""
    with database.cursor() as cursor:
        if database.vendor == "sqlite":
            cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %s", [TABLE])
        else:
            cursor.execute("SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass AND tgenabled <> 'D'", [TABLE])
        return {name for (name,) in cursor.fetchall()}


def _is_left_open() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT 1 FROM workflows_event_deleting)")
        return bool(cursor.fetchone()[0])
