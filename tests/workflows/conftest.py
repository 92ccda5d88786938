import pytest

from agents import catalog
from tests.factories import make_agent


@pytest.fixture(autouse=True)
def agent(transactional_db: None) -> None:
    """Engines write from threads of their own, so tests here see committed rows."""
    make_agent()
    catalog.forget()
