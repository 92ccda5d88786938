"""What a person who never saw the system finds from the home page in under five clicks."""

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.living import echo
from tests.browser.site import Site

FEW = 5


class Person:
    """Starts at the home page and counts what they click on."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.clicks = 0

    def click(self, target: Locator) -> None:
        self.clicks += 1
        target.first.click()


@pytest.fixture
def person(visit: OpenPage) -> Person:
    return Person(visit().go("/admin/"))


def test_which_run_is_stuck_and_why(site: Site, person: Person) -> None:
    refused = {"step_id": "fetch", "agent_id": "research_assistant", "function_name": "http_request"}
    later = {"max_retries": 5, "retry": {"initial_delay_seconds": 60, "jitter": "none"}}
    site.store({**refused, "parameters": {"url": "http://127.0.0.1:9/"}, **later}, workflow_id="clicks_stuck")
    run_id = site.start("clicks_stuck")
    site.until(run_id, "waiting")
    person.page.reload()
    stuck = person.page.locator("#home-stuck a", has_text="clicks_stuck")
    expect(stuck).to_contain_text("fetch is tried again in")
    person.click(stuck)
    expect(person.page.locator("#run-why")).to_contain_text("fetch is tried again in")
    assert person.clicks < FEW
    site.api("POST", f"runs/{run_id}/cancel")


def test_what_the_second_steps_prompt_really_was(site: Site, person: Person) -> None:
    ask = {"step_id": "write", "agent_id": "content_creator", "function_name": "inference"}
    prompt = {"parameters": {"prompt": "Write of ${input.topic} after ${steps.first.result.echo}"}}
    site.store(echo("first", parameters={"message": "the storm"}), {**ask, **prompt}, workflow_id="clicks_prompt")
    site.run("clicks_prompt", {"topic": "lighthouses"})
    person.page.reload()
    person.click(person.page.locator("#home-recent a", has_text="clicks_prompt"))
    person.click(person.page.locator('details[data-path="write"] summary'))
    expect(person.page.get_by_text("Write of lighthouses after the storm", exact=True)).to_be_visible()
    assert person.clicks < FEW


def test_where_the_failing_run_differs_from_the_good_one(site: Site, person: Person) -> None:
    fetch = {"step_id": "fetch", "agent_id": "research_assistant", "function_name": "http_request", "max_retries": 0}
    site.store(
        echo("topic", parameters={"message": "${input.topic}"}),
        {**fetch, "parameters": {"url": "${input.address}"}},
        workflow_id="clicks_differs",
    )
    assert (
        site.status(site.run("clicks_differs", {"topic": "rain", "address": f"{site.address}/health"})) == "completed"
    )
    assert site.status(site.run("clicks_differs", {"topic": "rain", "address": "http://127.0.0.1:9/"})) == "failed"
    person.page.reload()
    person.click(person.page.locator("#home-failures a", has_text="clicks_differs"))
    person.click(person.page.get_by_role("link", name="Compare"))
    told = person.page.get_by_role("status").first
    expect(told).to_contain_text("They end otherwise first at fetch")
    expect(told).to_contain_text("completed in the other run, failed in this one")
    expect(told).to_contain_text("Their inputs differ.")
    assert person.clicks < FEW


def test_who_cancelled_what(site: Site, person: Person) -> None:
    site.store({"step_id": "ask", "approval": {"prompt": "Go?"}}, workflow_id="clicks_cancelled")
    run_id = site.start("clicks_cancelled")
    site.until(run_id, "waiting")
    person.page.goto(f"{site.address}/admin/workflows/run/{run_id}/change/")
    person.page.get_by_role("button", name="Cancel").click()
    person.page.get_by_role("dialog").get_by_role("button", name="Yes, end it").click()
    expect(person.page.locator("#run-status")).to_have_text("cancelled")
    person.page.goto(f"{site.address}/admin/")
    person.click(person.page.get_by_role("link", name="Audit trail"))
    person.click(person.page.get_by_role("link", name="Cancelled runs"))
    row = person.page.locator(".k-trail li", has_text="clicks_cancelled")
    expect(row).to_contain_text("admin")
    expect(row).to_contain_text("cancelled")
    assert person.clicks < FEW
