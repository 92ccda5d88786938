"""Rows as files that are sent while they are still read: CSV and JSON Lines. Memory does not grow with their number."""

import csv
import io
import json
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, StreamingHttpResponse

ROWS_AT_ONCE = 200
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A text that begins like this is a formula to spreadsheets."""

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

Row = dict[str, Any]


def csv_pieces(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[bytes]:
    """A header and the rows; values that are neither text nor number as JSON."""
    yield _csv([columns])
    for some in _batches(rows):
        yield _csv([[_cell(row.get(name)) for name in columns] for row in some])


def json_pieces(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[bytes]:
    """One JSON object a line."""
    for some in _batches(rows):
        yield "".join(
            f"{json.dumps({name: row.get(name) for name in columns}, default=str)}\n" for row in some
        ).encode()


FORMATS: dict[str, tuple[str, Callable[[Sequence[str], Iterable[Row]], Iterator[bytes]]]] = {
    "csv": ("text/csv; charset=utf-8", csv_pieces),
    "jsonl": ("application/jsonl; charset=utf-8", json_pieces),
}
"""Ending of the file's name → its media type, and what makes it."""


def answer(
    request: HttpRequest, name: str, ending: str, columns: Sequence[str], rows: Iterable[Row]
) -> StreamingHttpResponse:
    """The file ``name.ending`` as a download. ``rows`` is read as the client takes it, and no further."""
    media_type, pieces_of = FORMATS[ending]
    pieces = pieces_of(columns, rows)
    return StreamingHttpResponse(
        _in_turn(pieces) if isinstance(request, ASGIRequest) else pieces,
        content_type=media_type,
        headers={
            "Content-Disposition": f'attachment; filename="{name}.{ending}"',
            "Cache-Control": "no-store",
            "X-Accel-Buffering": "no",
        },
    )


async def _in_turn(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The same under ASGI, where Django would read all of them before it sends the first."""
    read = sync_to_async(_next)
    while (piece := await read(pieces)) is not None:
        yield piece


def _next(pieces: Iterator[bytes]) -> bytes | None:
    return next(pieces, None)


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    source = iter(rows)
    while some := list(islice(source, ROWS_AT_ONCE)):
        yield some


def _csv(rows: Iterable[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode(errors="replace")


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, int | float):
        return value
    text = CONTROL.sub("", value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False))
    return f"'{text}" if text.lstrip(" \n").startswith(FORMULA) else text
