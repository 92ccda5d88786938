"""What happens in a worker is seen in the browser as it happens: steps, text, the count in the header, long work."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, expect

from tests.agents.scripted_server import Exchange, delta, scripted_server
from tests.browser.conftest import OpenPage
from tests.browser.living import delay, echo, unreachable
from tests.browser.run_page import expect_status, open_run, step
from tests.browser.site import Site
from tests.browser.watched import open_page, sign_in

PATIENCE = 15_000  # milliseconds


@dataclass
class Telling:
    """A site whose model says a word whenever the test lets it."""

    site: Site
    words: threading.Semaphore


@pytest.fixture(scope="module")
def telling() -> Iterator[Telling]:
    words = threading.Semaphore(0)

    def respond(exchange: Exchange) -> None:
        exchange.open_stream()
        for word in ("Once ", "upon ", "a time."):
            words.acquire(timeout=60)
            exchange.event(delta(word))
        exchange.event(delta(finish="stop"))
        exchange.event("[DONE]")
        exchange.handler.wfile.write(b"0\r\n\r\n")
        exchange.handler.close_connection = True

    with scripted_server(respond) as model:
        site = Site(KOLOSAL_HTTP_ALLOW="127.0.0.1", KOLOSAL_INFERENCE_URL=model.url, KOLOSAL_INFERENCE_MODEL="told")
        yield Telling(site, words)
        site.close()


def test_a_run_moves_before_ones_eyes(site: Site, visit: OpenPage) -> None:
    site.store(echo("one"), delay("two", 8), echo("three"), workflow_id="live_moving")
    run_id = site.start("live_moving")
    watched = visit()
    asked: list[str] = []
    page = open_run(watched, run_id)
    page.on("request", lambda request: asked.append(request.url))
    expect(step(page, "two").locator(".k-badge").first).to_have_text("running", timeout=PATIENCE)
    growing = page.locator("#timeline rect[data-x]").first
    width = growing.get_attribute("width")
    page.wait_for_timeout(1200)
    assert growing.get_attribute("width") != width
    expect_status(page, "completed")
    expect(step(page, "three").locator(".k-badge").first).to_have_text("completed")
    assert not [url for url in asked if url.endswith("/change/")], "the whole page was asked for"


def test_text_is_seen_as_the_model_writes_it(telling: Telling, browser: Browser) -> None:
    site = telling.site
    write = {"step_id": "write", "agent_id": "content_creator", "function_name": "inference"}
    site.store({**write, "parameters": {"prompt": "Tell a tale"}}, workflow_id="live_tale")
    run_id = site.start("live_tale")
    watched = open_page(site, browser, sign_in(site, browser))
    page = open_run(watched, run_id)
    for word, so_far in (("Once", "Once "), ("upon", "Once upon ")):
        telling.words.release()
        expect(page.locator('[data-text-of="write"]')).to_have_text(so_far.strip(), timeout=PATIENCE)
        assert word
    page.reload()
    page.evaluate("window.isTheSame = true")
    expect(page.locator('[data-text-of="write"]')).to_have_text("Once upon", timeout=PATIENCE)
    telling.words.release()
    expect_status(page, "completed")
    step(page, "write").locator("summary").first.click()
    expect(step(page, "write")).to_contain_text("Once upon a time.")
    assert watched.wrong == []
    watched.context.close()


def test_the_model_servers_are_asked(telling: Telling, browser: Browser) -> None:
    watched = open_page(telling.site, browser, sign_in(telling.site, browser))
    page = watched.go("/admin/agents/agent/")
    page.get_by_role("link", name="Model servers").locator("visible=true").first.click()
    telling.words.release(3)
    page.get_by_role("button", name="Test it").click()
    expect(page.locator(".k-line").first).to_contain_text("answers")
    expect(page.locator(".k-line").first).to_contain_text("“Once upon a time.” after")
    assert watched.wrong == []
    watched.context.close()


def test_a_lost_connection_is_told_and_made_up_for(site: Site, visit: OpenPage) -> None:
    site.store(echo("one"), delay("two", 6), echo("three"), workflow_id="live_lost")
    run_id = site.start("live_lost")
    site.until(run_id, "running")
    watched = visit()
    page = open_run(watched, run_id)
    expect(step(page, "two")).to_be_visible(timeout=PATIENCE)
    watched.context.set_offline(True)
    site.until(run_id, "completed")
    watched.context.set_offline(False)
    expect_status(page, "completed", 30)
    watched.wrong[:] = [wrong for wrong in watched.wrong if "ERR_INTERNET_DISCONNECTED" not in wrong]


def test_a_run_that_ended_shows_that_another_person_retried_it(site: Site, visit: OpenPage) -> None:
    site.store(unreachable("fetch", max_retries=0), workflow_id="live_retried")
    run_id = site.run("live_retried")
    page = open_run(visit(), run_id)
    expect_status(page, "failed")
    site.api("POST", f"runs/{run_id}/retry")
    site.until(run_id, "failed")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.get_by_text("attempt 2")).to_be_visible(timeout=PATIENCE)


def test_the_header_counts_what_waits_for_me(site: Site, visit: OpenPage) -> None:
    site.store({"step_id": "ask", "approval": {"prompt": "Go?"}}, workflow_id="live_ask")
    page = visit().go("/admin/")
    link = page.get_by_role("link", name="Waiting for you").first
    before = _count(link.inner_text())
    run_id = site.start("live_ask")
    site.until(run_id, "waiting")
    page.reload()
    assert _count(page.get_by_role("link", name="Waiting for you").first.inner_text()) == before + 1
    page.get_by_role("link", name="Waiting for you").first.click()
    question = page.locator(".k-question", has_text="Go?").first
    expect(question).to_be_visible()


def test_all_runs_of_a_list_are_cancelled_with_progress(site: Site, visit: OpenPage) -> None:
    site.store({"step_id": "ask", "approval": {"prompt": "Go?"}}, workflow_id="live_bulk")
    ids = [site.start("live_bulk") for _ in range(30)]
    for run_id in ids:
        site.until(run_id, "waiting")
    page = visit().go("/admin/workflows/run/?workflow=live_bulk")
    page.get_by_role("link", name="Cancel or retry all of these").click()
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Cancel 30 runs").click()
    expect(page.locator("[data-told]")).to_have_text("30 done, 0 refused. That was all.", timeout=PATIENCE)
    assert {site.until(run_id, "cancelled") for run_id in ids} == {"cancelled"}


@pytest.mark.parametrize(("label", "ending"), [("Export CSV", ".csv"), ("JSON Lines", ".jsonl")])
def test_a_list_is_exported(label: str, ending: str, site: Site, visit: OpenPage) -> None:
    site.store(echo("a"), workflow_id=f"live_export{ending[1:]}")
    run_id = site.run(f"live_export{ending[1:]}")
    page = visit().go(f"/admin/workflows/run/?workflow=live_export{ending[1:]}")
    with page.expect_download() as awaited:
        page.get_by_role("link", name=label).click()
    file = awaited.value
    assert file.suggested_filename.endswith(ending)
    assert run_id in file.path().read_text()


def _count(text: str) -> int:
    digits = "".join(letter for letter in text if letter.isdigit())
    return int(digits or 0)
