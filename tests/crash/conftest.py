"""Sites of one's own for tests: private servers, real processes. Slow, so they run only where they are asked for.

``python -m pytest tests/crash``, or any selection with ``-m crash``. ``make test`` leaves them out.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.crash.hosts import Host
from tests.crash.services import PostgreSQL, Redis
from tests.crash.site import Site

StartSite = Callable[..., Site]
AddHost = Callable[..., Host]
STORES = [
    pytest.param("sqlite", id="sqlite"),
    pytest.param("postgresql", id="postgresql", marks=pytest.mark.postgresql),
]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    own = [item for item in items if "tests/crash/" in item.nodeid]
    for item in own:
        item.add_marker(pytest.mark.crash)
    asked = any("crash" in argument for argument in config.invocation_params.args if isinstance(argument, str))
    if not asked:
        items[:] = [item for item in items if item not in own]
        config.hook.pytest_deselected(items=own)


@pytest.fixture(scope="session")
def servers() -> Iterator[Callable[[type[Any]], Any]]:
    """The session's `PostgreSQL` or `Redis`, started at first need."""
    started: dict[type[Any], Any] = {}

    def get(kind: type[Any]) -> Any:
        if kind not in started:
            started[kind] = kind()
        return started[kind]

    yield get
    for server in started.values():
        server.close()


@pytest.fixture(scope="module")
def start_site(servers: Callable[[type[Any]], Any], django_db_blocker: Any) -> Iterator[StartSite]:
    """``start_site("postgresql", "redis", KOLOSAL_…=…)``: a fresh site that this process's models are of.

    One at a time: a new one takes the place of the one before.
    """
    open_sites = ExitStack()

    def start(store: str | PostgreSQL = "sqlite", broker: str = "orm", small: int = 0, **environment: str) -> Site:
        open_sites.close()
        site = Site(
            store if isinstance(store, PostgreSQL) else servers(PostgreSQL) if store == "postgresql" else None,
            servers(Redis) if broker == "redis" else None,
            small,
            **environment,
        )
        open_sites.callback(site.close)
        open_sites.enter_context(site.here())
        open_sites.callback(site.close_hosts)
        return site

    with django_db_blocker.unblock():
        yield start
        open_sites.close()
