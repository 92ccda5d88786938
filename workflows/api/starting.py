"""What starts of runs share: the version that was asked for, the idempotency key, the answer of a run that goes on."""

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from django.http import HttpResponseBase
from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import ValidationError

from workflows import start_keys
from workflows.api.stream import stream_url
from workflows.errors import VersionNotFound
from workflows.models import Run, Workflow, WorkflowVersion
from workflows.start_keys import Asked

KEY_HEADER, REPLAYED_HEADER = "Idempotency-Key", "Idempotent-Replayed"
IDEMPOTENCY_KEY = OpenApiParameter(
    KEY_HEADER,
    str,
    OpenApiParameter.HEADER,
    description="For 24 h, the same key means the same run; 1 to 255 printable ASCII characters.",
)
REPLAYED = OpenApiParameter(
    REPLAYED_HEADER,
    str,
    OpenApiParameter.HEADER,
    description="`true` where the run was started earlier, under the same key.",
    response=[200, 202],
)
Answer = TypeVar("Answer", bound=HttpResponseBase)


@dataclass(frozen=True, slots=True)
class Started:
    """A run, and whether an earlier request under the same key started it."""

    run: Run
    replayed: bool

    def marked(self, response: Answer) -> Answer:
        """The response, which says so where it was an earlier one."""
        if self.replayed:
            response.headers[REPLAYED_HEADER] = "true"
        return response


def start_once(request: Request, workflow: Workflow, asked: Mapping[str, Any], begin: Callable[..., Run]) -> Started:
    """The run that ``begin`` (`runs.start`, `runs.execute`) starts, or that the request's key has started before."""
    actor, input = str(request.user.get_username()), asked.get("input_context") or {}

    def start(run_id: uuid.UUID | None) -> Run:
        version, profile = asked_version(workflow, asked), asked.get("profile", False)
        return begin(workflow, input, actor=actor, version=version, id=run_id, profile=profile)

    key = _key(request)
    if key is None:
        return Started(start(None), replayed=False)
    rest = {name: asked[name] for name in ("version", "priority", "run_at", "profile") if name in asked}
    return Started(*start_keys.once(key, actor, Asked(workflow.workflow_id, input, **rest), start))


def asked_version(workflow: Workflow, asked: Mapping[str, Any], name: str = "version") -> WorkflowVersion | None:
    """The version that was asked for under that name, None for none. Raises `ValidationError`."""
    number = asked.get(name)
    if number is None:
        return None
    try:
        return workflow.version(number)
    except VersionNotFound as error:
        raise ValidationError({name: str(error)}, code="not_found") from None


def accepted(run: Run, message: str) -> Response:
    """202: the run goes on without the request."""
    workflow_id = run.workflow.workflow_id
    body = {
        "execution_id": str(run.pk),
        "workflow_id": workflow_id,
        "message": message,
        "status_url": f"{reverse('workflows-status', args=[workflow_id])}?execution_id={run.pk}",
        "stream_url": stream_url(run),
    }
    return Response(body, status=202)


def _key(request: Request) -> str | None:
    key: str | None = request.headers.get(KEY_HEADER)
    if key is not None and not re.fullmatch(r"[ -~]{1,255}", key):
        raise ValidationError({KEY_HEADER: f"should be 1 to 255 printable ASCII characters, not {key[:50]!r}"})
    return key
