"""Long lists: few numbered pages, a way on to older rows, and counts that cost the same however many there are."""

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.admin import factories
from workflows.admin import paginator
from workflows.admin.run import RunAdmin
from workflows.models import Run

pytestmark = pytest.mark.django_db

LIST = "/admin/workflows/run/"


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    """Of a person who sees runs, six on the numbered pages of their list."""
    factories.sync_agents()
    monkeypatch.setattr(paginator, "PAGES", 2)
    monkeypatch.setattr(RunAdmin, "list_per_page", 3)
    return factories.signed_in("workflows.view_run")


def _runs(number: int) -> list[str]:
    """Their ids, the newest first."""
    workflow = factories.workflow()
    return sorted((str(factories.run_of(workflow).pk) for _ in range(number)), reverse=True)


def _shown(page: str) -> list[str]:
    return list(dict.fromkeys(re.findall(r'title="([0-9a-f-]{36})"', page)))


def _page(client: Client, query: str = "") -> str:
    answer = client.get(LIST + query)
    assert answer.status_code == 200
    return answer.content.decode()


def _older(page: str) -> str:
    found = re.search(r'href="(\?[^"]*id__lt=[^"]*)"', page)
    return found[1].replace("&amp;", "&") if found else ""


def test_a_short_list_is_counted_and_numbered(client: Client) -> None:
    ids = _runs(5)
    assert _shown(_page(client)) == ids[:3]
    last = _page(client, "?p=2")
    assert _shown(last) == ids[3:]
    assert "5\n  runs" in last
    assert not _older(last)


def test_beyond_the_numbered_pages_an_address_leads_on(client: Client) -> None:
    ids = _runs(8)
    assert not _older(_page(client))
    last = _page(client, "?p=2")
    assert _shown(last) == ids[3:6]
    assert _shown(_page(client, _older(last))) == ids[6:]


def test_the_way_on_keeps_the_filters(client: Client) -> None:
    ids = _runs(8)
    Run.objects.filter(pk=ids[7]).update(status="failed")
    older = _older(_page(client, "?p=2&status=queued"))
    assert "status=queued" in older
    assert _shown(_page(client, older)) == ids[6:7]


def test_a_list_in_another_order_ends_with_its_last_numbered_page(client: Client) -> None:
    _runs(8)
    assert not _older(_page(client, "?p=2&o=1"))


def test_a_page_beyond_the_numbered_ones_is_refused(client: Client) -> None:
    _runs(8)
    assert client.get(f"{LIST}?p=3").status_code == 302


def test_no_query_of_a_list_counts_or_skips_more_than_its_numbered_pages(client: Client) -> None:
    _runs(8)
    with CaptureQueriesContext(connection) as queries:
        _page(client, "?p=2")
    # The header counts failed runs that nobody has run again, which is no count of the list.
    counts = [sql for query in queries if "COUNT(" in (sql := query["sql"]) and "rerun_of" not in sql]
    assert sum("LIMIT 7" in sql for sql in counts) == 1
    assert len(counts) == (1 if connection.vendor == "postgresql" else 2)  # SQLite has no estimates, and counts all


def test_a_long_list_says_about_how_long_it_is(client: Client) -> None:
    _runs(8)
    page = _page(client)
    assert re.search(r"about [0-9,]+\s+runs" if connection.vendor == "postgresql" else r"8\s+runs", page)
