"""Empty stores of a test's own, beside the test database."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.db import connection


@contextlib.contextmanager
def empty_store(folder: Path) -> Iterator[None]:
    """An empty store, which takes the place of the test database meanwhile: on SQLite a file in ``folder`` that is
    not there yet, on PostgreSQL a database, dropped at the end.
    """
    settings: dict[str, Any] = connection.settings_dict
    usual = settings["NAME"]
    connection.close()
    settings["NAME"] = str(folder / "store.sqlite3") if connection.vendor == "sqlite" else f"{usual}_scratch"
    try:
        _drop_database()
        _create_database()
        yield
    finally:
        connection.close()
        _drop_database()
        settings["NAME"] = usual


def _create_database() -> None:
    if connection.vendor == "postgresql":
        _on_the_server(f'CREATE DATABASE "{connection.settings_dict["NAME"]}"')


def _drop_database() -> None:
    if connection.vendor == "postgresql":
        _on_the_server(f'DROP DATABASE IF EXISTS "{connection.settings_dict["NAME"]}" WITH (FORCE)')


def _on_the_server(statement: str) -> None:
    with connection._nodb_cursor() as cursor:
        cursor.execute(statement)
