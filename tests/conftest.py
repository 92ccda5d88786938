"""What all suites share."""

from typing import Any

import pytest
from django.db.backends.postgresql.operations import DatabaseOperations


@pytest.fixture(autouse=True)
def fresh_caches() -> None:
    """Tests roll their rows back, and ids are given again: nothing read before may be taken for them."""
    from agents import catalog
    from workflows.models.workflow import parsed_version

    catalog.forget()
    parsed_version.cache_clear()


def delete_rows(self: DatabaseOperations, style: Any, tables: Any, **options: Any) -> list[str]:
    return ["; ".join(f"DELETE FROM {self.quote_name(table)}" for table in tables)]


# Between tests Django truncates all tables, which makes a new file for each and takes 60 times as long.
DatabaseOperations.sql_flush = delete_rows  # type: ignore[method-assign, assignment]
