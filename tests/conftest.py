"""What all suites share."""

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management.commands import flush
from django.db.backends.base.operations import BaseDatabaseOperations
from django.db.backends.postgresql.base import DatabaseWrapper as PostgreSQL
from django.db.backends.sqlite3.base import DatabaseWrapper as SQLite

import kolosal.urls  # noqa: F401  (it loads the admin's pages, in their order)
from workflows import append_only, roles


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The tests that need a browser are run where they are asked for (``make browser``), and only there imported."""
    asked = any("browser" in str(argument) for argument in config.invocation_params.args)
    return True if collection_path.name == "browser" and not asked else None


def pytest_configure() -> None:
    """Passwords are hashed once, not a million times."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def fresh_caches() -> None:
    """Tests roll their rows back, and ids are given again: nothing read before may be taken for them."""
    from agents import catalog
    from workflows import dispatch
    from workflows.models.workflow import known_version, parsed_version

    catalog.forget()
    dispatch._asked_again_at = 0.0
    known_version.cache_clear()
    parsed_version.cache_clear()


KEPT = {"django_content_type", "auth_permission", "auth_group", "auth_group_permissions"}
MADE_GROUPS = f"SELECT id FROM auth_group WHERE name NOT IN ({', '.join(repr(role) for role in roles.ROLES)})"


def delete_rows(self: BaseDatabaseOperations, style: Any, tables: Any, **options: Any) -> list[str]:
    grant, withdraw = append_only.permission(self.connection)
    statements = [
        grant,
        *(f"DELETE FROM {self.quote_name(table)}" for table in tables if table not in KEPT),
        f"DELETE FROM auth_group_permissions WHERE group_id IN ({MADE_GROUPS})",
        f"DELETE FROM auth_group WHERE id IN ({MADE_GROUPS})",
        withdraw,
    ]
    return ["; ".join(statements)] if self.connection.vendor == "postgresql" else statements


# Events are deleted by nobody who has not asked for it. And on PostgreSQL Django truncates all tables between tests,
# which makes a new file for each and takes 60 times as long. What `migrate` makes is left there, not made anew.
PostgreSQL.ops_class.sql_flush = delete_rows  # type: ignore[method-assign]
SQLite.ops_class.sql_flush = delete_rows  # type: ignore[method-assign]
flush.emit_post_migrate_signal = lambda *args, **options: None  # type: ignore[attr-defined]
