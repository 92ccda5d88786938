"""Files that functions of a run made. They may hold anything, so none is ever opened as a page of this site."""

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from django.http import HttpResponse, HttpResponseBase
from django.utils.cache import get_conditional_response
from django.utils.http import content_disposition_header
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from workflows import runs
from workflows.api.base import Endpoint
from workflows.api.pagination import ArtifactCursors
from workflows.api.requests import ArtifactQuery
from workflows.api.serializers import ArtifactBody
from workflows.graphs import POLICY
from workflows.models import Artifact

ARTIFACT_ID = OpenApiParameter("artifact_id", int, OpenApiParameter.PATH, description="Its id in the list.")


class ArtifactNotFound(NotFound):
    """The run has no artifact of that id."""


class AsItIs(BaseRenderer):
    """For content that is of any type: nothing that a request accepts is refused."""

    media_type = "*/*"
    format = "artifact"

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> Any:
        return data


class RunArtifacts(Endpoint):
    """What a run's view offers of its artifacts."""

    permissions: ClassVar[dict[str, str]] = {"artifacts": "workflows.view_run", "artifact": "workflows.view_run"}
    query_names: ClassVar[dict[str, Collection[str]]] = {"artifacts": ArtifactCursors.names, "artifact": ("inline",)}

    @extend_schema(responses=ArtifactBody(many=True), filters=False)
    @action(detail=True, pagination_class=ArtifactCursors)
    def artifacts(self, request: Request, execution_id: str) -> Response:
        """Files that its functions made, in order; those of failed attempts and superseded results too."""
        page: Any = self.paginate_queryset(runs.get(execution_id).artifacts.without_content())
        return self.get_paginated_response(ArtifactBody(page, many=True).data)

    @extend_schema(
        parameters=[ARTIFACT_ID, ArtifactQuery],
        responses={
            (200, "application/octet-stream"): OpenApiResponse(bytes, description="The file, under its media type."),
            304: OpenApiResponse(description="The client has it: `If-None-Match` names its `ETag`."),
        },
    )
    @action(detail=True, url_path="artifacts/(?P<artifact_id>[0-9]{1,15})", renderer_classes=[AsItIs])
    def artifact(self, request: Request, execution_id: str, artifact_id: str) -> HttpResponseBase:
        """One of the files, to be saved. With `inline`, pictures (SVG, PNG) can be looked at."""
        inline = self.query(ArtifactQuery).get("inline", False)
        found = runs.get(execution_id).artifacts.filter(pk=int(artifact_id))
        row = found.without_content().first()
        if row is None:
            raise ArtifactNotFound(f"the run has no artifact {artifact_id}")
        etag = f'"{row.sha256}"'
        known = get_conditional_response(request._request, etag=etag)
        return known if known is not None else content_of(row, inline=inline, etag=etag)


def content_of(row: Artifact, *, inline: bool, etag: str) -> HttpResponse:
    """The file, with headers under which a browser runs nothing of it, wherever it comes from."""
    shown = inline and row.is_picture
    headers = {
        "Content-Disposition": content_disposition_header(not shown, row.name) or "attachment",
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Cache-Control": "private, no-cache",
        "ETag": etag,
    }
    return HttpResponse(bytes(row.content), content_type=row.media_type, headers=headers)
