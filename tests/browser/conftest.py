"""Pages in Debian's Chromium, of a site with a worker. They run only where they are asked for: ``make browser``."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.site import Site
from tests.browser.watched import Watched, open_page, sign_in

CHROMIUM = os.environ.get("TEST_CHROMIUM", "/usr/bin/chromium")
OpenPage = Callable[..., Watched]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """With the shipped agents and examples, and no model server: the offline provider answers."""
    made = Site(KOLOSAL_HTTP_ALLOW="127.0.0.1", KOLOSAL_INFERENCE_URL="")
    yield made
    made.close()


@pytest.fixture(scope="session")
def session(site: Site, browser: Browser) -> str:
    return sign_in(site, browser)


@pytest.fixture
def visit(site: Site, browser: Browser, session: str) -> Iterator[OpenPage]:
    """``visit(width=390, scheme="dark")``: a `Watched` page of the administrator. At the end nothing may be wrong."""
    opened: list[Watched] = []
    with ExitStack() as contexts:

        def visit(width: int = 1280, scheme: str = "light", cookies: str = session) -> Watched:
            watched = open_page(site, browser, cookies, width, scheme)
            contexts.callback(watched.context.close)
            opened.append(watched)
            return watched

        yield visit
    assert [wrong for watched in opened for wrong in watched.wrong] == []
