"""What all suites share."""

import os

import pytest

# Before settings load: the scripted functions must be known in helper processes too, which inherit the environment.
os.environ.setdefault("KOLOSAL_FUNCTIONS", "tests.scripted")


@pytest.fixture(autouse=True)
def fresh_caches() -> None:
    """Tests roll their rows back, and ids are given again: nothing read before may be taken for them."""
    from agents import catalog
    from workflows.models.workflow import parsed_version

    catalog.forget()
    parsed_version.cache_clear()
