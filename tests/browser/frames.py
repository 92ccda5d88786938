"""``python -m tests.browser.frames``: how long frames take while a workflow of 200 steps is moved, zoomed and edited.

Prints milliseconds, median and 95th percentile, for the designer with 200 steps beside one with 5.
"""

import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.conftest import CHROMIUM
from tests.browser.editor_page import EditorPage, path_of_workflow
from tests.browser.living import echo
from tests.browser.site import Site
from tests.browser.watched import open_page, sign_in

COUNT = """() => {
    window.frames_seen = [];
    let last = performance.now();
    const next = (now) => {
        window.frames_seen.push(now - last);
        last = now;
        window.counting = requestAnimationFrame(next);
    };
    window.counting = requestAnimationFrame(next);
}"""
COUNTED = "() => { cancelAnimationFrame(window.counting); return window.frames_seen.slice(1); }"


def main() -> None:
    site = Site(KOLOSAL_INFERENCE_URL="")
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            cookies = sign_in(site, browser)
            for steps in (5, 200):
                site.store(*(echo(f"s{number}") for number in range(steps)), workflow_id=f"of_{steps}")
                _measure(site, browser, cookies, steps)
    finally:
        site.close()


def _measure(site: Site, browser: Browser, cookies: str, steps: int) -> None:
    page = open_page(site, browser, cookies, 1280, "light").go(path_of_workflow(site, f"of_{steps}"))
    editor = EditorPage(page)
    editor.open("Designer")
    page.wait_for_timeout(1000)
    for name, act in {"moved": _move, "zoomed": _zoom, "a step chosen": _choose(editor)}.items():
        with _frames(page) as taken:
            act(page)
        taken.sort()
        p95 = taken[len(taken) * 95 // 100]
        print(f"{steps} steps, {name}: median {statistics.median(taken):.0f} ms, p95 {p95:.0f} ms")


@contextmanager
def _frames(page: Page) -> Iterator[list[float]]:
    """The time between the frames that are drawn within."""
    taken: list[float] = []
    page.evaluate(COUNT)
    yield taken
    taken += page.evaluate(COUNTED)


def _move(page: Page) -> None:
    page.mouse.move(900, 500)
    page.mouse.down()
    for number in range(60):
        page.mouse.move(900, 500 - number * 5)
    page.mouse.up()


def _zoom(page: Page) -> None:
    for _ in range(6):
        page.get_by_title("Zoom out").click()
    for _ in range(6):
        page.get_by_title("Zoom in").click()


def _choose(editor: EditorPage) -> Callable[[Page], None]:
    def choose(page: Page) -> None:
        for name in ("s1", "s3", "s2"):
            editor.select(name)
            editor.to_workflow()

    return choose


main()
