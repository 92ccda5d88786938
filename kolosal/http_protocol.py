"""HTTP below Django: what is no request gets the one error shape too, and a request's head has a limit."""

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from kolosal.envelope import Refusal

HEAD_BYTES = 64 * 1024
LINGER_SECONDS = 1.0
MALFORMED = Refusal(400, "MalformedRequest", "this is no HTTP request that can be read")
TOO_LARGE = Refusal(431, "HeadTooLarge", f"the address and the headers of a request may have {HEAD_BYTES:,} bytes")


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol, as `kolosal.web` starts it."""

    _refusal = MALFORMED
    _in_head = False
    _head_bytes = 0
    _refused = False

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self._in_head:
            self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES:  # one that does not end
            self._refuse(TOO_LARGE)
        else:
            super().data_received(data)

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head, self._head_bytes = False, 0
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > HEAD_BYTES:
            self._refusal = TOO_LARGE
            raise ValueError  # the parser's way to stop: `send_400_response` follows
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(self._refusal)

    def _refuse(self, refusal: Refusal) -> None:
        response = refusal.response()
        headers = {**dict(response.items()), "Content-Length": str(len(response.content)), "Connection": "close"}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self.transport.write(STATUS_LINE[refusal.status] + lines.encode() + b"\r\n" + response.content)
        self.transport.write_eof()
        # Closed with bytes unread, the connection would be reset, and the client might never see the answer.
        self._refused = True
        self.loop.call_later(LINGER_SECONDS, self.transport.close)
        if self.cycle is not None:  # a request whose body broke off: to Django, its client has left
            self.cycle.disconnected = True
            self.cycle.message_event.set()
