"""Runs: the list, and the page of one run."""

from typing import Any

from django.contrib import admin
from django.contrib.admin import display
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.views.decorators.http import require_POST
from unfold.decorators import action as page_action

from workflows import export
from workflows.admin import run_page
from workflows.admin.base import badge, duration
from workflows.admin.bulk import bulk, piece
from workflows.admin.check import check
from workflows.admin.compare import RunCompare
from workflows.admin.run_list import EXPORTED, RunList, asked_for, exported
from workflows.models import Run
from workflows.models.run_search import search


@admin.register(Run)
class RunAdmin(RunCompare):
    list_display = [
        "shown_status",
        "workflow_name",
        "number",
        "trigger",
        "actor",
        "steps_done",
        "length",
        "created",
    ]
    list_display_links = ["workflow_name", "number"]
    list_before_template = "admin/workflows/run/filters.html"
    list_select_related = ["workflow"]
    list_per_page = 50
    search_fields = ["pk"]  # `run_search` decides
    search_help_text = "the beginning of its id, its workflow, words of its error or input"
    actions_list = ["check_runs"]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        own = [
            path("<uuid:run_id>/parts/", view(run_page.parts), name="workflows_run_parts"),
            path("<uuid:run_id>/stream/", view(run_page.stream), name="workflows_run_stream"),
            path("<uuid:run_id>/context/", view(run_page.step_context), name="workflows_run_context"),
        ]
        return [
            *own,
            path("export/<str:ending>/", view(self.export_view), name="workflows_run_export"),
            path("bulk/", view(self.bulk_view), name="workflows_run_bulk"),
            path("bulk/piece/", view(require_POST(self.bulk_piece_view)), name="workflows_run_bulk_piece"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        more = {"may_steer": self.has_steer_permission(request)}
        answer: HttpResponse = super().changelist_view(request, more | (extra_context or {}))
        return answer

    def bulk_view(self, request: HttpRequest) -> HttpResponse:
        if not self.has_steer_permission(request):
            raise PermissionDenied
        return bulk(request, self)

    def bulk_piece_view(self, request: HttpRequest) -> HttpResponse:
        if not self.has_steer_permission(request):
            raise PermissionDenied
        return piece(request)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[RunList]:
        return RunList

    def export_view(self, request: HttpRequest, ending: str) -> HttpResponseBase:
        """All runs that the list's filters let through, as a file."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        asked = asked_for(request)
        if ending not in export.FORMATS or asked is None:
            raise Http404("no such export")
        return export.answer(request, f"runs-{timezone.now():%Y-%m-%d}", ending, EXPORTED, exported(asked))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Run], search_term: str
    ) -> tuple[QuerySet[Run], bool]:
        return (search(queryset, search_term) if search_term else queryset), False

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        return run_page.page(request, self, object_id)

    @page_action(description="Check runs", url_path="check", permissions=["view"])  # type: ignore[untyped-decorator]
    def check_runs(self, request: HttpRequest) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": "Check runs",
            "opts": self.opts,
            "page": check(),
        }
        return TemplateResponse(request, "admin/workflows/run/check.html", context)

    @display(description="status", ordering="status")
    def shown_status(self, run: Run) -> str:
        return badge(run.status)

    @display(description="workflow", ordering="workflow__workflow_id")
    def workflow_name(self, run: Run) -> str:
        return run.workflow.name

    @display(description="run")
    def number(self, run: Run) -> str:
        return format_html('<span class="k-mono k-near" title="{}">{}…</span>', run.pk, str(run.pk)[:13])

    @display(description="steps")
    def steps_done(self, run: Run) -> str:
        failed = f", {run.failed_steps} failed" if run.failed_steps else ""
        done = f"{run.executed_steps + run.skipped_steps} of {run.known_steps}{failed}"
        return format_html('<span class="k-near">{}</span>', done)

    @display(description="created", ordering="id")
    def created(self, run: Run) -> str:
        return format_html('<span class="k-near">{}</span>', date_format(run.created_at, "j M, H:i:s"))

    @display(description="time")
    def length(self, run: Run) -> str:
        if run.started_at is None or run.ended_at is None:
            return "–"
        return format_html('<span class="k-near">{}</span>', duration(run.execution_ms(run.ended_at)))
