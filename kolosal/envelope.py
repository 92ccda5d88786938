"""The shape of every JSON answer: ``{success, data, timestamp}``, or the one error shape."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.http import JsonResponse
from rest_framework.renderers import JSONRenderer


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error as clients see it. ``problems``: ``{path, line?, column?, message, code}`` each."""

    status: int
    code: str
    message: str
    problems: Sequence[Mapping[str, Any]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """The one error shape; ``timestamp`` in Unix seconds."""
        return {
            "success": False,
            "error": self.message,
            "error_code": self.status,
            "code": self.code,
            "errors": list(self.problems),
            "timestamp": int(time.time()),
        }

    def response(self) -> JsonResponse:
        """The answer where the error happened outside Django REST framework."""
        return JsonResponse(self.body(), status=self.status, headers=dict(self.headers))


class EnvelopeRenderer(JSONRenderer):
    """JSON with the envelope around ``data``. A list's ``page`` brings ``count``, ``next``, ``previous``."""

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> Any:
        context = dict(renderer_context or {})
        response = context.get("response")
        if response is None or not response.exception:
            page = getattr(response, "page", {})
            data = {"success": True, "data": data, **page, "timestamp": int(time.time())}
        return super().render(data, accepted_media_type, context)
