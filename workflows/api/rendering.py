"""Which form an answer takes, and in which form a body is read."""

from collections.abc import Iterable, Mapping
from typing import Any

from rest_framework.exceptions import APIException, NotAcceptable
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class YAMLRenderer(BaseRenderer):
    """Text that is YAML already."""

    media_type = "application/yaml"
    format = "yaml"
    charset = "utf-8"

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> Any:
        return data


class DetailInYAML:
    """What a viewset adds whose ``retrieve`` answers in YAML too."""

    def get_renderers(self) -> Any:
        renderers = super().get_renderers()  # type: ignore[misc]  # a view's
        is_detail = getattr(self, "action_map", {}).get("get") == "retrieve"
        return [*renderers, YAMLRenderer()] if is_detail else renderers


def wants_yaml(request: Request) -> bool:
    """Whether the request accepts YAML rather than JSON."""
    return isinstance(getattr(request, "accepted_renderer", None), YAMLRenderer)


class UnsupportedEncoding(APIException):
    """A body that is compressed. It is not unpacked: a few kilobytes may hold gigabytes."""

    status_code = 415

    def __init__(self, encoding: str) -> None:
        super().__init__(f"the body's Content-Encoding is {encoding[:50]!r}; send it as it is, without one")


class Negotiation(DefaultContentNegotiation):
    """Answers in JSON where nothing that the request accepts is on offer; reads only what says what it is."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        """The parser of the body's type, None for a type without one (`*/*` too). Raises `UnsupportedEncoding`."""
        encoding = request.META.get("HTTP_CONTENT_ENCODING", "").strip()
        if encoding.lower() not in {"", "identity"}:
            raise UnsupportedEncoding(encoding)
        kind = str(request.content_type).partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == kind), None)

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        try:
            chosen: tuple[BaseRenderer, str] = super().select_renderer(request, renderers, format_suffix)
            return chosen
        except NotAcceptable:
            return renderers[0], renderers[0].media_type
