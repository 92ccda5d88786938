"""The SSRF guard and `http_request`, against a real server and a stubbed resolver."""

from __future__ import annotations

import asyncio
import gzip
import threading
from ipaddress import ip_address
from typing import Any

import pytest

from agents import http
from agents.errors import (
    AddressRefused,
    AgentError,
    AnswerTooLarge,
    FunctionFailed,
    InvalidParameters,
    RequestRefused,
    ServerTimeout,
    ServerUnreachable,
    StreamCut,
)
from agents.network import AllowList, checked_addresses, is_public
from tests.agents.factories import call_function, make_call
from tests.agents.scripted_server import Exchange, ScriptedServer, scripted_server


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Hosts that the guard lets pass in this test; public names of the stubbed resolver lead to 127.0.0.1."""
    hosts = {"127.0.0.1"}
    monkeypatch.setattr(AllowList, "from_settings", classmethod(lambda cls: cls(hosts)))
    return hosts


def request(url: str, call: Any = None, **parameters: Any) -> dict[str, Any]:
    return call_function("http_request", {"url": url, **parameters}, call)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(ip_address(address))


NOT_PUBLIC = """
0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 127.0.0.1 127.255.255.254 169.254.169.254 172.16.0.1 172.31.255.255
192.0.0.1 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255
240.0.0.1 255.255.255.255 :: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254
64:ff9b::7f00:1 64:ff9b::a9fe:a9fe 64:ff9b:1::1 100::1 2001::1 2001:0:7f00:1::1 2001:db8::1 2002:7f00:1::
2002:a00:1:: 3fff::1 5f00::1 fc00::1 fd12:3456::1 fe80::1 fec0::1 ff02::1
"""


@pytest.mark.parametrize("address", NOT_PUBLIC.split())
def test_other_addresses_are_not(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0",
        "localhost",
        "LOCALHOST.",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "user:password@127.0.0.1",
        "example.com@127.0.0.1",
        "①②⑦.⓪.⓪.①",
        "127。0。0。1",
    ],
)
def test_tricks_to_reach_this_machine_are_refused(host: str) -> None:
    with scripted_server(lambda exchange: exchange.reply(200, b"reached")) as server:
        with pytest.raises((AddressRefused, RequestRefused, ServerUnreachable)) as raised:
            request(f"http://{host}:{server.port}/")
        assert server.seen == []
    assert "password" not in str(raised.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "localhost", "[::1]"])
def test_the_refusal_says_why_and_how_to_allow_it(host: str) -> None:
    with pytest.raises(AddressRefused, match="not a public address; KOLOSAL_HTTP_ALLOW can allow it"):
        request(f"http://{host}/")


def test_the_addresses_of_cloud_metadata_are_refused() -> None:
    with pytest.raises(AddressRefused):
        request("http://169.254.169.254/latest/meta-data/")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.com/", "gopher://x/", "/relative", "http://"])
def test_only_http_urls_are_called(url: str) -> None:
    with pytest.raises((AddressRefused, RequestRefused)):
        request(url)


def test_a_name_with_one_bad_address_is_refused_whole() -> None:
    async def two(host: str, port: int) -> list[str]:
        return ["93.184.216.34", "10.0.0.1"]

    with pytest.raises(AddressRefused, match=r"evil\.example is 10\.0\.0\.1"):
        asyncio.run(checked_addresses("evil.example", 80, AllowList([]), two))


def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    """DNS rebinding: the name answers 127.0.0.2 once, and something else ever after."""
    answers = iter([["127.0.0.2"]])

    async def rebinding(host: str, port: int) -> list[str]:
        return next(answers, ["127.0.0.99"])

    with scripted_server(lambda exchange: exchange.reply(200, b"here")) as server:
        url = f"http://rebind.example:{server.port}/"
        fetched = http.fetch("GET", url, allow=AllowList(["127.0.0.2"]), resolver=rebinding)
        with pytest.raises(ServerUnreachable):  # the server listens on 127.0.0.1 only: the checked one was asked
            asyncio.run(fetched)
    assert server.seen == []


def test_a_name_that_turns_private_at_a_redirect_is_refused(allowed: set[str]) -> None:
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])

    async def turning(host: str, port: int) -> list[str]:
        return next(answers)

    def respond(exchange: Exchange) -> None:
        exchange.reply(302, b"", {"Location": f"http://turning.example:{server.port}/again"})

    with scripted_server(respond) as server:
        fetched = http.fetch("GET", f"http://turning.example:{server.port}/", resolver=turning)
        with pytest.raises(AddressRefused, match=r"10\.0\.0\.1"):
            asyncio.run(fetched)
    assert len(server.seen) == 1


def test_the_name_stays_in_the_host_header(allowed: set[str]) -> None:
    async def here(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    with scripted_server(lambda exchange: exchange.reply(200, b"ok")) as server:
        asyncio.run(http.fetch("GET", f"http://named.example:{server.port}/", resolver=here))
    assert server.seen[0].headers["host"] == f"named.example:{server.port}"


def test_the_next_address_is_tried_where_one_does_not_answer(allowed: set[str]) -> None:
    allowed.add("127.0.0.3")

    async def two(host: str, port: int) -> list[str]:
        return ["127.0.0.3", "127.0.0.1"]

    with scripted_server(lambda exchange: exchange.reply(200, b"second")) as server:
        answer = asyncio.run(http.fetch("POST", f"http://two.example:{server.port}/", content=b"x", resolver=two))
    assert (answer.content, server.seen[0].body) == (b"second", b"x")


@pytest.mark.parametrize("target", ["http://[::1]:{port}/", "http://localhost:{port}/", "http://169.254.169.254/"])
def test_a_redirect_is_checked_like_the_first_address(target: str, allowed: set[str]) -> None:
    allowed.clear()
    allowed.add("127.0.0.1/32")

    async def resolver(host: str, port: int) -> list[str]:
        return ["::1"] if host == "localhost" else [host]

    def respond(exchange: Exchange) -> None:
        exchange.reply(302, b"", {"Location": target.format(port=server.port)})

    with scripted_server(respond) as server, pytest.raises(AddressRefused):
        asyncio.run(http.fetch("GET", f"http://127.0.0.1:{server.port}/", resolver=resolver))


def test_redirects_are_followed_and_counted(allowed: set[str]) -> None:
    def respond(exchange: Exchange) -> None:
        if exchange.path == "/end":
            exchange.reply(200, b"there")
        else:
            exchange.reply(302, b"", {"Location": "/end"})

    with scripted_server(respond) as server:
        base = f"http://127.0.0.1:{server.port}"
        followed = request(f"{base}/start")
        kept = request(f"{base}/start", follow_redirects=False)
    assert (followed["body"], followed["url"], followed["redirects"]) == ("there", f"{base}/end", 1)
    assert kept["status"] == 302


def test_a_circle_of_redirects_ends(allowed: set[str]) -> None:
    circle = scripted_server(lambda exchange: exchange.reply(302, b"", {"Location": "/"}))
    with circle as server, pytest.raises(RequestRefused, match="more than 5 redirects"):
        request(f"http://127.0.0.1:{server.port}/")
    assert len(server.seen) == 6


def test_secrets_do_not_follow_a_redirect_to_another_origin(allowed: set[str]) -> None:
    with scripted_server(lambda exchange: exchange.reply(200, b"")) as other:

        def respond(exchange: Exchange) -> None:
            exchange.reply(307, b"", {"Location": f"http://127.0.0.1:{other.port}/"})

        with scripted_server(respond) as first:
            secret = {"Authorization": "Bearer x", "X-Api-Key": "y", "Cookie": "z", "Accept": "text/plain"}
            request(f"http://127.0.0.1:{first.port}/", method="POST", headers=secret, body="b")
    assert first.seen[0].headers["x-api-key"] == "y"
    assert not {"authorization", "x-api-key", "cookie"} & set(other.seen[0].headers)
    assert (other.seen[0].headers["accept"], other.seen[0].body) == ("text/plain", b"b")


def test_the_idempotency_key_goes_with_what_changes_something(allowed: set[str]) -> None:
    call = make_call(idempotency_key="run:step")
    with scripted_server(lambda exchange: exchange.reply(200, b"")) as server:
        url = f"http://127.0.0.1:{server.port}/"
        request(url, call)
        request(url, call, method="post", body={"a": 1})
        request(url, call, method="PUT", headers={"idempotency-key": "mine"})
    got, posted, put = server.seen
    assert "idempotency-key" not in got.headers
    assert posted.headers["idempotency-key"] == "run:step"
    assert (posted.json, posted.headers["content-type"]) == ({"a": 1}, "application/json")
    assert put.headers["idempotency-key"] == "mine"


def test_the_result_has_the_parsed_body_and_no_secret_headers(allowed: set[str]) -> None:
    headers = {"Set-Cookie": "session=1", "X-Kind": "test", "WWW-Authenticate": "Basic"}
    with scripted_server(lambda exchange: exchange.reply(418, {"tea": True}, headers)) as server:
        result = request(f"http://127.0.0.1:{server.port}/p", query={"q": "a b", "n": ["1", "2"]})
    assert (result["status"], result["ok"], result["json"]) == (418, False, {"tea": True})
    assert result["headers"]["x-kind"] == "test"
    assert not {"set-cookie", "www-authenticate"} & set(result["headers"])
    assert result["untrusted"] is True
    assert server.seen[0].path == "/p?q=a+b&n=1&n=2"


def test_headers_of_an_earlier_answer_are_not_sent_on(allowed: set[str]) -> None:
    context = {"headers": {"x-leak": "1"}, "body": "leak", "method": "DELETE"}
    with scripted_server(lambda exchange: exchange.reply(200, b"")) as server:
        request(f"http://127.0.0.1:{server.port}/", make_call(context=context))
    assert server.seen[0].method == "GET"
    assert "x-leak" not in server.seen[0].headers
    assert server.seen[0].body == b""


@pytest.mark.parametrize("headers", [{}, {"Content-Encoding": "gzip"}])
def test_an_answer_past_the_limit_is_refused(headers: dict[str, str], allowed: set[str]) -> None:
    raw = b"x" * 200_000
    body = gzip.compress(raw) if headers else raw
    with scripted_server(lambda exchange: exchange.reply(200, body, headers)) as server:
        fetched = http.fetch("GET", f"http://127.0.0.1:{server.port}/", max_bytes=100_000)
        with pytest.raises(AnswerTooLarge, match="100,000 bytes"):
            asyncio.run(fetched)


def test_a_slow_answer_meets_the_timeout_even_if_it_drips(allowed: set[str]) -> None:
    release = threading.Event()

    def drip(exchange: Exchange) -> None:
        exchange.open_stream()
        while not release.wait(0.02):
            exchange.event("drop")

    with scripted_server(drip) as server:
        with pytest.raises(ServerTimeout, match=r"within 0\.2 s"):
            request(f"http://127.0.0.1:{server.port}/", timeout_seconds=0.2)
        release.set()


def test_a_broken_connection_is_told(allowed: set[str]) -> None:
    with (
        scripted_server(lambda exchange: exchange.stream("half", cut=True)) as server,
        pytest.raises(StreamCut),
    ):
        request(f"http://127.0.0.1:{server.port}/")


@pytest.mark.parametrize(
    "parameters",
    [
        {"method": "BREW"},
        {"headers": {"X-A": "b\r\nX-Injected: 1"}},
        {"headers": {"": "x"}},
        {"timeout_seconds": 0},
        {"timeout_seconds": "soon"},
    ],
)
def test_bad_parameters_are_told(parameters: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameters):
        request("http://example.com/", **parameters)


@pytest.mark.parametrize(
    "url",
    [
        "http://exa mple.com/",
        "http://example.com:99999/",
        "http://[bad/",
        "http://a..b/",
        "http://" + "a" * 300 + ".com/",
    ],
)
def test_a_url_that_can_not_be_one_is_told(url: str) -> None:
    with pytest.raises(AgentError) as raised:
        request(url)
    assert not isinstance(raised.value, FunctionFailed)


def test_nothing_is_left_open(allowed: set[str]) -> None:
    async def twice(server: ScriptedServer) -> int:
        for _ in range(2):
            await http.fetch("GET", f"http://127.0.0.1:{server.port}/")
        return len(asyncio.all_tasks())

    with scripted_server(lambda exchange: exchange.reply(200, b"ok")) as server:
        assert asyncio.run(twice(server)) == 1


@pytest.mark.parametrize(
    ("entry", "host", "address", "permitted"),
    [
        ("intranet.example", "intranet.example", "10.0.0.1", True),
        ("intranet.example", "INTRANET.example.", "10.0.0.1", True),
        ("intranet.example", "other.example", "10.0.0.1", False),
        ("10.0.0.0/8", "x.example", "10.9.9.9", True),
        ("10.0.0.0/8", "x.example", "::ffff:10.9.9.9", True),
        ("10.0.0.0/8", "x.example", "192.168.0.1", False),
        ("10.1.2.3", "x.example", "10.1.2.3", True),
        ("fd00::/8", "x.example", "fd00::1", True),
        (" ", "x.example", "127.0.0.1", False),
    ],
)
def test_the_setting_allows_hosts_and_networks(entry: str, host: str, address: str, permitted: bool) -> None:
    assert AllowList([entry]).permits(host, ip_address(address)) is permitted
