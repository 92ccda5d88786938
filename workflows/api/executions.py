"""Running a workflow, and asking for its newest run: status, result, cancel; and what all its runs have used."""

import uuid
from collections.abc import Callable, Collection
from functools import partial
from typing import Any, ClassVar

from django.http import HttpResponseBase
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings

from workflows import engine_thread, follow, metrics, publishing, runs
from workflows.api.answers import Accepted, Cancelled, RunResult, RunStatusAnswer, WorkflowUsage
from workflows.api.base import Endpoint
from workflows.api.parsers import JSONParser
from workflows.api.requests import ExecuteAsyncRequest, ExecuteRequest, ExecutionQuery, UsageQuery
from workflows.api.serializers import workflow_status
from workflows.api.starting import IDEMPOTENCY_KEY, REPLAYED, accepted, start_once
from workflows.api.stream import EventStreamRenderer, stream_response, wants_stream
from workflows.errors import RunNotFound
from workflows.models import Run, Workflow
from workflows.models.run import RunQuerySet
from workflows.results import result_body

STREAMING = [*api_settings.DEFAULT_RENDERER_CLASSES, EventStreamRenderer]
STREAM = {(200, "text/event-stream"): OpenApiResponse(str, description="Events of the run, as they happen.")}


class NoResult(NotFound):
    """No run has ended yet."""


class Executions(Endpoint):
    """What a workflow's view offers of its runs."""

    permissions: ClassVar[dict[str, str]] = {
        "execute": "workflows.add_run",
        "execute_async": "workflows.add_run",
        "status": "workflows.view_run",
        "result": "workflows.view_run",
        "cancel": "workflows.change_run",
        "usage": "workflows.view_run",
    }
    query_names: ClassVar[dict[str, Collection[str]]] = {
        "status": ("execution_id",),
        "result": ("execution_id",),
        "cancel": ("execution_id",),
        "usage": ("since",),
    }

    @extend_schema(
        request=ExecuteRequest,
        parameters=[IDEMPOTENCY_KEY, REPLAYED],
        responses={
            (200, "application/json"): RunResult,
            (202, "application/json"): Accepted,
            **STREAM,
        },
    )
    @action(detail=True, methods=["post"], parser_classes=[JSONParser], renderer_classes=STREAMING)
    def execute(self, request: Request, workflow_id: str) -> HttpResponseBase:
        """Run the workflow here and answer with its result, failed or not.

        202 where the run waits, is paused, or stays queued for 30 s. With `Accept: text/event-stream` the run
        is streamed instead. A client that leaves does not stop the run.
        """
        asked = self.body(ExecuteRequest)
        start = start_once(request, publishing.current(workflow_id), asked, runs.execute)
        if start.replayed and not start.run.has_ended:
            engine_thread.offer(start.run.pk)  # it may wait for a worker that is not there
        return start.marked(self._settled(start.run, request))

    @extend_schema(request=ExecuteAsyncRequest, parameters=[IDEMPOTENCY_KEY, REPLAYED], responses={202: Accepted})
    @action(detail=True, methods=["post"], url_path="execute-async", parser_classes=[JSONParser])
    def execute_async(self, request: Request, workflow_id: str) -> HttpResponseBase:
        """Have the workers run the workflow, now or at `run_at`."""
        asked = self.body(ExecuteAsyncRequest)
        begin = partial(runs.start, trigger="api", priority=asked.get("priority", 0), run_at=asked.get("run_at"))
        start = start_once(request, publishing.current(workflow_id), asked, begin)
        message = f"the run started earlier: it is {start.run.status}" if start.replayed else "the run is queued"
        return start.marked(accepted(start.run, message))

    @extend_schema(parameters=[ExecutionQuery], responses=RunStatusAnswer)
    @action(detail=True)
    def status(self, request: Request, workflow_id: str) -> Response:
        """How far the newest run is, or the one that `execution_id` names."""
        workflow = publishing.current(workflow_id)
        return Response(workflow_status(workflow, self._run_of(workflow, lambda: runs.newest(workflow))))

    @extend_schema(parameters=[ExecutionQuery], responses=RunResult)
    @action(detail=True)
    def result(self, request: Request, workflow_id: str) -> Response:
        """The result of the newest run that has ended, or of the one that `execution_id` names."""
        workflow = publishing.current(workflow_id)
        run = self._run_of(workflow, lambda: _newest(workflow.runs.ended()))
        if run is None:
            raise NoResult(f"no run of workflow {workflow_id!r} has ended")
        if not run.has_ended:
            raise NoResult(f"run {str(run.pk)!r} has not ended: it is {run.status}")
        return Response(result_body(run))

    @extend_schema(request=None, parameters=[ExecutionQuery], responses=Cancelled)
    @action(detail=True, methods=["post"], parser_classes=[JSONParser])
    def cancel(self, request: Request, workflow_id: str) -> Response:
        """Cancel the newest run that has not ended, or the one that `execution_id` names."""
        workflow = publishing.current(workflow_id)
        run = self._run_of(workflow, lambda: _newest(workflow.runs.active()))
        return Response(cancelled_body(workflow_id, run, self.actor))

    @extend_schema(parameters=[UsageQuery], responses=WorkflowUsage)
    @action(detail=True)
    def usage(self, request: Request, workflow_id: str) -> Response:
        """Tokens and cost of its runs, all together; those of failed attempts too."""
        since = self.query(UsageQuery).get("since")
        used = metrics.workflow_usage(publishing.current(workflow_id), since)
        return Response({"workflow_id": workflow_id, "since": since, **used})

    def _settled(self, run: Run, request: Request) -> HttpResponseBase:
        """The answer to `execute`, once there is one."""
        if wants_stream(request):
            return stream_response(run, request)
        follow.wait_until_settled(run.pk)
        run = runs.get(run.pk)
        if not run.has_ended:
            return accepted(run, f"the run is {run.status}; follow it there")
        return Response(result_body(run))

    def _run_of(self, workflow: Workflow, otherwise: Callable[[], Run | None]) -> Run | None:
        """The run that the query names. Raises `RunNotFound`."""
        named: uuid.UUID | None = self.query(ExecutionQuery).get("execution_id")
        if named is None:
            return otherwise()
        run = runs.get(named)
        if run.workflow_id != workflow.pk:
            raise RunNotFound(f"workflow {workflow.workflow_id!r} has no run {str(named)!r}")
        return run


def _newest(candidates: RunQuerySet) -> Run | None:
    return candidates.select_related("workflow", "version").order_by("-id").first()


def cancelled_body(workflow_id: str, run: Run | None, actor: str) -> dict[str, Any]:
    """Cancel ``run`` if there is one, and say what came of it."""
    cancelled = run is not None and runs.cancel(run.pk, actor=actor)
    if run is None:
        message = "no run of this workflow is under way"
    else:
        message = "the run is being cancelled" if cancelled else f"the run has ended already: it is {run.status}"
    return {
        "workflow_id": workflow_id,
        "execution_id": str(run.pk) if run else None,
        "cancelled": cancelled,
        "message": message,
    }
