"""`web_search` against a real HTTP server in place of SearXNG, and over a stubbed ddgs (no web here)."""

from __future__ import annotations

from typing import Any

import ddgs
import pytest
from ddgs.exceptions import DDGSException, RatelimitException, TimeoutException

from agents.errors import (
    AgentError,
    MalformedAnswer,
    RateLimited,
    ServerError,
    ServerTimeout,
    ServerUnreachable,
)
from agents.functions import registry, web_search
from tests.agents.factories import make_call
from tests.agents.scripted_server import scripted_server

HITS = [{"title": f"T{n}", "url": f"https://example.com/{n}", "content": "s" * 2_000} for n in range(3)]


def search(**parameters: Any) -> dict[str, Any]:
    return registry.run(registry.get("web_search"), make_call(), {"query": "solar power", **parameters})


def use_searxng(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setattr(web_search, "setting", lambda name, default=None: url)


def use_ddgs(monkeypatch: pytest.MonkeyPatch, answer: Any) -> list[tuple[str, dict[str, Any]]]:
    asked: list[tuple[str, dict[str, Any]]] = []

    class Engine:
        def __init__(self, timeout: int) -> None:
            assert timeout

        def text(self, query: str, **options: Any) -> Any:
            asked.append((query, options))
            if isinstance(answer, Exception):
                raise answer
            return answer

    monkeypatch.setattr(ddgs, "DDGS", Engine)
    monkeypatch.setattr(web_search, "setting", lambda name, default=None: "")
    return asked


def test_searxng_is_asked_where_it_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted_server(lambda exchange: exchange.reply(200, {"results": HITS})) as server:
        use_searxng(monkeypatch, f"http://127.0.0.1:{server.port}/")
        result = search(limit="2")
    assert server.seen[0].path == "/search?q=solar+power&format=json"
    assert (result["engine"], result["count"], result["untrusted"]) == ("searxng", 2, True)
    assert result["results"][1] == {"title": "T1", "url": "https://example.com/1", "snippet": "s" * 1_000}
    assert result["text"].startswith("T0: sss")


@pytest.mark.parametrize(
    ("status", "body", "kind", "told"),
    [
        (403, b"", ServerError, "search.formats"),
        (429, b"", RateLimited, "limits requests"),
        (500, b"", ServerError, "answered 500"),
        (200, b"<html>", MalformedAnswer, "JSON"),
        (200, {"nothing": 1}, MalformedAnswer, "JSON"),
        (200, {"results": ["x"]}, MalformedAnswer, "JSON"),
    ],
)
def test_what_searxng_refuses_is_told(
    status: int, body: Any, kind: type[AgentError], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scripted_server(lambda exchange: exchange.reply(status, body)) as server:
        use_searxng(monkeypatch, f"http://127.0.0.1:{server.port}")
        with pytest.raises(kind, match=told):
            search()


def test_a_searxng_that_is_down_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted_server(lambda exchange: None) as server:
        use_searxng(monkeypatch, f"http://127.0.0.1:{server.port}")
    with pytest.raises(ServerUnreachable):
        search()


def test_ddgs_is_asked_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = use_ddgs(monkeypatch, [{"title": "T", "href": "https://example.com/", "body": None}])
    result = search()
    assert asked == [("solar power", {"region": "wt-wt", "max_results": 5})]
    assert result["results"] == [{"title": "T", "url": "https://example.com/", "snippet": ""}]


def test_no_hit_is_a_result(monkeypatch: pytest.MonkeyPatch) -> None:
    use_ddgs(monkeypatch, DDGSException("No results found."))
    assert search()["results"] == []


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RatelimitException("202"), RateLimited),
        (TimeoutException("late"), ServerTimeout),
        (DDGSException("no route to host"), ServerUnreachable),
    ],
)
def test_what_ddgs_meets_is_told(error: Exception, kind: type[AgentError], monkeypatch: pytest.MonkeyPatch) -> None:
    use_ddgs(monkeypatch, error)
    with pytest.raises(kind):
        search()


def test_the_query_may_be_called_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = use_ddgs(monkeypatch, [])
    registry.run(registry.get("web_search"), make_call(), {"prompt": "wind", "max_tokens": 5})
    assert asked[0][0] == "wind"
