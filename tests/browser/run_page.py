"""What a person does on the page of a run."""

from playwright.sync_api import Locator, Page, expect

from tests.browser.watched import Watched


def path_of(run_id: str) -> str:
    return f"/admin/workflows/run/{run_id}/change/"


def open_run(watched: Watched, run_id: str) -> Page:
    page = watched.go(path_of(run_id))
    page.evaluate("window.isTheSame = true")
    return page


def press(page: Page, label: str, yes: str) -> None:
    """Press a button, and the one of the dialog that it opens."""
    page.get_by_role("button", name=label, exact=True).first.click()
    page.get_by_role("dialog").get_by_role("button", name=yes, exact=True).click()


def expect_status(page: Page, status: str, seconds: float = 15) -> None:
    """The page comes to show it by itself."""
    expect(page.locator("#run-status")).to_have_text(status, timeout=seconds * 1000)
    assert page.evaluate("window.isTheSame"), "the page was loaded again"


def told(page: Page) -> Locator:
    return page.locator("#run-told")


def step(page: Page, path: str) -> Locator:
    return page.locator(f'details[data-path="{path}"]')
