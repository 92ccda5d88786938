"""Stored templates, and making workflows from them: one at once, many by the workers."""

from collections.abc import Collection, Iterator
from typing import Any, ClassVar

from django.core.exceptions import PermissionDenied
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from workflows import template_batches, templates
from workflows.api.answers import BatchAccepted, TemplateDeleted, TemplateStored, WorkflowStored
from workflows.api.base import Endpoint
from workflows.api.pagination import Pages
from workflows.api.parsers import DEFINITION_PARSERS, JSONParser
from workflows.api.rendering import DetailInYAML, wants_yaml
from workflows.api.requests import InstantiateRequest, RowRequest
from workflows.api.serializers import TemplateSummary
from workflows.api.workflows import named, source_of, stored
from workflows.catalog import Catalog
from workflows.definitions import Source, TemplateDocument, check_template, did_you_mean, yaml_text
from workflows.errors import DefinitionError
from workflows.models import Template, TemplateBatch

DOCUMENT = {"$ref": "#/components/schemas/TemplateDocument"}
EXPORT_FIELDS = ("from_workflow", "name", "description")
EXPORT = {
    "type": "object",
    "description": "A template of a workflow's current definition.",
    "required": ["from_workflow", "name"],
    "additionalProperties": False,
    "properties": {key: {"type": "string"} for key in EXPORT_FIELDS},
}
CREATE_BODY = {"application/json": {"anyOf": [DOCUMENT, EXPORT]}, "application/yaml": DOCUMENT}
DETAIL = {"$ref": "#/components/schemas/TemplateDetail"}
PUT_BODY = {"application/json": {"anyOf": [DOCUMENT, DETAIL]}, "application/yaml": DOCUMENT}
READ_ONLY = ("author", "created_at", "updated_at")
"""What reading a template adds to its document."""


class TemplateViewSet(DetailInYAML, Endpoint):
    """Templates by their name."""

    queryset = Template.objects.defer("definition", "parameters")
    serializer_class = TemplateSummary
    pagination_class = Pages
    parser_classes = DEFINITION_PARSERS
    lookup_field = "name"
    lookup_value_regex = "[A-Za-z0-9_-]{1,100}"
    permissions: ClassVar[dict[str, str]] = {
        "list": "workflows.view_template",
        "retrieve": "workflows.view_template",
        "create": "workflows.add_template",
        "update": "workflows.change_template",
        "destroy": "workflows.delete_template",
        "instantiate": "workflows.add_workflow",
    }
    query_names: ClassVar[dict[str, Collection[str]]] = {"list": Pages.names}

    def list(self, request: Request) -> Response:
        """All templates, by name."""
        rows: Any = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(TemplateSummary(rows, many=True).data)

    @extend_schema(request=CREATE_BODY, responses={201: TemplateStored})
    def create(self, request: Request) -> Response:
        """Store a new template: a document, or that of a workflow as it is now (`from_workflow`)."""
        source = source_of(request.data)
        exports = isinstance(source.value, dict) and "from_workflow" in source.value
        document = self._exported(source) if exports else check_template(source, Catalog())
        return _stored(templates.create(document, actor=self.actor), 201)

    @extend_schema(responses={(200, "application/json"): DETAIL, (200, "application/yaml"): str})
    def retrieve(self, request: Request, name: str) -> Response:
        """The template as it was written."""
        template = templates.get(name)
        document = templates.as_document(template)
        if wants_yaml(request):
            return Response(yaml_text(document))
        return Response({**document, **{name: getattr(template, name) for name in READ_ONLY}})

    @extend_schema(request=PUT_BODY, responses=TemplateStored)
    def update(self, request: Request, name: str) -> Response:
        """Replace the template; workflows that were made from it stay as they are."""
        source = named(source_of(request.data), "name", name, READ_ONLY)
        return _stored(templates.update(check_template(source, Catalog()), actor=self.actor), 200)

    @extend_schema(responses={200: TemplateDeleted})
    def destroy(self, request: Request, name: str) -> Response:
        """Delete the template; workflows that were made from it and batches under way stay."""
        templates.delete(name, actor=self.actor)
        return Response({"name": name, "message": f"template {name!r} is deleted"})

    @extend_schema(request=InstantiateRequest, responses={201: WorkflowStored, 202: BatchAccepted})
    @action(detail=True, methods=["post"], parser_classes=[JSONParser])
    def instantiate(self, request: Request, name: str) -> Response:
        """Store a workflow made from the template. 202 with `rows`: the workers make one of each."""
        asked = self.body(InstantiateRequest)
        template = templates.get(name)
        if "rows" in asked:
            return _accepted(template_batches.begin(template, list(_rows(asked)), actor=self.actor))
        workflow = templates.instantiate(
            template,
            asked.get("parameters") or {},
            workflow_id=asked.get("workflow_id"),
            actor=self.actor,
            note=f"from template {name}",
        )
        return stored(workflow, "created")

    def _exported(self, source: Source) -> TemplateDocument:
        if not self.request.user.has_perm("workflows.view_workflow"):
            raise PermissionDenied("this account may not read workflows, so it can't export one")
        asked: dict[str, Any] = source.value
        if problems := [*source.problems, *_export_problems(source)]:
            raise DefinitionError(problems)
        return templates.of_workflow(asked["from_workflow"], asked["name"], asked.get("description"))


def _export_problems(source: Source) -> Iterator[Any]:
    for key, value in source.value.items():
        if key not in EXPORT_FIELDS:
            hint = did_you_mean(key, EXPORT_FIELDS)
            message = f'unknown field "{key}"{hint}; with from_workflow go {", ".join(EXPORT_FIELDS[1:])}'
            yield source.problem((key,), message, "unknown_field", of_key=True)
        elif not isinstance(value, str):
            yield source.problem((key,), "this must be text", "wrong_type")
    if "name" not in source.value:
        yield source.problem(("name",), "this field is required", "missing_field")


def _rows(asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows as they were asked for; what is wrong with their parameters is told in the batch."""
    if also := [key for key in asked if key != "rows"]:
        raise ValidationError({also[0]: "give either rows, or the parameters and workflow_id of one workflow"})
    for index, row in enumerate(asked["rows"]):
        checked = RowRequest(data=row)
        if not checked.is_valid():
            raise ValidationError({f"rows[{index}]": checked.errors})
        yield dict(checked.validated_data)


def _stored(template: Template, status: int) -> Response:
    done = "created" if status == 201 else "saved"
    return Response({"name": template.name, "message": f"template {template.name!r} is {done}"}, status=status)


def _accepted(batch: TemplateBatch) -> Response:
    body = {
        "batch_id": str(batch.pk),
        "template": batch.template,
        "total": batch.total,
        "message": "the workers make the workflows",
        "status_url": reverse("template-batches-detail", args=[batch.pk]),
    }
    return Response(body, status=202)
