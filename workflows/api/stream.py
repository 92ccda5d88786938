"""Server-sent events of a run."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.urls import reverse
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from workflows import follow
from workflows.models import Run
from workflows.streaming import Position, StreamItem

KEEPALIVE_SECONDS = 15.0
MEDIA_TYPE = "text/event-stream"


class EventStreamRenderer(BaseRenderer):
    """Stands for the stream in content negotiation; the response itself is not rendered."""

    media_type = MEDIA_TYPE
    format = "event-stream"

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> Any:
        raise NotImplementedError("a stream is not rendered at once")


def wants_stream(request: Request) -> bool:
    """Whether the request accepts a stream rather than JSON."""
    return isinstance(getattr(request, "accepted_renderer", None), EventStreamRenderer)


def stream_url(run: Run) -> str:
    """Where the run can be followed."""
    return reverse("runs-stream", args=[run.pk])


def stream_response(run: Run, request: Request) -> HttpResponseBase:
    """The run's stream, from ``Last-Event-ID`` on. Raises `PositionInvalid`.

    204, at which browsers stop to reconnect, where the run has ended and nothing of it is left to tell.
    """
    after = request.headers.get("Last-Event-ID", "")
    position = Position.parse(after)  # before the stream begins, so that a wrong one is refused
    if run.has_ended and position.event >= run.event_seq:
        return HttpResponse(status=204)
    return streamed(follow.events(run.pk, after), {"Content-Location": stream_url(run)})


def streamed(items: AsyncGenerator[StreamItem, None], headers: Mapping[str, str]) -> HttpResponseBase:
    """Server-sent events, as they come."""
    return StreamingHttpResponse(
        _lines(items),
        content_type=f"{MEDIA_TYPE}; charset=utf-8",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no", **headers},
    )


async def _lines(items: AsyncGenerator[StreamItem, None]) -> AsyncIterator[bytes]:
    """The stream as text. It begins with a comment, so that the headers leave at once."""
    yield b": follows\n\n"
    following = asyncio.ensure_future(anext(items))
    try:
        while True:
            done, _ = await asyncio.wait({following}, timeout=KEEPALIVE_SECONDS)
            if not done:
                yield b": still here\n\n"
                continue
            yield _encoded(following.result())
            following = asyncio.ensure_future(anext(items))
    except StopAsyncIteration:
        pass
    except follow.StreamBroken as broken:
        yield _encoded(StreamItem("", {"type": "error", "message": str(broken)}))
    finally:
        following.cancel()
        await asyncio.wait({following})
        await items.aclose()


def _encoded(item: StreamItem) -> bytes:
    name = f"id: {item.id}\n" if item.id else ""
    return f"{name}data: {json.dumps(item.body, separators=(',', ':'), ensure_ascii=False)}\n\n".encode()
