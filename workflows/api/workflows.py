"""Workflows: storing, reading, changing, checking and archiving their definitions."""

from collections.abc import Collection, Iterable
from typing import Any, ClassVar

from django.db import transaction
from django.db.models import OuterRef, QuerySet, Subquery
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from workflows import metrics, publishing, templates
from workflows.api.answers import ExecutorMetrics, Validation, WorkflowArchived, WorkflowStored
from workflows.api.executions import Executions
from workflows.api.filters import WorkflowFilter
from workflows.api.graphs import RENDERERS, as_graph, graph
from workflows.api.pagination import Pages
from workflows.api.parsers import DEFINITION_PARSERS, JSONParser
from workflows.api.rendering import DetailInYAML, wants_yaml
from workflows.api.requests import IF_MATCH, Noted, TemplateRequest, expected_version
from workflows.api.serializers import WorkflowSummary, workflow_status
from workflows.catalog import Catalog
from workflows.definitions import Definition, Source, check, read_object, to_yaml
from workflows.errors import DefinitionError
from workflows.models import Run, Workflow

DEFINITION = {"$ref": "#/components/schemas/Definition"}
DEFINITION_BODY = {"application/json": DEFINITION, "application/yaml": DEFINITION}
PATCH_BODY = {"application/json": {"type": "object", "description": "JSON Merge Patch (RFC 7396) of the definition."}}
DETAIL = {"$ref": "#/components/schemas/WorkflowDetail"}
PUT_BODY = {"application/json": {"anyOf": [DEFINITION, DETAIL]}, "application/yaml": DEFINITION}
READ_ONLY = ("version", "created_at", "updated_at", "current_status")
"""What reading a workflow adds to its definition."""


class WorkflowViewSet(DetailInYAML, Executions):
    """Workflows by their `workflow_id`."""

    queryset = Workflow.objects.active().select_related("current")
    serializer_class = WorkflowSummary
    pagination_class = Pages
    filter_backends = (DjangoFilterBackend,)
    filterset_class = WorkflowFilter
    parser_classes = DEFINITION_PARSERS
    lookup_field = "workflow_id"
    lookup_value_regex = "[A-Za-z0-9_-]{1,100}"
    permissions: ClassVar[dict[str, str]] = {
        **Executions.permissions,
        "list": "workflows.view_workflow",
        "retrieve": "workflows.view_workflow",
        "create": "workflows.add_workflow",
        "update": "workflows.change_workflow",
        "partial_update": "workflows.change_workflow",
        "destroy": "workflows.delete_workflow",
        "validate": "workflows.view_workflow",
        "templates": "workflows.add_workflow",
        "executor_metrics": "workflows.view_run",
        "graph": "workflows.view_workflow",
    }
    query_names: ClassVar[dict[str, Collection[str]]] = {
        **Executions.query_names,
        "list": (*WorkflowFilter.base_filters, *Pages.names),
        "create": ("note",),
        "update": ("note",),
        "partial_update": ("note",),
        "templates": ("note",),
    }

    def list(self, request: Request) -> Response:
        """Workflows that are not archived, each with the status of its newest run."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        assert page is not None
        context = {"newest": newest_runs(workflow.pk for workflow in page)}
        rows: Any = page  # the stubs know no `many`
        return self.get_paginated_response(WorkflowSummary(rows, many=True, context=context).data)

    @extend_schema(request=DEFINITION_BODY, parameters=[Noted], responses={201: WorkflowStored})
    def create(self, request: Request) -> Response:
        """Store a new workflow."""
        return self._created(_definition(source_of(request.data)))

    @extend_schema(responses={(200, "application/json"): DETAIL, (200, "application/yaml"): str})
    def retrieve(self, request: Request, workflow_id: str) -> Response:
        """The definition as it was written, with its version and the status of its newest run."""
        workflow = publishing.current(workflow_id)
        version = workflow.current
        assert version is not None
        headers = {"ETag": f'"{version.number}"'}
        if wants_yaml(request):
            return Response(to_yaml(version.parsed), headers=headers)
        newest = newest_runs([workflow.pk]).get(workflow.pk)
        body = {
            **version.definition,
            "version": version.number,
            "created_at": workflow.created_at,
            "updated_at": workflow.updated_at,
            "current_status": workflow_status(workflow, newest),
        }
        return Response(body, headers=headers)

    @extend_schema(request=PUT_BODY, parameters=[IF_MATCH, Noted], responses=WorkflowStored)
    def update(self, request: Request, workflow_id: str) -> Response:
        """Replace the definition: a new version, unless nothing changed.

        What was read can be sent back: its `version`, `created_at`, `updated_at` and `current_status` are ignored.
        """
        publishing.current(workflow_id)
        definition = _definition(named(source_of(request.data), "workflow_id", workflow_id, READ_ONLY))
        workflow = publishing.revise(
            workflow_id, definition, actor=self.actor, note=self._note(), expected_version=expected_version(request)
        )
        return stored(workflow, "saved")

    @extend_schema(request=PATCH_BODY, parameters=[IF_MATCH, Noted], responses=WorkflowStored)
    def partial_update(self, request: Request, workflow_id: str) -> Response:
        """Change parts of the definition by a JSON Merge Patch: a new version, unless nothing changed."""
        patch = source_of(request.data)
        if patch.problems:
            raise DefinitionError(patch.problems)
        expected, note = expected_version(request), self._note()
        with transaction.atomic():
            version = publishing.locked(workflow_id).current  # so that the patch is laid over what it replaces
            assert version is not None
            merged = read_object(merge_patch(version.definition, patch.value))
            definition = _definition(named(merged, "workflow_id", workflow_id))
            workflow = publishing.revise(
                workflow_id, definition, actor=self.actor, note=note, expected_version=expected
            )
        return stored(workflow, "saved")

    @extend_schema(responses={200: WorkflowArchived})
    def destroy(self, request: Request, workflow_id: str) -> Response:
        """Archive the workflow: its runs are cancelled, its history stays, its id is free again."""
        publishing.archive(workflow_id, actor=self.actor)
        return Response({"workflow_id": workflow_id, "message": "the workflow is archived; its id is free again"})

    @as_graph
    @action(detail=True, renderer_classes=RENDERERS)
    def graph(self, request: Request, workflow_id: str) -> Response:
        """The current definition, drawn."""
        version = publishing.current(workflow_id).current
        assert version is not None
        return graph(request, version.parsed)

    @extend_schema(request=DEFINITION_BODY, responses=Validation)
    @action(detail=False, methods=["post"])
    def validate(self, request: Request) -> Response:
        """All problems and warnings of a definition; nothing is stored."""
        checked = check(source_of(request.data), Catalog())
        body = {
            "valid": checked.definition is not None,
            "problems": [problem.to_json() for problem in checked.problems],
            "warnings": [warning.to_json() for warning in checked.warnings],
        }
        return Response(body)

    @extend_schema(request=TemplateRequest, parameters=[Noted], responses={201: WorkflowStored})
    @action(detail=False, methods=["post"], parser_classes=[JSONParser])
    def templates(self, request: Request) -> Response:
        """Store a new workflow from a template given in the body."""
        asked = self.body(TemplateRequest)
        parameters, workflow_id = asked.get("parameters") or {}, asked.get("workflow_id")
        return self._created(templates.definition_of(asked["template"], parameters, workflow_id, key="template"))

    @extend_schema(responses=ExecutorMetrics)
    @action(detail=False, url_path="executor/metrics")
    def executor_metrics(self, request: Request) -> Response:
        """Counts over all runs."""
        return Response(metrics.executor_metrics())

    def _created(self, definition: Definition) -> Response:
        return stored(publishing.create(definition, actor=self.actor, note=self._note()), "created")

    def _note(self) -> str:
        note: str = self.query(Noted).get("note", "")
        return note


def newest_runs(workflow_keys: Iterable[int]) -> dict[int, Run]:
    """Primary key → newest run, of the workflows that have run."""
    newest = Run.objects.filter(workflow=OuterRef("pk")).order_by("-id").values("pk")[:1]
    workflows = Workflow.objects.filter(pk__in=list(workflow_keys)).annotate(newest=Subquery(newest))
    found: QuerySet[Run] = Run.objects.filter(pk__in=workflows.values("newest"))
    return {run.workflow_id: run for run in found.select_related("workflow", "version").defer("input")}


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7396: objects are merged, null removes, anything else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def source_of(data: Any) -> Source:
    """The body that a parser of definitions has read."""
    # Django REST framework gives an empty body as an empty object, without asking a parser.
    return data if isinstance(data, Source) else read_object({})


def _definition(source: Source) -> Definition:
    return check(source, Catalog()).definition_or_raise()


def named(source: Source, key: str, name: str, ignored: Collection[str] = ()) -> Source:
    """The source with the address's name under ``key``, which it may leave out and may not contradict.

    ``ignored``: what reading it has added, and sending it back may leave there.
    """
    if not isinstance(source.value, dict):
        return source
    for added in ignored:
        source.value.pop(added, None)
    if source.value.setdefault(key, name) != name:
        message = f"the address says {name!r}: leave {key} out, or write the same"
        raise DefinitionError([source.problem((key,), message, "id_mismatch")])
    return source


def stored(workflow: Workflow, done: str) -> Response:
    """A workflow was ``created`` (201), or changed in another way (200)."""
    version = workflow.current
    assert version is not None
    body = {
        "workflow_id": workflow.workflow_id,
        "version": version.number,
        "message": f"workflow {workflow.workflow_id!r} is {done} as version {version.number}",
    }
    status = 201 if done == "created" else 200
    return Response(body, status=status, headers={"ETag": f'"{version.number}"'})
