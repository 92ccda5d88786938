"""Everything is done without a mouse, and where the focus is can be seen."""

from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.living import delay, echo
from tests.browser.run_page import expect_status, open_run, step, told
from tests.browser.site import Site

MOST = 120  # presses of Tab
SEEN = """element => {
    const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(element);
    return (outlineStyle !== "none" && outlineWidth !== "0px") || boxShadow !== "none";
}"""


def reach(page: Page, target: Locator) -> None:
    """Press Tab until the target has the focus, which must be seen on it."""
    for _ in range(MOST):
        page.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            assert target.evaluate(SEEN), "where the focus is is not seen"
            return
    raise AssertionError(f"{MOST} times Tab did not lead to {target}")


def test_a_run_is_found_unfolded_and_cancelled(site: Site, visit: OpenPage) -> None:
    site.store(echo("one"), delay("two"), workflow_id="keys_cancel")
    run_id = site.start("keys_cancel")
    site.until(run_id, "running")
    page = visit().go("/admin/")
    reach(page, page.locator("#home-recent a", has_text="keys_cancel").first)
    page.keyboard.press("Enter")
    page.wait_for_url("**/change/")
    page.evaluate("window.isTheSame = true")
    reach(page, page.get_by_role("button", name="Cancel", exact=True))
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    page.keyboard.press("Enter")  # the focus is where it was
    yes = dialog.get_by_role("button", name="Yes, end it")
    if not yes.evaluate("element => element === document.activeElement"):
        reach(page, yes)
    page.keyboard.press("Enter")
    expect_status(page, "cancelled")
    reach(page, step(page, "one").locator("summary").first)
    page.keyboard.press("Enter")
    expect(step(page, "one").get_by_text("Result")).to_be_visible()


def test_a_question_is_answered(site: Site, visit: OpenPage) -> None:
    site.store({"step_id": "ask", "approval": {"prompt": "By keys?"}}, workflow_id="keys_ask")
    run_id = site.start("keys_ask")
    site.until(run_id, "waiting")
    page = open_run(visit(), run_id)
    questions = page.locator("#run-questions")
    reach(page, questions.get_by_label("Comment"))
    page.keyboard.type("Typed")
    reach(page, questions.get_by_role("button", name="Approve"))
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect_status(page, "completed")


def test_a_run_is_run_again(site: Site, visit: OpenPage) -> None:
    site.store(echo("one"), workflow_id="keys_again")
    page = open_run(visit(), site.run("keys_again"))
    reach(page, page.get_by_role("button", name="Run again"))
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Input")).to_be_visible()
    reach(page, dialog.get_by_role("button", name="Start the run"))
    page.keyboard.press("Enter")
    expect(told(page)).to_contain_text("is in line")


def test_the_list_is_filtered(site: Site, visit: OpenPage) -> None:
    site.store(echo("one"), workflow_id="keys_list")
    run_id = site.run("keys_list")
    page = visit().go("/admin/workflows/run/")
    reach(page, page.locator(".k-run-filters > summary"))
    page.keyboard.press("Enter")
    reach(page, page.locator(".k-run-filters").get_by_label("Workflow"))
    page.keyboard.type("keys_list")
    page.keyboard.press("Enter")
    page.wait_for_url("**workflow=keys_list**")
    expect(page.locator("#result_list tbody tr")).to_have_count(1)
    expect(page.locator("#result_list")).to_contain_text(run_id[:8])
