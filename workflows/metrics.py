"""Counts over all runs and workers, for `/metrics`, the executor's metrics and readiness; what models have used."""

from collections import Counter
from datetime import datetime
from typing import Any

from django.db.models import Count, QuerySet, Sum
from django.utils import timezone
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from workflows.models import Run, StepResult, Worker, Workflow
from workflows.models.run import USED_A_MODEL
from workflows.states import RUN_ACTIVE, RunStatus


def run_counts() -> dict[str, int]:
    """Status → number of runs; every status is there."""
    found = Counter(dict(Run.objects.order_by().values_list("status").annotate(number=Count("pk"))))
    return {status.value: found[status.value] for status in RunStatus}


def queue_depth() -> int:
    """Runs that are due now and that nobody has claimed."""
    return Run.objects.due(timezone.now()).order_by().count()


def live_workers() -> dict[str, int]:
    """Kind → number of loops whose lease holds."""
    live = Worker.objects.live(timezone.now()).order_by()
    return dict(live.values_list("kind").annotate(number=Count("pk")))


def executor_metrics() -> dict[str, Any]:
    """The body of ``…/executor/metrics``."""
    counts = run_counts()
    return {
        "active_workflows": sum(counts[status] for status in RUN_ACTIVE),
        "running_workflows": counts[RunStatus.RUNNING],
        "completed_workflows": counts[RunStatus.COMPLETED],
        "failed_workflows": counts[RunStatus.FAILED],
        "cancelled_workflows": counts[RunStatus.CANCELLED],
        "timed_out_workflows": counts[RunStatus.TIMED_OUT],
        "total_registered_workflows": Workflow.objects.active().count(),
        "total_runs": sum(counts.values()),
        "queue_depth": queue_depth(),
        "workers": sum(live_workers().values()),
    }


def workflow_usage(workflow: Workflow, since: datetime | None = None) -> dict[str, Any]:
    """What the workflow's runs have used, all or those created since: their number as ``runs``, tokens, cost in USD."""
    created = {"created_at__gte": since} if since else {}
    return _usage(Run.objects.filter(workflow=workflow, **created), "runs")


def agent_usage(agent: str, since: datetime | None = None) -> dict[str, Any]:
    """What the steps of the agent of that name have used, all or those begun since; ``steps`` asked a model."""
    begun = {"started_at__gte": since} if since else {}
    return _usage(StepResult.objects.filter(USED_A_MODEL, agent=agent, **begun), "steps")


def _usage(rows: QuerySet[Any], counted: str) -> dict[str, Any]:
    sums = {name: Sum(name, default=0) for name in ("input_tokens", "output_tokens", "cost")}
    found = rows.order_by().aggregate(number=Count("pk"), **sums)
    return {
        counted: found["number"],
        "input_tokens": found["input_tokens"],
        "output_tokens": found["output_tokens"],
        "total_tokens": found["input_tokens"] + found["output_tokens"],
        "cost": found["cost"],
    }


def prometheus_text() -> bytes:
    """All of it in Prometheus' text format, read from the database at each call."""
    registry = CollectorRegistry()
    runs = Gauge("kolosal_runs", "Runs by status.", ["status"], registry=registry)
    for status, number in run_counts().items():
        runs.labels(status).set(number)
    Gauge("kolosal_queue_depth", "Runs that are due and not claimed.", registry=registry).set(queue_depth())
    workers = Gauge("kolosal_workers", "Loops whose lease holds, by kind.", ["kind"], registry=registry)
    alive = live_workers()
    for kind in Worker.Kind.values:
        workers.labels(kind).set(alive.get(kind, 0))
    registered = Workflow.objects.active().count()
    Gauge("kolosal_workflows", "Workflows that are not archived.", registry=registry).set(registered)
    return generate_latest(registry)
