"""Which form an answer takes."""

from collections.abc import Mapping
from typing import Any

from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import DefaultContentNegotiation
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


def wants_yaml(request: Request) -> bool:
    """Whether the request accepts YAML rather than JSON."""
    return isinstance(getattr(request, "accepted_renderer", None), YAMLRenderer)


class Negotiation(DefaultContentNegotiation):
    """Answers in JSON where nothing that the request accepts is on offer."""

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        try:
            chosen: tuple[BaseRenderer, str] = super().select_renderer(request, renderers, format_suffix)
            return chosen
        except NotAcceptable:
            return renderers[0], renderers[0].media_type
