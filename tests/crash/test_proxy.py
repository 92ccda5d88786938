"""The proxy between a host and a server."""

import contextlib
import socket
from collections.abc import Iterator

import pytest

from tests.crash.proxy import Proxy


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        yield server


@pytest.fixture
def proxy(listener: socket.socket) -> Iterator[Proxy]:
    made = Proxy(listener.getsockname()[1])
    yield made
    made.close()


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=5)


def test_a_cut_swallows_everything_and_healing_closes_what_was_cut(proxy: Proxy, listener: socket.socket) -> None:
    with connect(proxy) as client, listener.accept()[0] as server:
        server.settimeout(0.3)
        client.sendall(b"before")
        assert server.recv(100) == b"before"
        proxy.cut()
        client.sendall(b"swallowed")
        with pytest.raises(TimeoutError):
            server.recv(100)
        with connect(proxy) as late:
            late.settimeout(0.3)
            with pytest.raises(TimeoutError):
                late.recv(1)
            proxy.heal()
            assert_closed(client)
            assert_closed(server)
            assert_closed(late)
    with connect(proxy) as client, listener.accept()[0] as server:
        server.sendall(b"after")
        assert client.recv(100) == b"after"


def test_a_refused_connection_fails_at_once_until_it_is_healed(proxy: Proxy, listener: socket.socket) -> None:
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    proxy.heal()
    with connect(proxy), listener.accept()[0]:
        pass


def assert_closed(end: socket.socket) -> None:
    end.settimeout(5)
    with contextlib.suppress(ConnectionResetError):
        assert end.recv(100) == b""
