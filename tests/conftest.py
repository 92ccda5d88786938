"""What all suites share."""

import pytest


@pytest.fixture(autouse=True)
def fresh_caches() -> None:
    """Tests roll their rows back, and ids are given again: nothing read before may be taken for them."""
    from agents import catalog
    from workflows.models.workflow import parsed_version

    catalog.forget()
    parsed_version.cache_clear()
