"""The first page: what goes on, what is stuck, what failed, who carries it out, and what is missing."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from workflows import loads, workers
from workflows.admin import failures, home_figures, stuck, waiting
from workflows.admin.bars import bars
from workflows.definitions import tree
from workflows.models import Run, Workflow
from workflows.states import AWAITED

NEWEST = 8
EXAMPLES = 6
WORKFLOWS = 14


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold's DASHBOARD_CALLBACK: what ``templates/admin/index.html`` shows."""
    user = request.user
    return context | {
        "title": "Home",
        "questions": waiting.questions(request)[:1] if user.has_perm("workflows.view_run") else [],
        **_figures(request),
    }


def figures(request: HttpRequest) -> HttpResponse:
    """The part of the page that moves, by itself: the page asks for it again and again."""
    return render(request, "admin/home/figures.html", _figures(request))


def _figures(request: HttpRequest) -> dict[str, Any]:
    now = workers.database_now()
    workflows = Workflow.objects.active().order_by("-updated_at")
    told = {
        "now": now,
        "loads": loads.loads(now),
        "model": settings.INFERENCE_URL,
        "may_run": request.user.has_perm("workflows.add_run"),
        "workflows": workflows[:EXAMPLES],
    }
    if not request.user.has_perm("workflows.view_run"):
        return told
    told |= _of_runs(now)
    return told if told["recent"] else told | {"workflows": _simplest(workflows)}


def _simplest(workflows: QuerySet[Workflow]) -> list[Workflow]:
    """For who has run none yet: those first that need no input and wait for nobody, the shortest before the others."""
    found = workflows.select_related("current")[: 10 * EXAMPLES]
    return sorted(found, key=lambda workflow: (_needs_something(workflow), workflow.total_steps))[:EXAMPLES]


def _needs_something(workflow: Workflow) -> bool:
    if workflow.current is None:
        return True
    definition = workflow.current.definition
    waits = any(tree.kind_of(step) in AWAITED for _, step in tree.walk(definition["steps"]))
    return waits or bool((definition.get("parameters") or {}).get("required"))


def _of_runs(now: datetime) -> dict[str, Any]:
    day, steps = home_figures.day(now), home_figures.step_times()
    return {
        "sees_runs": True,
        "line": home_figures.line(now),
        "standing": home_figures.standing(),
        "day": day,
        "bars": bars(day),
        "stuck": stuck.stuck(now),
        "failures": failures.newest(),
        "workflow_times": home_figures.workflow_times(now)[:WORKFLOWS],
        "slowest": home_figures.slowest(steps),
        "most_failing": failures.most_failing(steps),
        "recent": Run.objects.select_related("workflow").defer("input").order_by("-pk")[:NEWEST],
    }
