"""Runs of all workflows."""

from collections.abc import Collection
from typing import Any, ClassVar

from django.http import HttpResponseBase
from django.utils import timezone
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings

from workflows import runs
from workflows.api.answers import ContextAnswer, TimesAnswer
from workflows.api.artifacts import RunArtifacts
from workflows.api.filters import RunFilter
from workflows.api.graphs import RENDERERS, as_graph, graph
from workflows.api.pagination import Cursors, EventCursors, StepCursors
from workflows.api.requests import ContextQuery
from workflows.api.run_verbs import RunVerbs
from workflows.api.serializers import EventBody, RunDetail, RunSummary, StepBody
from workflows.api.stream import EventStreamRenderer, stream_response
from workflows.definitions.problems import did_you_mean
from workflows.graphs.statuses import statuses_of
from workflows.models import Run
from workflows.results import context_at
from workflows.time_split import time_split

EXECUTION_ID = OpenApiParameter("execution_id", str, OpenApiParameter.PATH, description="The run's UUID.")
LAST_EVENT_ID = OpenApiParameter(
    "Last-Event-ID", str, OpenApiParameter.HEADER, description="Go on after this event, such as 7 or 7.120."
)


@extend_schema(parameters=[EXECUTION_ID])
class RunViewSet(RunArtifacts, RunVerbs):
    """Runs by their `execution_id`."""

    queryset = Run.objects.select_related("workflow", "version").defer("version__definition", "input")
    serializer_class = RunSummary
    pagination_class = Cursors
    filter_backends = (DjangoFilterBackend,)
    filterset_class = RunFilter
    lookup_field = "execution_id"
    lookup_value_regex = "[^/]{1,100}"
    permissions: ClassVar[dict[str, str]] = {
        "list": "workflows.view_run",
        "retrieve": "workflows.view_run",
        "steps": "workflows.view_run",
        "events": "workflows.view_run",
        "context": "workflows.view_run",
        "times": "workflows.view_run",
        "stream": "workflows.view_run",
        "graph": "workflows.view_run",
        **RunArtifacts.permissions,
        **RunVerbs.permissions,
    }
    query_names: ClassVar[dict[str, Collection[str]]] = {
        "list": (*RunFilter.base_filters, *Cursors.names),
        "steps": Cursors.names,
        "events": Cursors.names,
        "context": ("at",),
        **RunArtifacts.query_names,
        **RunVerbs.query_names,
    }

    @extend_schema(parameters=[OpenApiParameter("execution_id", exclude=True)])
    def list(self, request: Request) -> Response:
        """Runs, newest first."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(RunSummary(page, many=True).data)

    @extend_schema(responses=RunDetail)
    def retrieve(self, request: Request, execution_id: str) -> Response:
        """One run, with its input, and where its parent and its children are."""
        return Response(RunDetail(runs.get(execution_id)).data)

    @extend_schema(responses=StepBody(many=True), filters=False)
    @action(detail=True, pagination_class=StepCursors)
    def steps(self, request: Request, execution_id: str) -> Response:
        """What its steps did, in the order in which they began; superseded results too."""
        page: Any = self.paginate_queryset(runs.get(execution_id).steps.all())
        return self.get_paginated_response(StepBody(page, many=True).data)

    @extend_schema(responses=EventBody(many=True), filters=False)
    @action(detail=True, pagination_class=EventCursors)
    def events(self, request: Request, execution_id: str) -> Response:
        """The audit trail of the run, in order."""
        page: Any = self.paginate_queryset(runs.get(execution_id).events.all())
        return self.get_paginated_response(EventBody(page, many=True).data)

    @extend_schema(parameters=[ContextQuery], responses=ContextAnswer)
    @action(detail=True)
    def context(self, request: Request, execution_id: str) -> Response:
        """The context as it is now, or as the step at a path saw it."""
        run = runs.get(execution_id)
        at = self.query(ContextQuery).get("at")
        if at is not None:
            _require_path(run, at)
        return Response({"execution_id": str(run.pk), "at": at, "context": context_at(run, at)})

    @extend_schema(responses=TimesAnswer)
    @action(detail=True)
    def times(self, request: Request, execution_id: str) -> Response:
        """Where its time went: functions, retries, waiting in line and for others, overhead."""
        run = runs.get(execution_id)
        return Response({"execution_id": str(run.pk), **time_split(run, timezone.now()).to_json()})

    @extend_schema(
        parameters=[LAST_EVENT_ID],
        responses={
            (200, "text/event-stream"): OpenApiResponse(str, description="Events of the run, as they happen."),
            204: OpenApiResponse(description="The run has ended, and the client knows all of it."),
        },
    )
    @action(detail=True, renderer_classes=[*api_settings.DEFAULT_RENDERER_CLASSES, EventStreamRenderer])
    def stream(self, request: Request, execution_id: str) -> HttpResponseBase:
        """Follow the run, from its first event or after `Last-Event-ID`, until it has ended."""
        return stream_response(runs.get(execution_id), request)

    @as_graph
    @action(detail=True, renderer_classes=RENDERERS)
    def graph(self, request: Request, execution_id: str) -> Response:
        """The definition that it follows, drawn; each step in the colour of its status."""
        run = runs.get(execution_id)
        return graph(request, run.definition, statuses_of(run))


def _require_path(run: Run, path: str) -> None:
    known = {*(step.step_id for step in run.version.parsed.steps), *run.steps.values_list("path", flat=True)}
    if path not in known:
        raise ValidationError({"at": f"the run has no step {path[:100]!r}{did_you_mean(path, known)}"})
