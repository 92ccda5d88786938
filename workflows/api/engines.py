"""Inference engines: what is configured. This server loads no model, so there is nothing to change here."""

from typing import Any, ClassVar

from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from agents.inference import server_for
from agents.models import InferenceEngine
from workflows.api.answers import Engine
from workflows.api.base import Endpoint
from workflows.api.pagination import Listing
from workflows.definitions.problems import did_you_mean


class EngineNotFound(NotFound):
    """No engine of that id is configured."""


class EngineViewSet(Endpoint):
    """Engines by their `engine_id`."""

    queryset = InferenceEngine.objects.all()
    serializer_class = Engine
    pagination_class = None
    permissions: ClassVar[dict[str, str]] = {
        "list": "agents.view_inferenceengine",
        "retrieve": "agents.view_inferenceengine",
    }

    def list(self, request: Request) -> Response:
        """`default`, which answers wherever an agent names no server, then the file's."""
        found = list(engines().values())
        return Listing(found, len(found))

    def retrieve(self, request: Request, engine_id: str) -> Response:
        """One engine."""
        found = engines()
        if engine_id not in found:
            raise EngineNotFound(f"there is no engine {engine_id!r}{did_you_mean(engine_id, found)}")
        return Response(found[engine_id])


def engines() -> dict[str, dict[str, Any]]:
    """Engine id → body.

    ``status``: ``ready`` (a server is set), ``offline`` (the offline provider answers), or
    ``configured`` (in the file; not asked).
    """
    server = server_for(None)
    default: dict[str, Any] = {
        "engine_id": "default",
        "type": "openai" if server else "offline",
        "status": "ready" if server else "offline",
        "model": server.model if server else None,
        "settings": {},
    }
    named = {row.name: _named(row) for row in InferenceEngine.objects.all()}
    return {"default": default, **{name: body for name, body in named.items() if name != "default"}}


def _named(row: InferenceEngine) -> dict[str, Any]:
    return {
        "engine_id": row.name,
        "type": row.type,
        "status": "configured",
        "model": row.model_path or None,
        "settings": row.settings,
    }
