"""Lists in pages. ``count``, ``next`` and ``previous`` stand in the envelope, beside ``data``."""

import uuid
from collections.abc import Callable
from typing import Any, ClassVar

from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import CursorPagination, PageNumberPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from workflows.models.bounded_count import bounded_count

COUNTED = 10_000
"""A longer list is estimated: to count it would cost ever more."""


class Listing(Response):
    """A list, whole or one page of it. ``count`` is the size of the whole."""

    def __init__(self, items: Any, count: int, next: str | None = None, previous: str | None = None) -> None:
        super().__init__(items)
        self.page = {"count": count, "next": next, "previous": previous}


class _Listed:
    """A page is refused where its query parameters make no sense: guessed, it would be another page."""

    page_size: Any
    max_page_size: Any

    def get_page_size(self, request: Request) -> int:
        text = request.query_params.get("page_size")
        return self.page_size if text is None else _number("page_size", text, self.max_page_size)

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        return {**schema, "x-listing": True}  # `kolosal.schema` puts it into the envelope


class Pages(_Listed, PageNumberPagination):
    """Pages by number, for lists that people keep short."""

    names = ("page", "page_size")
    page_size = 500
    page_size_query_param = "page_size"
    max_page_size = 1000
    invalid_page_message = "there is no page {page_number}: {message}"

    def get_page_number(self, request: Request, paginator: Any) -> int:
        return _number("page", request.query_params.get("page", "1"), 10**9)

    def get_paginated_response(self, data: Any) -> Response:
        assert self.page is not None
        return Listing(data, self.page.paginator.count, self.get_next_link(), self.get_previous_link())


class Cursors(_Listed, CursorPagination):
    """Pages by cursor, newest first, for lists that grow for ever: new rows don't shift the pages."""

    names = ("cursor", "page_size")
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 1000
    ordering: Any = "-id"
    read_position: ClassVar[Callable[[str], Any]] = uuid.UUID

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any] | None:
        self.count, _ = bounded_count(queryset, COUNTED)
        return super().paginate_queryset(queryset, request, view)

    def decode_cursor(self, request: Request) -> Any:
        try:
            cursor = super().decode_cursor(request)
            if cursor is not None:
                type(self).read_position(str(cursor.position or ""))  # what a page of ours has named
        except (NotFound, ValueError):
            message = "should be that of a page's `next` or `previous`, unchanged"
            raise ValidationError({"cursor": message}) from None
        return cursor

    def get_paginated_response(self, data: Any) -> Response:
        return Listing(data, self.count, self.get_next_link(), self.get_previous_link())


class EventCursors(Cursors):
    """Events in the order in which they happened."""

    page_size = 500
    ordering = "seq"
    read_position = int


class StepCursors(Cursors):
    """Steps in the order in which they began."""

    page_size = 1000
    ordering = "id"
    read_position = int


class ArtifactCursors(StepCursors):
    """Artifacts in the order in which their attempts ended."""


class ApprovalCursors(Cursors):
    """The longest waiting first."""

    ordering = "id"
    read_position = int


def _number(name: str, text: str, most: int) -> int:
    if text.isascii() and text.isdigit() and len(text) < 12 and 1 <= int(text) <= most:
        return int(text)
    raise ValidationError({name: f"should be a whole number from 1 to {most}, not {text[:50]!r}"})
