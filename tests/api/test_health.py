"""Liveness, readiness, metrics."""

from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from tests.api.client import Api
from tests.api.shape import data_of, refused
from tests.factories import run_to_end, step
from workflows.models import Worker


@pytest.mark.parametrize("address", ["/health", "/v1/health", "/status"])
def test_health_is_told_to_everybody(api: Api, address: str) -> None:
    assert data_of(api.get(address, REMOTE_ADDR="192.0.2.7"))["status"] == "healthy"


def test_ready_names_what_is_missing(api: Api, settings: Settings) -> None:
    body = refused(api.get("/v1/ready"), 503, "NotReady")
    assert [problem["path"] for problem in body["errors"]] == ["workers"]
    settings.BROKER_URL = "redis://127.0.0.1:1/0"
    body = refused(api.get("/v1/ready"), 503, "NotReady")
    assert [problem["path"] for problem in body["errors"]] == ["broker", "workers"]


@pytest.mark.parametrize("kind", [Worker.Kind.WORKER, Worker.Kind.PACEMAKER])
def test_ready_with_a_live_worker_and_not_with_a_dead_one(api: Api, kind: str) -> None:
    now = timezone.now()
    worker = Worker.objects.create(
        kind=kind, host="here", pid=1, started_at=now, expires_at=now + timedelta(seconds=15)
    )
    assert data_of(api.get("/v1/ready"))["status"] == "ready"
    Worker.objects.filter(pk=worker.pk).update(expires_at=now - timedelta(seconds=1))
    refused(api.get("/v1/ready"), 503)


def test_metrics_are_prometheus_text(api: Api) -> None:
    run_to_end(step("a"))
    response = api.get("/metrics", HTTP_ACCEPT="application/openmetrics-text")
    assert response.headers["Content-Type"].startswith("text/plain")
    lines = response.content.decode().splitlines()
    assert 'kolosal_runs{status="completed"} 1.0' in lines
    assert "kolosal_queue_depth 0.0" in lines
