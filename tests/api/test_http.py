"""What reaches the server below Django: no HTTP, heads without end."""

import json
import socket
from contextlib import closing
from http.client import HTTPConnection

import pytest

from kolosal.http_protocol import HEAD_BYTES
from tests.api.live import Server
from tests.api.shape import ERROR_KEYS

GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /api/v1/sequential-workflows HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def answer(server: Server, request: bytes) -> tuple[int, dict[str, object]]:
    """Status and body of the answer to these bytes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(request)
        received = b""
        while part := connection.recv(65536):
            received += part
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"FOO /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"get /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /\xc3\xa4 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        GET + b"X: a\x00b\r\n\r\n",
        POST + b"Content-Length: -1\r\n\r\n",
        POST + b"Content-Length: 99999999999999999999999\r\n\r\n",
        POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    ],
)
def test_what_is_no_http_is_400_in_the_one_shape(server: Server, request_bytes: bytes) -> None:
    status, body = answer(server, request_bytes)
    assert (status, body["error_code"], body["code"]) == (400, 400, "MalformedRequest")
    assert set(body) == ERROR_KEYS


@pytest.mark.parametrize(
    "request_bytes",
    [
        GET + b"X: " + b"a" * HEAD_BYTES + b"\r\n\r\n",
        GET + b"".join(b"X%d: a\r\n" % number for number in range(20_000)) + b"\r\n",
        b"GET /health?" + b"a" * HEAD_BYTES + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
    ids=["a long header", "many headers", "a long address"],
)
def test_a_head_over_the_limit_is_431_in_the_one_shape(server: Server, request_bytes: bytes) -> None:
    status, body = answer(server, request_bytes)
    assert (status, body["code"]) == (431, "HeadTooLarge")
    assert set(body) == ERROR_KEYS


def test_a_head_that_does_not_end_is_answered_and_cut_off(server: Server) -> None:
    status, body = answer(server, GET + b"X: " + b"a" * HEAD_BYTES * 20)
    assert (status, body["code"]) == (431, "HeadTooLarge")


def test_a_head_near_the_limit_and_several_requests_on_one_connection_are_served(server: Server) -> None:
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=10)) as connection:
        connection.connect()
        socket_of_all = connection.sock
        for _ in range(3):
            connection.request("GET", "/health", headers={"X": "a" * (HEAD_BYTES - 200)})
            response = connection.getresponse()
            assert response.status == 200
            response.read()
            assert connection.sock is socket_of_all
