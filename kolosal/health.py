"""Is the process alive, can it work, and what has it counted."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpResponse, HttpResponseRedirect
from django.urls import reverse
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.exceptions import APIException
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from kolosal import __version__
from workflows import metrics
from workflows.api.answers import Health
from workflows.models import Worker


class NotReady(APIException):
    """Something that the server needs is missing; ``problems`` says what."""

    status_code = 503

    def __init__(self, problems: list[dict[str, str]]) -> None:
        super().__init__("not ready: " + "; ".join(problem["message"] for problem in problems))
        self.problems = problems


class HomeView(APIView):
    """The address that people type: it leads to the admin."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    schema = None

    def get(self, request: Request) -> HttpResponseRedirect:
        return HttpResponseRedirect(reverse("admin:index"))


class HealthView(APIView):
    """The process answers; nothing else is asked."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(responses=Health)
    def get(self, request: Request) -> Response:
        """Liveness."""
        return Response(_health("healthy"))


class ReadyView(APIView):
    """The database, the broker and a worker are there."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(responses=Health)
    def get(self, request: Request) -> Response:
        """Readiness: 503 with all that is missing."""
        problems = missing()
        if problems:
            raise NotReady(problems)
        return Response(_health("ready"))


class MetricsView(APIView):
    """Counts in Prometheus' text format."""

    permissions: ClassVar[dict[str, str]] = {"get": "workflows.view_run"}

    @extend_schema(responses={(200, "text/plain"): OpenApiResponse(str, description="Prometheus text format.")})
    def get(self, request: Request) -> HttpResponse:
        """Runs by status, queue depth, workers."""
        return HttpResponse(metrics.prometheus_text(), content_type="text/plain; version=0.0.4; charset=utf-8")


def missing() -> list[dict[str, str]]:
    """What the server lacks to carry out runs: ``{path, message, code}`` each."""
    try:
        connection.ensure_connection()
        workers = {Worker.Kind.WORKER, Worker.Kind.PACEMAKER} & metrics.live_workers().keys()
    except DatabaseError:
        return [_lack("database", "the database can't be reached"), *_broker()]
    return [
        *_broker(),
        *([] if workers else [_lack("workers", "no worker is alive; start `manage.py worker`")]),
    ]


def _broker() -> list[dict[str, str]]:
    if not settings.BROKER_URL:
        return []  # the broker is the database
    from redis import Redis, RedisError

    try:
        with Redis.from_url(settings.BROKER_URL, socket_timeout=2, socket_connect_timeout=2) as redis:
            redis.ping()
    except RedisError:
        return [_lack("broker", "the broker (KOLOSAL_BROKER_URL) can't be reached")]
    return []


def _lack(path: str, message: str) -> dict[str, str]:
    return {"path": path, "message": message, "code": "missing"}


def _health(status: str) -> dict[str, Any]:
    return {"status": status, "service": "kolosal-workflows", "version": __version__}
