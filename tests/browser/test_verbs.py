"""The buttons of a run's page: each asks first, does it, and shows what came of it without a reload."""

import re

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import OpenPage
from tests.browser.living import delay, echo, unreachable
from tests.browser.run_page import expect_status, open_run, press, step, told
from tests.browser.site import Site
from tests.browser.watched import sign_in

PARAMETERS = {"type": "object", "properties": {"topic": {"type": "string"}}, "required": ["topic"]}


@pytest.fixture(scope="module")
def workflows(site: Site) -> None:
    site.store(echo("first"), delay("slow"), echo("last"), workflow_id="verbs_slow")
    site.store(echo("first"), delay("short", 6), echo("last"), workflow_id="verbs_short")
    site.store(echo("first"), unreachable("fetch", max_retries=0), workflow_id="verbs_failing")
    topic = echo("say", parameters={"message": "About ${input.topic}"})
    site.store(topic, workflow_id="verbs_topic", parameters=PARAMETERS)
    site.store(echo("a"), {"step_id": "ask", "approval": {"prompt": "Publish?"}}, echo("b"), workflow_id="verbs_ask")


pytestmark = pytest.mark.usefixtures("workflows")


def test_cancel(site: Site, visit: OpenPage) -> None:
    run_id = site.start("verbs_slow")
    site.until(run_id, "running")
    page = open_run(visit(), run_id)
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").get_by_role("button", name="Keep as it is").click()
    expect_status(page, "running")
    press(page, "Cancel", "Yes, end it")
    expect(told(page)).to_contain_text("The run is being cancelled.")
    expect_status(page, "cancelled")
    expect(page.locator("#run-why")).to_contain_text("Cancelled by admin")
    expect(page.get_by_role("button", name="Cancel", exact=True)).to_have_count(0)
    press(page, "Retry", "Retry it")
    expect_status(page, "running")
    site.api("POST", f"runs/{run_id}/cancel")
    expect_status(page, "cancelled")


def test_pause_and_resume(site: Site, visit: OpenPage) -> None:
    run_id = site.start("verbs_short")
    page = open_run(visit(), run_id)
    press(page, "Pause", "Pause it")
    expect(told(page)).to_contain_text("The run pauses")
    expect_status(page, "paused")
    expect(page.locator("#run-why")).to_contain_text("Paused by admin")
    press(page, "Resume", "Go on")
    expect(told(page)).to_contain_text("The run goes on.")
    expect_status(page, "completed")


def test_retry_and_retry_from_here(site: Site, visit: OpenPage) -> None:
    run_id = site.run("verbs_failing")
    page = open_run(visit(), run_id)
    expect(page.locator("#run-why")).to_contain_text("fetch failed")
    press(page, "Retry", "Retry it")
    expect(told(page)).to_contain_text("from its first unfinished step on")
    expect(page.get_by_text("attempt 2")).to_be_visible(timeout=15_000)
    expect_status(page, "failed")
    step(page, "first").locator("summary").first.click()
    step(page, "first").get_by_role("button", name="Retry from here").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Retry from step first?")
    dialog.get_by_role("button", name="Retry from here").click()
    expect(told(page)).to_contain_text("from step first on")
    expect(page.get_by_text("attempt 3")).to_be_visible(timeout=15_000)
    expect_status(page, "failed")
    expect(step(page, "first").get_by_text("Earlier results, 1")).to_be_visible()


def test_run_again_with_changed_input(site: Site, visit: OpenPage) -> None:
    run_id = site.run("verbs_topic", {"topic": "Whales"})
    page = open_run(visit(), run_id)
    page.get_by_role("button", name="Run again").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("topic (string)")
    field = dialog.get_by_label("Input")
    assert "Whales" in field.input_value()
    field.fill('{"topic": 7}')
    dialog.get_by_role("button", name="Start the run").click()
    expect(dialog.locator(".k-field-error")).to_contain_text("topic")
    dialog.get_by_label("Input").fill('{"topic": "Dolphins"}')
    dialog.get_by_role("button", name="Start the run").click()
    expect(told(page)).to_contain_text("is in line")
    told(page).get_by_role("link", name="Open it").click()
    page.wait_for_url(re.compile(r"/run/[0-9a-f-]+/change/"))
    page.evaluate("window.isTheSame = true")
    expect_status(page, "completed")
    step(page, "say").locator("summary").first.click()
    expect(step(page, "say")).to_contain_text("About Dolphins")
    expect(page.get_by_text("Repeats")).to_be_visible()


@pytest.mark.parametrize("answer", ["Approve", "Reject"])
def test_approve_or_reject(answer: str, site: Site, visit: OpenPage) -> None:
    run_id = site.start("verbs_ask")
    site.until(run_id, "waiting")
    page = open_run(visit(), run_id)
    expect(page.locator("#run-why")).to_contain_text("ask waits for an answer by anybody who may")
    questions = page.locator("#run-questions")
    questions.get_by_label("Comment").fill("So be it")
    questions.get_by_role("button", name=answer).click()
    page.get_by_role("dialog").get_by_role("button", name=answer).click()
    expect_status(page, "completed")
    expect(questions).to_have_count(0)
    step(page, "ask").locator("summary").first.click()
    expect(step(page, "ask")).to_contain_text("So be it")
    expect(step(page, "ask").locator(".k-notice").first).to_contain_text(f"admin answered {answer.lower()}")


def test_a_viewer_sees_all_and_steers_nothing(site: Site, browser: Browser, visit: OpenPage) -> None:
    site.make_person("vera", "viewer")
    run_id = site.start("verbs_ask")
    site.until(run_id, "waiting")
    page = open_run(visit(cookies=sign_in(site, browser, "vera")), run_id)
    expect(page.locator("#run-questions")).to_contain_text("Publish?")
    for label in ("Cancel", "Pause", "Run again", "Approve", "Reject", "Retry from here"):
        expect(page.get_by_role("button", name=label, exact=True)).to_have_count(0)
    token = page.context.cookies()
    csrf = next(cookie["value"] for cookie in token if cookie["name"] == "csrftoken")
    for verb in ("cancel", "pause", "resume", "retry", "rerun", "answer"):
        address = f"{site.address}/admin/workflows/run/{run_id}/{verb}/"
        sent: dict[str, str | float | bool] = {"csrfmiddlewaretoken": csrf, "path": "ask", "answer": "approve"}
        answer = page.request.post(address, form=sent, headers={"Referer": site.address})
        assert answer.status == 403, verb
    assert site.status(run_id) == "waiting"
