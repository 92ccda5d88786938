"""An id for each request, by which its log lines, its answer and the runs that it started are found."""

import re
import uuid

from asgiref.typing import ASGI3Application, ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope
from structlog.contextvars import bind_contextvars, clear_contextvars

HEADER = b"x-request-id"
SANE = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")


class RequestIds:
    """ASGI: takes over a sane ``X-Request-ID`` or makes one, binds it to what follows, and gives it back."""

    def __init__(self, app: ASGI3Application) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _given(scope["headers"]) or uuid.uuid4().hex.encode()
        clear_contextvars()
        bind_contextvars(request_id=request_id.decode())

        async def named(event: ASGISendEvent) -> None:
            if event["type"] == "http.response.start":
                event["headers"] = [*event["headers"], (HEADER, request_id)]
            await send(event)

        await self._app(scope, receive, named)


def _given(headers: object) -> bytes | None:
    for name, value in headers:  # type: ignore[attr-defined]
        if name == HEADER:
            return value if SANE.fullmatch(value) else None
    return None
