"""Stored text is harmless wherever it is shown: each field that a client or a model can fill holds the worst of it."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.agents.scripted_server import Exchange, delta, scripted_server
from tests.browser import addresses
from tests.browser.living import echo
from tests.browser.run_page import path_of
from tests.browser.site import Site
from tests.browser.watched import Watched, open_page, sign_in

EVIL = (
    '=HYPERLINK("https://evil.example")<script>hit=1</script>"><img src=x onerror=hit=1>\'><svg onload=hit=1>'
    "</textarea></title></script><script>hit=1</script>{{7*7}}{% now 'Y' %}<a href=javascript:hit=1>click</a>"
    "\u202etxet desrever\u2066\u200f\x1b[31m\x07\x08\ufeff\U000e0041 &lt;b&gt; https://evil.example/"
)
NAME = EVIL[:200]
LONG = "W" * 150  # without a place to break
HUGE = 5 * 1024 * 1024
LARGEST_PAGE = 3 * 1024 * 1024  # characters


@dataclass
class Ruined:
    site: Site
    cookies: str
    runs: list[str]
    paths: dict[str, str]


@pytest.fixture(scope="module")
def ruined(browser: Browser) -> Iterator[Ruined]:
    def respond(exchange: Exchange) -> None:
        asked = exchange.json["messages"][-1]["content"]
        exchange.stream(delta("M" * HUGE if "huge" in asked else EVIL), delta(finish="stop"), "[DONE]")

    with scripted_server(respond) as model:
        site = Site(KOLOSAL_HTTP_ALLOW="127.0.0.1", KOLOSAL_INFERENCE_URL=model.url, KOLOSAL_INFERENCE_MODEL=NAME)
        runs = list(_ruin(site))
        yield Ruined(site, sign_in(site, browser), runs, addresses.walk(site))
        site.close()


def _ruin(site: Site) -> Iterator[str]:
    """Ids of runs."""
    fields = {"workflow_name": NAME, "description": EVIL, "tags": [EVIL[:50], LONG[:50]]}
    ask = {"step_id": "ask", "agent_id": "content_creator", "function_name": "inference", "step_name": NAME}
    fetch = {"step_id": "fetch", "agent_id": "research_assistant", "function_name": "http_request", "max_retries": 0}
    site.store(
        echo("say", step_name=NAME, description=EVIL, parameters={"message": "${input.text}"}),
        {**ask, "parameters": {"prompt": EVIL}},
        {**fetch, "parameters": {"url": f"http://127.0.0.1:9/{quote(EVIL)}"}, "continue_on_failure": True},
        {"step_id": "question", "approval": {"prompt": EVIL, "options": [NAME[:200], LONG]}},
        workflow_id="ruined",
        global_context={EVIL: EVIL},
        **fields,
    )
    for _ in range(2):
        run_id = site.start(
            "ruined", {"text": EVIL + "${7*7}", EVIL: EVIL, LONG: LONG * 100, "nested": [{EVIL: [EVIL]}]}
        )
        site.until(run_id, "waiting")
        yield run_id
    answer = {"path": "question", "answer": NAME[:200], "comment": EVIL}
    site.api("POST", f"runs/{run_id}/signal", answer)
    site.until(run_id, "completed")
    site.store({**ask, "parameters": {"prompt": "huge"}, "max_retries": 0}, workflow_id="huge")
    yield site.run("huge", {"text": "I" * 3_500_000})
    yield site.run("huge")
    site.store({"step_id": "event", "wait_for": {"event": NAME}}, workflow_id="event")
    yield site.start("event")
    site.api(
        "POST", "sequential-workflows/ruined/execute-async", {}, headers={"Idempotency-Key": "<script>hit=1</script>"}
    )
    definition = {"workflow_id": "made", "steps": [echo("a", parameters={"message": EVIL})]}
    site.api("POST", "workflow-templates", {"name": "made", "description": EVIL, "definition": definition})
    site.manage("shell", "-c", MAKE_PEOPLE, text=f"{NAME[:140]!r}\n")


MAKE_PEOPLE = """
from django.contrib.auth.models import Group, User
text = eval(input())
Group.objects.create(name=text)
User.objects.create_user("evil", first_name=text, last_name=text, email="a@b.example")
"""


def _opened(ruined: Ruined, browser: Browser, width: int = 390) -> Watched:
    return open_page(ruined.site, browser, ruined.cookies, width)


def _unharmed(watched: Watched) -> None:
    page = watched.page
    assert page.evaluate("typeof hit") == "undefined", f"a script of stored text ran on {page.url}"
    assert page.locator("a[href^='javascript']").count() == 0, page.url
    assert page.locator("img[src='x']").count() == 0, page.url
    assert watched.too_wide() == 0, page.url
    assert len(page.content()) < LARGEST_PAGE, page.url
    assert watched.wrong == [], page.url


def _unfold_all(page: Page) -> None:
    """Every fold, those that come with what is loaded then, too."""
    for _ in range(2):
        page.evaluate("document.querySelectorAll('details:not([open])').forEach((fold) => { fold.open = true; })")
        page.wait_for_load_state("networkidle")


def test_no_page_is_harmed(ruined: Ruined, browser: Browser) -> None:
    watched = _opened(ruined, browser)
    for path in ruined.paths.values():
        watched.go(path)
        _unharmed(watched)
    watched.context.close()


def test_no_run_is_harmed_with_everything_unfolded(ruined: Ruined, browser: Browser) -> None:
    watched = _opened(ruined, browser)
    for run_id in ruined.runs:
        _unfold_all(watched.go(path_of(run_id)))
        _unharmed(watched)
    expect(watched.go(path_of(ruined.runs[0])).get_by_text("<script>hit=1</script>").first).to_be_attached()
    watched.context.close()


def test_runs_are_compared_unharmed(ruined: Ruined, browser: Browser) -> None:
    watched = _opened(ruined, browser)
    _unfold_all(watched.go(path_of(ruined.runs[0]).replace("/change/", "/compare/")))
    _unharmed(watched)
    watched.context.close()


def test_the_editor_is_unharmed(ruined: Ruined, browser: Browser) -> None:
    watched = _opened(ruined, browser, 1280)
    page = watched.go("/admin/workflows/workflow/")
    page.get_by_role("link", name="ruined").first.click()
    for view in ("YAML", "Form", "Designer"):
        page.get_by_role("tab", name=view).click()
        page.wait_for_load_state("networkidle")
        _unharmed(watched)
    watched.context.close()


@pytest.mark.parametrize("which", ["run", "event"])
def test_exports_hold_no_formula_and_all_of_the_text(which: str, ruined: Ruined) -> None:
    session = addresses.sign_in(ruined.site)
    address = f"{ruined.site.address}/admin/workflows/{which}/export"
    answer = session.get(f"{address}/csv/", timeout=60)
    assert answer.headers["Content-Disposition"].startswith("attachment")
    answer.encoding = "utf-8-sig"
    csv.field_size_limit(2 * HUGE)
    cells = [cell for row in csv.reader(io.StringIO(answer.text, newline="")) for cell in row]
    assert cells
    assert [cell[:60] for cell in cells if cell[:1] in "=+@\t\r" and cell] == []
    lines = session.get(f"{address}/jsonl/", timeout=60).text.splitlines()
    assert all(isinstance(json.loads(line), dict) for line in lines)
    assert any("<script>hit=1" in line for line in lines)
