"""The pages that are measured: name → address, with a run, a workflow and persons that the store has."""

import uuid
from datetime import timedelta
from urllib.parse import urlencode

from django.utils import timezone

from workflows.models import Run

RUNS, TRAIL, API = "/admin/workflows/run/", "/admin/workflows/event/", "/api/v1"


def addresses() -> dict[str, str]:
    """All of them. The run is the newest that failed; the workflow is that run's."""
    run = Run.objects.filter(status="failed").select_related("workflow").latest("pk")
    workflow = f"/admin/workflows/workflow/{run.workflow_id}/change/"
    return {
        "home": "/admin/",
        "home's figures": "/admin/figures/",
        "waiting for you": "/admin/approvals/",
        **{f"runs: {name}": RUNS + query for name, query in _run_lists(run).items()},
        "run": f"{RUNS}{run.pk}/change/",
        "workflows": "/admin/workflows/workflow/",
        "workflow": workflow,
        "step results": "/admin/workflows/stepresult/",
        **{f"trail: {name}": TRAIL + query for name, query in _trails(run).items()},
        "export of the trail, CSV": f"{TRAIL}export/csv/",
        **{f"API: {name}": address for name, address in _api(run).items()},
        "metrics": "/metrics",
    }


def _run_lists(run: Run) -> dict[str, str]:
    part = str(run.pk)
    return {
        "plain": "",
        "page 2": "?p=2",
        "last page": "?p=100",
        "from the middle on": f"?id__lt={_middle()}",
        **{f"{status}": f"?status={status}" for status in ("completed", "failed", "queued", "paused")},
        "of a workflow": f"?workflow__id__exact={run.workflow_id}",
        "by trigger": "?trigger=webhook",
        "failed by trigger": "?status=failed&trigger=schedule",
        "search for an id": f"?q={part[:13]}",
        "search for a workflow": f"?q={run.workflow.workflow_id}",
        "search for an error": "?q=RateLimited",
        "search for nothing that is there": "?q=zyxwvuts",
    }


def _trails(run: Run) -> dict[str, str]:
    day = (timezone.now() - timedelta(days=30)).date().isoformat()
    return {
        "plain": "",
        "of a run": _query(run=run.pk),
        "of a workflow": _query(workflow=run.workflow.workflow_id),
        "of a person": _query(person="ann"),
        "cancellations": _query(kind="cancelled"),
        "by kind": _query(kind="run_created"),
        "of a month ago": _query(since=day, until=day),
    }


def _api(run: Run) -> dict[str, str]:
    workflow = run.workflow.workflow_id
    return {
        "runs": f"{API}/runs",
        "failed runs": f"{API}/runs?status=failed",
        "runs of a workflow": f"{API}/runs?workflow={workflow}",
        "run": f"{API}/runs/{run.pk}",
        "steps of a run": f"{API}/runs/{run.pk}/steps",
        "events of a run": f"{API}/runs/{run.pk}/events",
        "workflows": f"{API}/sequential-workflows",
        "status": f"{API}/sequential-workflows/{workflow}/status",
        "usage of a workflow": f"{API}/sequential-workflows/{workflow}/usage",
        "agents": f"{API}/agents",
        "executor's metrics": f"{API}/sequential-workflows/executor/metrics",
        "approvals": f"{API}/approvals",
    }


def _middle() -> uuid.UUID:
    moment = timezone.now() - timedelta(days=45)
    return uuid.UUID(int=int(moment.timestamp() * 1000) << 80)


def _query(**asked: object) -> str:
    return "?" + urlencode(asked)
