"""Lists in pages. ``count``, ``next`` and ``previous`` stand in the envelope, beside ``data``."""

from typing import Any

from rest_framework.pagination import CursorPagination, PageNumberPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView


class Listing(Response):
    """A list, whole or one page of it. ``count`` is the size of the whole."""

    def __init__(self, items: Any, count: int, next: str | None = None, previous: str | None = None) -> None:
        super().__init__(items)
        self.page = {"count": count, "next": next, "previous": previous}


class _Listed:
    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        return {**schema, "x-listing": True}  # `kolosal.schema` puts it into the envelope


class Pages(_Listed, PageNumberPagination):
    """Pages by number, for lists that people keep short."""

    page_size = 500
    page_size_query_param = "page_size"
    max_page_size = 1000

    def get_paginated_response(self, data: Any) -> Response:
        assert self.page is not None
        return Listing(data, self.page.paginator.count, self.get_next_link(), self.get_previous_link())


class Cursors(_Listed, CursorPagination):
    """Pages by cursor, newest first, for lists that grow for ever: new rows don't shift the pages."""

    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 1000
    ordering: Any = "-id"

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any] | None:
        self.count = queryset.count()
        return super().paginate_queryset(queryset, request, view)

    def get_paginated_response(self, data: Any) -> Response:
        return Listing(data, self.count, self.get_next_link(), self.get_previous_link())


class EventCursors(Cursors):
    """Events in the order in which they happened."""

    page_size = 500
    ordering = "seq"
