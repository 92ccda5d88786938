"""What may be done with a run: cancel, pause, resume, retry, rerun, and giving it what it waits for."""

from collections.abc import Collection
from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from workflows import approvals, runs
from workflows.api.answers import Accepted, AnswerTaken, Cancelled, EventTaken, RunChanged
from workflows.api.base import Endpoint
from workflows.api.executions import cancelled_body
from workflows.api.requests import Nothing, RerunRequest, RetryQuery, SignalRequest
from workflows.api.starting import accepted, asked_version
from workflows.models import Run
from workflows.states import RunStatus


class RunVerbs(Endpoint):
    """What a run's view offers to change it."""

    permissions: ClassVar[dict[str, str]] = {
        "cancel": "workflows.change_run",
        "pause": "workflows.change_run",
        "resume": "workflows.change_run",
        "retry": "workflows.change_run",
        "rerun": "workflows.add_run",
        "signal": approvals.PERMISSION,
    }
    query_names: ClassVar[dict[str, Collection[str]]] = {"retry": ("from",)}

    @extend_schema(request=None, responses=Cancelled)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, execution_id: str) -> Response:
        """Cancel the run, unless it has ended."""
        run = runs.get(execution_id)
        return Response(cancelled_body(run.workflow.workflow_id, run, self.actor))

    @extend_schema(request=None, responses=RunChanged)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, execution_id: str) -> Response:
        """Pause the run: at once, or before the next attempt where one is under way. 409 if it has ended."""
        self.body(Nothing)
        asked = runs.pause(runs.get(execution_id).pk, actor=self.actor)
        run = runs.get(execution_id)
        return _changed(run, _paused(run, asked))

    @extend_schema(request=None, responses=RunChanged)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, execution_id: str) -> Response:
        """Go on with a run that is paused or about to be. 409 if it is neither."""
        self.body(Nothing)
        runs.resume(runs.get(execution_id).pk, actor=self.actor)
        return _changed(runs.get(execution_id), "the run goes on")

    @extend_schema(request=None, parameters=[RetryQuery], responses=RunChanged)
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, execution_id: str) -> Response:
        """Go on with a run that failed, timed out or was cancelled. 409 if it is anything else.

        What was finished is kept, up to the step that `from` names; what is discarded stays, superseded.
        """
        self.body(Nothing)
        start_at = self.query(RetryQuery).get("from")
        runs.retry(runs.get(execution_id).pk, actor=self.actor, start_at=start_at)
        place = f"step {start_at!r}" if start_at else "its first unfinished step"
        return _changed(runs.get(execution_id), f"the run is queued again, from {place} on")

    @extend_schema(request=RerunRequest, responses={202: Accepted})
    @action(detail=True, methods=["post"])
    def rerun(self, request: Request, execution_id: str) -> Response:
        """Start a new run like this one, or with another input or version. 409 if the workflow is archived."""
        asked, run = self.body(RerunRequest), runs.get(execution_id)
        version = asked_version(run.workflow, asked)
        new = runs.rerun(
            run.pk,
            actor=self.actor,
            input=asked.get("input_context"),
            version=version,
            profile=asked.get("profile"),
        )
        return accepted(new, f"the run is queued; it repeats run {str(run.pk)!r}")

    @extend_schema(request=SignalRequest, responses={200: AnswerTaken, 202: EventTaken})
    @action(detail=True, methods=["post"])
    def signal(self, request: Request, execution_id: str) -> Response:
        """Give a step what it waits for: 200 for an answer (`path`, `answer`, `comment`), 202 for an `event` (`data`).

        409 where the step does not wait, or somebody has answered; 403 where others are asked. An event is kept until
        a step waits for it.
        """
        asked, run = self.body(SignalRequest), runs.get(execution_id)
        if "event" in asked:
            runs.send_event(run.pk, asked["event"], asked.get("data"), actor=self.actor)
            return Response({"execution_id": str(run.pk), "event": asked["event"]}, status=202)
        path, answer = asked["path"], asked["answer"]
        approvals.answer(run.pk, path, answer, person=request.user, comment=asked.get("comment", ""))
        return Response({"execution_id": str(run.pk), "path": path, "answer": answer})


def _changed(run: Run, message: str) -> Response:
    body = {
        "execution_id": str(run.pk),
        "workflow_id": run.workflow.workflow_id,
        "status": run.status,
        "message": message,
    }
    return Response(body)


def _paused(run: Run, asked: bool) -> str:
    if run.status == RunStatus.PAUSED:
        return "the run is paused" if asked else "the run is paused already"
    return "the run pauses before its next attempt"
