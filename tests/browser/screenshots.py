"""``make screenshots``: pictures of the main pages for the documentation, of a site on which something has happened."""

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright
from rich.progress import track

from tests.browser.conftest import CHROMIUM
from tests.browser.editor_page import path_of_workflow
from tests.browser.living import delay, echo, unreachable
from tests.browser.run_page import path_of
from tests.browser.site import ROOT, Site
from tests.browser.watched import open_page, sign_in

FOLDER = ROOT / "docs" / "images"
TOPICS = ["Lighthouses", "The tides", "Night trains", "Beekeeping", "Glass", "Old maps"]

Shot = tuple[str, str, int, str, Callable[[Page], None]]
"""Name, path, width, scheme, and what is done before."""


def main() -> None:
    site = Site(KOLOSAL_HTTP_ALLOW="127.0.0.1", KOLOSAL_INFERENCE_URL="")
    try:
        shots = _live(site)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            cookies = sign_in(site, browser)
            for shot in track(shots, "Pages"):
                _take(site, browser, cookies, shot)
    finally:
        site.close()


def _live(site: Site) -> list[Shot]:
    """What the pages are to show, and which they are."""
    for topic in TOPICS:
        newest = site.run("content_creation", {"topic": topic})
    novel = site.start("novel")
    site.until(novel, "waiting")
    site.run("conditional_research", {})
    fetch = {**unreachable("fetch", max_retries=0), "parameters": {"url": "${input.address}"}}
    site.store(echo("prepare"), fetch, echo("publish"), workflow_id="press_review")
    site.run("press_review", {"address": f"{site.address}/health"})
    failed = site.run("press_review", {"address": "http://127.0.0.1:9/"})
    later = {"max_retries": 5, "retry": {"initial_delay_seconds": 60, "jitter": "none"}}
    site.store(unreachable("fetch", **later), workflow_id="weather")
    site.until(site.start("weather"), "waiting")
    site.store(echo("collect"), delay("render", 45), echo("mail"), workflow_id="newsletter")
    site.until(site.start("newsletter"), "running")
    editor = path_of_workflow(site, "novel")
    return [
        ("home", "/admin/", 1280, "light", _nothing),
        ("run", path_of(newest), 1280, "light", _unfold),
        ("run_dark", path_of(novel), 390, "dark", _nothing),
        ("compare", path_of(failed).replace("/change/", "/compare/"), 1280, "light", _nothing),
        ("runs", "/admin/workflows/run/", 1280, "light", _nothing),
        ("trail", "/admin/workflows/event/", 1280, "light", _nothing),
        ("agents", "/admin/agents/agent/", 1280, "light", _nothing),
        ("designer", editor, 1280, "light", _tab("Designer")),
        ("yaml", editor, 1280, "dark", _tab("YAML")),
    ]


def _take(site: Site, browser: Browser, cookies: str, shot: Shot) -> None:
    name, path, width, scheme, prepare = shot
    watched = open_page(site, browser, cookies, width, scheme)
    page = watched.go(path)
    prepare(page)
    page.wait_for_timeout(500)  # what is drawn by scripts comes to rest
    page.screenshot(path=Path(FOLDER, f"{name}.png"))
    watched.context.close()


def _nothing(page: Page) -> None:
    """The page as it opens."""


def _unfold(page: Page) -> None:
    page.locator("details[data-path] > summary").nth(1).click()


def _tab(name: str) -> Callable[[Page], None]:
    return lambda page: page.get_by_role("tab", name=name).click()


if __name__ == "__main__":
    main()
