"""The page of a workflow's slowest steps over time."""

from dataclasses import dataclass
from datetime import datetime

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from unfold.admin import ModelAdmin

from workflows import step_times
from workflows.admin.base import duration
from workflows.models import Workflow
from workflows.step_times import Dot, StepTimes, WorkflowTimes

SHOWN = 25


@dataclass(frozen=True, slots=True)
class DrawnDot:
    """``x`` in per cent of the time, ``y`` in per cent of the height, from above."""

    dot: Dot
    x: float
    y: float
    title: str


@dataclass(frozen=True, slots=True)
class Row:
    step: StepTimes
    median: str
    p95: str
    slowest: str
    share: float  # per cent
    dots: list[DrawnDot]


def rows_of(times: WorkflowTimes, now: datetime) -> list[Row]:
    """What the table shows: the steps that take most of the time."""
    return [_row(step, times.since or now, now) for step in times.steps[:SHOWN]]


def _row(step: StepTimes, since: datetime, now: datetime) -> Row:
    return Row(
        step=step,
        median=duration(step.median),
        p95=duration(step.p95),
        slowest=duration(step.slowest.milliseconds),
        share=round(100 * step.share, 1),
        dots=[_drawn(dot, step.slowest.milliseconds or 1, since, now) for dot in step.dots],
    )


def _drawn(dot: Dot, most: float, since: datetime, now: datetime) -> DrawnDot:
    x = (dot.at - since) / (now - since) if now > since else 1.0
    title = f"{dot.at:%Y-%m-%d %H:%M:%S}: {duration(dot.milliseconds)}{', failed' if dot.failed else ''}"
    return DrawnDot(dot, round(2 + 96 * x, 2), round(90 - 80 * dot.milliseconds / most, 2), title)


class WorkflowTimesPage(ModelAdmin):  # type: ignore[misc]
    """Whoever may see runs may see how long their steps took."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.times_view)
        return [path("<int:workflow>/times/", view, name="workflows_workflow_times"), *super().get_urls()]

    def times_view(self, request: HttpRequest, workflow: int) -> HttpResponse:
        if not (self.has_view_permission(request) and request.user.has_perm("workflows.view_run")):
            raise PermissionDenied
        found = Workflow.objects.filter(pk=workflow).first()
        if found is None:
            raise Http404("no such workflow")
        now = timezone.now()
        times = step_times.workflow_times(found, now)
        context = {
            **self.admin_site.each_context(request),
            "title": "Step times",
            "opts": self.opts,
            "workflow": found,
            "times": times,
            "days": step_times.DAYS,
            "rows": rows_of(times, now),
            "left_out": max(0, len(times.steps) - SHOWN),
        }
        return TemplateResponse(request, "admin/workflows/workflow/times.html", context)
