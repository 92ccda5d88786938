"""HTTP calls to addresses that somebody else chose, through the guard of `agents/network.py`.

Imported when first needed: the HTTP library takes 0.1 s to load.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache

import httpx2

from agents.conf import setting
from agents.errors import (
    AddressRefused,
    AnswerTooLarge,
    RequestRefused,
    ServerTimeout,
    ServerUnreachable,
    StreamCut,
)
from agents.network import AllowList, Resolver, checked_addresses, resolve

MAX_REDIRECTS = 5
CONNECT_SECONDS = 10.0

# What a redirect to another origin may take along of the caller's headers.
_PORTABLE_HEADERS = frozenset({"accept", "accept-language", "content-type", "idempotency-key", "user-agent"})


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP response read to its end."""

    status: int
    url: str
    headers: list[tuple[str, str]]
    content: bytes
    charset: str
    redirects: int


async def fetch(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    content: bytes | None = None,
    timeout_seconds: float = 30.0,
    max_bytes: int | None = None,
    follow_redirects: bool = True,
    allow: AllowList | None = None,
    resolver: Resolver = resolve,
) -> Answer:
    """One guarded request, redirects followed. Sizes in bytes after decompression, times in seconds.

    Raises `AddressRefused`, `AnswerTooLarge`, `RequestRefused` (a URL that can't be asked), `ServerTimeout`,
    `ServerUnreachable`, `StreamCut`. An HTTP error status is an `Answer` like any other.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise AddressRefused(f"only addresses that begin with http:// or https:// can be called, not {shown_url(url)}")
    limit = int(max_bytes or setting("HTTP_MAX_BYTES") or 5 * 1024 * 1024)
    guard = _Guard(allow or AllowList.from_settings(), resolver)
    with typed_errors(url):
        try:
            async with asyncio.timeout(timeout_seconds), _client(guard, timeout_seconds) as client:
                request = client.build_request(method, url, headers=dict(headers or {}), content=content)
                return await _followed(client, request, limit, MAX_REDIRECTS if follow_redirects else 0)
        except TimeoutError:
            raise ServerTimeout(f"{shown_url(url)} did not answer within {timeout_seconds:g} s") from None


async def _followed(client: httpx2.AsyncClient, request: httpx2.Request, limit: int, hops: int) -> Answer:
    for redirects in range(hops + 1):
        async with _sent(client, request) as response:
            following = response.next_request if hops else None
            if following is None:
                content = await _read(response, limit)
                return Answer(
                    response.status_code, str(response.url), response.headers.multi_items(), content,
                    response.charset_encoding or "utf-8", redirects,
                )  # fmt: skip
        request = _without_secrets(request, following)
    raise RequestRefused(f"{shown_url(str(request.url))}: more than {hops} redirects")


def _without_secrets(old: httpx2.Request, new: httpx2.Request) -> httpx2.Request:
    if (old.url.scheme, old.url.host, old.url.port) != (new.url.scheme, new.url.host, new.url.port):
        kept = _PORTABLE_HEADERS | {"host", "content-length", "transfer-encoding", "accept-encoding"}
        for name in set(new.headers) - kept:
            del new.headers[name]
    return new


async def _read(response: httpx2.Response, limit: int) -> bytes:
    declared = response.headers.get("content-length", "")
    received = bytearray()
    if not (declared.isdigit() and int(declared) > limit):
        async for chunk in response.aiter_bytes():
            received += chunk
            if len(received) > limit:
                break
        else:
            return bytes(received)
    raise AnswerTooLarge(f"{shown_url(str(response.url))} answers with more than {limit:,} bytes")


class _Guard(httpx2.AsyncBaseTransport):
    """Sends each request to a checked address; the name stays in `Host` and in TLS."""

    def __init__(self, allow: AllowList, resolver: Resolver) -> None:
        # Nothing is kept alive: a connection to an address must not serve another name at that address.
        limits = httpx2.Limits(max_keepalive_connections=0)
        self.allow = allow
        self.resolver = resolver
        self.inner = httpx2.AsyncHTTPTransport(verify=tls_context(), trust_env=False, limits=limits)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        if url.scheme not in {"http", "https"} or not url.host:
            raise AddressRefused(f"only http and https URLs can be called, not {shown_url(str(url))}")
        port = url.port or (443 if url.scheme == "https" else 80)
        host = url.raw_host.decode("ascii").strip("[]")
        addresses = await checked_addresses(host, port, self.allow, self.resolver)
        return await self._first_reachable(request, host, addresses)

    async def _first_reachable(self, request: httpx2.Request, host: str, addresses: list[str]) -> httpx2.Response:
        for address in addresses:
            aimed = httpx2.Request(
                request.method,
                request.url.copy_with(host=address),
                headers=request.headers,
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": host},
            )
            try:
                return await self.inner.handle_async_request(aimed)
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                if address == addresses[-1]:
                    raise
        raise ServerUnreachable(f"{host} has no address")

    async def aclose(self) -> None:
        await self.inner.aclose()


def _client(transport: httpx2.AsyncBaseTransport, timeout_seconds: float) -> httpx2.AsyncClient:
    timeout = httpx2.Timeout(timeout_seconds, connect=min(CONNECT_SECONDS, timeout_seconds))
    agent = {"User-Agent": "kolosal-workflows"}
    return httpx2.AsyncClient(transport=transport, timeout=timeout, headers=agent, trust_env=False)


@asynccontextmanager
async def _sent(client: httpx2.AsyncClient, request: httpx2.Request) -> AsyncIterator[httpx2.Response]:
    response = await client.send(request, stream=True)
    try:
        yield response
    finally:
        await response.aclose()


@contextmanager
def typed_errors(url: str) -> Iterator[None]:
    """Turns the HTTP library's exceptions into ours, naming the server."""
    where = shown_url(url)
    try:
        yield
    except httpx2.TimeoutException as error:
        raise ServerTimeout(f"{where} did not answer in time ({type(error).__name__})") from None
    except httpx2.ConnectError as error:
        raise ServerUnreachable(f"{where} can't be reached: {error}") from None
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol, httpx2.LocalProtocolError) as error:
        raise RequestRefused(f"{where} can't be called: {error}") from None
    except httpx2.HTTPError as error:
        raise StreamCut(f"the connection to {where} broke: {error}") from None


@cache
def tls_context() -> ssl.SSLContext:
    """One TLS context for all calls: reading the certificates takes some 20 ms each time."""
    return httpx2.create_ssl_context()


def shown_url(url: str) -> str:
    """The URL for a message: without user name, password and query, and short."""
    scheme, separator, rest = url.partition("://")
    rest = rest.partition("?")[0].partition("#")[0]
    authority, slash, path = rest.partition("/")
    return f"{scheme}{separator}{authority.rpartition('@')[2]}{slash}{path}"[:200]
