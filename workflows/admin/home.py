"""The first page: what runs today, who carries it out, and what is missing."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Count
from django.http import HttpRequest
from django.utils import timezone

from workflows.admin.approvals import waiting_for
from workflows.models import Run, Worker, Workflow
from workflows.states import RUN_ACTIVE, RunStatus

QUESTIONS = 5  # those that have waited longest
ALWAYS_SHOWN = (RunStatus.RUNNING, RunStatus.QUEUED, RunStatus.COMPLETED, RunStatus.FAILED)


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold's DASHBOARD_CALLBACK: what ``templates/admin/index.html`` shows."""
    now = timezone.now()
    user = request.user
    return context | {
        "title": "Home",
        "sees_runs": user.has_perm("workflows.view_run"),
        "may_run": user.has_perm("workflows.add_run"),
        "questions": waiting_for(request)[:QUESTIONS],
        "counts": _counts(now),
        "workers": Worker.objects.live(now).filter(kind=Worker.Kind.WORKER).count(),
        "model": settings.INFERENCE_URL,
        "recent": Run.objects.select_related("workflow")[:8],
        "workflows": Workflow.objects.active().order_by("-updated_at")[:6],
    }


def _counts(now: datetime) -> list[tuple[str, int]]:
    """Runs by status: active ones whenever they began, ended ones that were created today (UTC)."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    active = Run.objects.filter(status__in=RUN_ACTIVE)
    ended = Run.objects.ended().filter(created_at__gte=midnight)
    found: dict[str, int] = {}
    for rows in (active, ended):
        # order_by() drops the model's own order, which would split the groups.
        found |= dict(rows.order_by().values_list("status").annotate(Count("pk")))
    return [(status.value, found.get(status, 0)) for status in RunStatus if status in ALWAYS_SHOWN or status in found]
