"""`web_search`: titles, links and snippets from the web.

A plain function on purpose: the ddgs library blocks, and only a process of its own can be stopped at a
timeout.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, AliasChoices, Field

from agents.conf import setting
from agents.errors import (
    AgentError,
    MalformedAnswer,
    RateLimited,
    ServerError,
    ServerTimeout,
    ServerUnreachable,
)
from agents.functions.base import EXPLICIT, Call, Parameters, Result
from agents.functions.registry import function

SECONDS = 15
SNIPPET_CHARACTERS = 1_000


def _region(text: str) -> str:
    if not re.fullmatch(r"[a-z]{2}-[a-z]{2}", text):
        raise ValueError("must be a country and a language, such as de-de or us-en")
    return text


class WebSearch(Parameters):
    """What to look for, and how many results to give back."""

    query: str = Field(
        min_length=1,
        max_length=1_000,
        validation_alias=AliasChoices("query", "prompt"),
        description="What to look for, as one would type it.",
    )
    limit: int = Field(
        5,
        ge=1,
        le=50,
        validation_alias=AliasChoices("limit", "max_results"),
        json_schema_extra=EXPLICIT,
        description="How many results to give back at most.",
    )
    region: Annotated[str, AfterValidator(_region)] = Field(
        "wt-wt",
        json_schema_extra=EXPLICIT,
        description="Country and language of the results, such as de-de or us-en; wt-wt: all. For ddgs only.",
    )


@function("web_search", description="Searches the web")
def web_search(call: Call, parameters: WebSearch) -> Result:
    """Returns `{query, results: [{title, url, snippet}], count, text, engine, untrusted}`.

    SearXNG where `KOLOSAL_SEARXNG_URL` is set, else the search engines that ddgs asks. No hit is a result,
    not an error. Raises `RateLimited`, `ServerError`, `ServerTimeout`, `ServerUnreachable`,
    `MalformedAnswer`.
    """
    site = str(setting("SEARXNG_URL") or "")
    found = _searxng(site, parameters) if site else _ddgs(parameters)
    results = found[: parameters.limit]
    call.logger.info("%d results for %r", len(results), parameters.query)
    lines = [f"{hit['title']}: {hit['snippet']} ({hit['url']})" for hit in results]
    return {
        "query": parameters.query,
        "results": results,
        "count": len(results),
        "text": "\n".join(lines),
        "engine": "searxng" if site else "ddgs",
        "untrusted": True,
    }


def _searxng(site: str, parameters: WebSearch) -> list[dict[str, str]]:
    """https://docs.searxng.org/dev/search_api.html; the JSON format must be allowed in its settings."""
    import httpx2

    from agents.http import tls_context, typed_errors

    asked = {"q": parameters.query, "format": "json"}
    with typed_errors(site), httpx2.Client(verify=tls_context(), timeout=SECONDS) as client:
        response = client.get(f"{site.rstrip('/')}/search", params=asked)
    if response.status_code != 200:
        raise _searxng_error(response.status_code)
    try:
        hits = response.json()["results"]
        return [_hit(hit.get("title"), hit.get("url"), hit.get("content")) for hit in hits]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise MalformedAnswer("SearXNG's answer is not its JSON format") from None


def _searxng_error(status: int) -> AgentError:
    if status == 429:
        return RateLimited("SearXNG answered 429: it limits requests")
    hint = "; is `json` among search.formats in its settings?" if status == 403 else ""
    return ServerError(f"SearXNG answered {status}{hint}")


def _ddgs(parameters: WebSearch) -> list[dict[str, str]]:
    from ddgs import DDGS
    from ddgs.exceptions import DDGSException, RatelimitException, TimeoutException

    try:
        hits = DDGS(timeout=SECONDS).text(parameters.query, region=parameters.region, max_results=parameters.limit)
    except RatelimitException as error:
        raise RateLimited(f"the search engines limit requests: {error}") from None
    except TimeoutException as error:
        raise ServerTimeout(f"the search engines did not answer in {SECONDS} s: {error}") from None
    except DDGSException as error:
        if "no results" in str(error).lower():
            return []
        raise ServerUnreachable(f"the search engines can't be asked: {error}") from None
    return [_hit(hit.get("title"), hit.get("href"), hit.get("body")) for hit in hits]


def _hit(title: Any, url: Any, snippet: Any) -> dict[str, str]:
    return {
        "title": str(title or ""),
        "url": str(url or ""),
        "snippet": str(snippet or "")[:SNIPPET_CHARACTERS],
    }
