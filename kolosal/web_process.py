"""What stands around Django in the web process: a guard of the body's size, and an orderly end."""

import asyncio
import logging
import signal
import sys
import threading
from types import FrameType

from asgiref.typing import (
    ASGI3Application,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    HTTPScope,
    Scope,
)
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import DatabaseError, connections

from kolosal.error_handler import refusal_of
from workflows.process_group import end_within

logger = logging.getLogger(__name__)

DRAIN_SECONDS = 10
STOP_MARGIN = 4.0  # seconds beyond the grace after which the process ends, whatever it hangs in


class WebProcess:
    """The ASGI application: HTTP goes to Django, lifespan's end stops followers and this process's engine."""

    def __init__(self, django: ASGI3Application) -> None:
        self._django = django

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "http":
            await _guarded(self._django, scope, receive, send)
        else:
            await self._django(scope, receive, send)


async def _live(receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            _let_go_at_signals()
            await asyncio.to_thread(_adopt_orphans)
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await asyncio.to_thread(_stop)
            await send({"type": "lifespan.shutdown.complete"})
            return


def _adopt_orphans() -> None:
    """Go on with runs of a web process that was lost, where no worker does."""
    from workflows import engine_thread

    try:
        engine_thread.adopt_orphans()
    except DatabaseError as error:
        logger.warning("Runs of lost web processes can't be looked for: %s", error)
    finally:
        connections.close_all()


def _let_go_at_signals() -> None:
    """End streams and waiting requests at once: uvicorn waits for them before it ends the lifespan."""
    if threading.current_thread() is not threading.main_thread():
        return  # a test's server: signals are not its business
    for number in (signal.SIGINT, signal.SIGTERM):
        uvicorns = signal.getsignal(number)

        def let_go(number: int, frame: FrameType | None, then: object = uvicorns) -> None:
            end_within(settings.GRACE_SECONDS + STOP_MARGIN)
            # In a thread, since the interrupted code may hold the locks that this needs.
            threading.Thread(target=_let_go, name="let-go").start()
            if callable(then):
                then(number, frame)

        signal.signal(number, let_go)


def _let_go() -> None:
    # Only what was used was imported: a web process that followed nothing has nobody to let go.
    if follow := sys.modules.get("workflows.follow"):
        follow.stop()
    if engine_thread := sys.modules.get("workflows.engine_thread"):
        engine_thread.begin_stop(settings.GRACE_SECONDS)


def _stop() -> None:
    _let_go()
    if engine_thread := sys.modules.get("workflows.engine_thread"):
        engine_thread.stop()


async def _guarded(
    app: ASGI3Application, scope: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable
) -> None:
    """Refuse a body over the limit with 413, keeping none of it."""
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    headers = dict(scope["headers"])
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length) > limit:
        await _refuse_body(headers, receive, send)
        return
    received = 0

    async def counted() -> ASGIReceiveEvent:
        nonlocal received
        message = await receive()
        if message["type"] == "http.request":
            received += len(message["body"])
            if received > limit:
                return {"type": "http.disconnect"}  # at which Django drops what it has, and answers nothing
        return message

    await app(scope, counted, send)
    if received > limit:
        await _refuse_body(headers, receive, send)


async def _refuse_body(headers: dict[bytes, bytes], receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    # A client that is still sending would not read the answer, so what it sends is dropped for a while.
    # One that asked first (Expect: 100-continue) is told at once.
    if b"expect" not in headers:
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                await _drain(receive)
        except TimeoutError:
            pass
    response = refusal_of(RequestDataTooBig()).response()
    sent = [(name.lower().encode(), value.encode()) for name, value in response.items()]
    await send(
        {
            "type": "http.response.start",
            "status": response.status_code,
            "headers": [
                *sent,
                (b"content-length", str(len(response.content)).encode()),
                (b"connection", b"close"),
            ],
            "trailers": False,
        }
    )
    await send({"type": "http.response.body", "body": response.content, "more_body": False})


async def _drain(receive: ASGIReceiveCallable) -> None:
    while True:
        message = await receive()
        if message["type"] != "http.request" or not message.get("more_body"):
            return
