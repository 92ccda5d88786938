"""Requests are real, and so are the engine and the database."""

from collections.abc import Iterator

import pytest
from django.db import connections
from pytest_django import Settings

from agents import catalog
from tests.api.client import Api
from tests.api.live import Server, serving
from tests.factories import make_agent
from workflows import engine_thread, follow


@pytest.fixture(autouse=True)
def _local(transactional_db: None, settings: Settings) -> Iterator[None]:
    """An agent, and a server that `make run` would have started; engine and poller end with the test."""
    settings.LOCAL_ANONYMOUS = True
    make_agent()
    catalog.forget()
    yield
    follow.stop()
    engine_thread.stop()


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A real uvicorn, for what the test client can't show: streaming, large bodies, clients that leave."""
    # Each request has a thread of its own there. A web process pools their connections, which tests do not.
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    with serving() as started:
        yield started
