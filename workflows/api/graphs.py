"""Drawings of definitions and runs: SVG, or the text of a Mermaid flowchart."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from workflows.definitions import Definition
from workflows.graphs import POLICY, drawn, mermaid, svg


class SVGRenderer(BaseRenderer):
    """A picture that is drawn already."""

    media_type = "image/svg+xml"
    format = "svg"
    charset = "utf-8"

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> Any:
        return data


class MermaidRenderer(SVGRenderer):
    """The text of a flowchart."""

    media_type = "text/vnd.mermaid"
    format = "mermaid"


RENDERERS = [SVGRenderer, MermaidRenderer]  # the first where a request accepts anything
as_graph = extend_schema(
    responses={
        (200, "image/svg+xml"): OpenApiResponse(str, description="The picture."),
        (200, "text/vnd.mermaid"): OpenApiResponse(str, description="A Mermaid flowchart."),
    }
)


def graph(request: Request, definition: Definition, statuses: Mapping[str, str] | None = None) -> Response:
    """The definition as the request accepts it; ``statuses``: step id → status, of a run of it."""
    if isinstance(getattr(request, "accepted_renderer", None), MermaidRenderer):
        return Response(mermaid(definition))
    return Response(svg(drawn(definition, statuses)), headers={"Content-Security-Policy": POLICY})
