"""Runs: the list, the page of one run, and cancelling."""

import uuid
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import action, display
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.formats import date_format
from django.utils.html import format_html
from django.views.decorators.http import require_POST
from unfold.decorators import action as page_action

from workflows import runs
from workflows.admin.base import ReadOnlyAdmin, actor_of, badge, duration
from workflows.admin.check import check
from workflows.admin.run_page import page_of
from workflows.admin.search import ids_beginning_with
from workflows.errors import RunNotFound
from workflows.models import Run


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
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
    list_filter = ["status", "trigger", ("workflow", admin.RelatedOnlyFieldListFilter)]
    list_select_related = ["workflow"]
    search_fields = ["workflow__workflow_id", "workflow__name", "error_code", "error_message"]
    search_help_text = "the beginning of the run's id, workflow, or error"
    actions = ["cancel_selected"]
    actions_list = ["check_runs"]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Run], search_term: str
    ) -> tuple[QuerySet[Run], bool]:
        if span := ids_beginning_with(search_term):
            return queryset.filter(pk__range=span), False
        found: tuple[QuerySet[Run], bool] = super().get_search_results(request, queryset, search_term)
        return found

    def get_urls(self) -> list[URLPattern]:
        cancel = self.admin_site.admin_view(require_POST(self.cancel_view))
        return [path("<uuid:run_id>/cancel/", cancel, name="workflows_run_cancel"), *super().get_urls()]

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        """Cancelling changes a run, though nobody edits one."""
        return request.user.has_perm("workflows.change_run")

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        run = _found(object_id)
        if not self.has_view_permission(request, run):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": run.workflow.name,
            "opts": self.opts,
            "page": page_of(run, request.GET.get("page")),
            "may_cancel": self.has_cancel_permission(request) and not run.has_ended,
        }
        return TemplateResponse(request, "admin/workflows/run/page.html", context)

    def cancel_view(self, request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
        if not self.has_cancel_permission(request):
            raise PermissionDenied
        asked = runs.cancel(_found(str(run_id)).pk, actor=actor_of(request.user))
        self.message_user(
            request,
            "The run is being cancelled." if asked else "The run had ended already.",
            messages.SUCCESS if asked else messages.WARNING,
        )
        return HttpResponseRedirect(reverse("admin:workflows_run_change", args=[run_id]))

    @page_action(description="Check runs", url_path="check", permissions=["view"])  # type: ignore[untyped-decorator]
    def check_runs(self, request: HttpRequest) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": "Check runs",
            "opts": self.opts,
            "page": check(),
        }
        return TemplateResponse(request, "admin/workflows/run/check.html", context)

    @action(description="Cancel the selected runs", permissions=["cancel"])
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        ids = list(queryset.values_list("pk", flat=True))
        cancelled = sum(runs.cancel(run_id, actor=actor_of(request.user)) for run_id in ids)
        self.message_user(
            request,
            f"{cancelled} of {len(ids)} runs are being cancelled; the others had ended.",
            messages.SUCCESS,
        )

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
        done = f"{run.executed_steps + run.skipped_steps} of {run.total_steps}{failed}"
        return format_html('<span class="k-near">{}</span>', done)

    @display(description="created", ordering="id")
    def created(self, run: Run) -> str:
        return format_html('<span class="k-near">{}</span>', date_format(run.created_at, "j M, H:i:s"))

    @display(description="time")
    def length(self, run: Run) -> str:
        if run.started_at is None or run.ended_at is None:
            return "–"
        return format_html('<span class="k-near">{}</span>', duration(run.execution_ms(run.ended_at)))


def _found(run_id: str) -> Run:
    try:
        return runs.get(run_id)
    except RunNotFound as error:
        raise Http404(str(error)) from None
