"""The versions of a workflow's definition: reading, comparing, restoring."""

from collections.abc import Collection
from typing import ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from workflows import publishing
from workflows.api.answers import VersionDiff, VersionRestored
from workflows.api.base import Endpoint
from workflows.api.pagination import Pages
from workflows.api.rendering import DetailInYAML, wants_yaml
from workflows.api.requests import IF_MATCH, DiffQuery, Noted, expected_version
from workflows.api.serializers import VersionDetail, VersionSummary
from workflows.api.starting import asked_version
from workflows.definitions import compare, to_yaml
from workflows.models import Workflow, WorkflowVersion

WORKFLOW_ID = OpenApiParameter("workflow_id", str, OpenApiParameter.PATH)
NUMBER = OpenApiParameter("number", int, OpenApiParameter.PATH, description="The version.")


class VersionPages(Pages):
    """Pages of versions; each is read with its definition, which may be large."""

    page_size = 50
    max_page_size = 100


@extend_schema(parameters=[WORKFLOW_ID, NUMBER])
class VersionViewSet(DetailInYAML, Endpoint):
    """Versions of a workflow that is not archived, by their number."""

    queryset = WorkflowVersion.objects.all()
    serializer_class = VersionSummary
    pagination_class = VersionPages
    lookup_field = "number"
    lookup_value_regex = "[0-9]{1,9}"
    permissions: ClassVar[dict[str, str]] = {
        "list": "workflows.view_workflow",
        "retrieve": "workflows.view_workflow",
        "diff": "workflows.view_workflow",
        "restore": "workflows.change_workflow",
    }
    query_names: ClassVar[dict[str, Collection[str]]] = {"list": VersionPages.names, "diff": ("with",)}

    @extend_schema(parameters=[OpenApiParameter("number", exclude=True)])
    def list(self, request: Request, workflow_id: str) -> Response:
        """The versions of a workflow, newest first."""
        page = self.paginate_queryset(publishing.current(workflow_id).versions.order_by("-number"))
        return self.get_paginated_response(VersionSummary(page, many=True).data)

    @extend_schema(responses={(200, "application/json"): VersionDetail, (200, "application/yaml"): str})
    def retrieve(self, request: Request, workflow_id: str, number: str) -> Response:
        """One version, with the definition as it was written."""
        version = publishing.current(workflow_id).version(int(number))
        return Response(to_yaml(version.parsed) if wants_yaml(request) else VersionDetail(version).data)

    @extend_schema(parameters=[DiffQuery], responses=VersionDiff)
    @action(detail=True)
    def diff(self, request: Request, workflow_id: str, number: str) -> Response:
        """What changed from the version before, or from the one that `with` names, to this one."""
        workflow = publishing.current(workflow_id)
        after = workflow.version(int(number))
        before = asked_version(workflow, self.query(DiffQuery), "with") or _version_before(workflow, after)
        found = compare(before.definition, after.definition)
        return Response({"workflow_id": workflow_id, "before": before.number, "after": after.number, **found.to_json()})

    @extend_schema(request=Noted, parameters=[IF_MATCH], responses=VersionRestored)
    @action(detail=True, methods=["post"])
    def restore(self, request: Request, workflow_id: str, number: str) -> Response:
        """Store the definition of this version as a new one, unless it is that of the current one.

        It is checked again: 400 with each place where agents or functions have gone since.
        """
        note = self.body(Noted).get("note", "")
        expected = expected_version(request)
        workflow, restored = publishing.restore(
            workflow_id, int(number), actor=self.actor, note=note, expected_version=expected
        )
        newest = workflow.current
        assert newest is not None
        done = f"version {number} is restored as version {newest.number}"
        nothing = f"version {newest.number}, the current one, has the definition of version {number}: nothing was made"
        body = {
            "workflow_id": workflow_id,
            "version": newest.number,
            "restored": restored,
            "message": done if restored else nothing,
        }
        return Response(body, headers={"ETag": f'"{newest.number}"'})


def _version_before(workflow: Workflow, version: WorkflowVersion) -> WorkflowVersion:
    if version.number == 1:
        raise ValidationError({"with": "version 1 has none before it: name the version to compare it with"})
    return workflow.version(version.number - 1)
