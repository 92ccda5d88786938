"""Workflows: the list, the editor's addresses, running, archiving; and the rows of versions and steps."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import action, display
from django.core.exceptions import PermissionDenied
from django.db import models
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.views.decorators.http import require_POST

from workflows import publishing, runs
from workflows.admin.base import ReadOnlyAdmin, actor_of, badge, readable
from workflows.admin.editor import edit, forms, look
from workflows.admin.files import file_of
from workflows.admin.start import start
from workflows.admin.trial import trial
from workflows.admin.versions import WorkflowVersions
from workflows.admin.workflow_times import WorkflowTimesPage
from workflows.definitions import to_yaml
from workflows.models import Run, Step, Workflow, WorkflowVersion
from workflows.states import WorkflowStatus


class ArchivedFilter(admin.SimpleListFilter):
    """Archived workflows are out of the way unless they are asked for."""

    title = "state"
    parameter_name = "archived"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "archived"), ("all", "all")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Workflow]) -> QuerySet[Workflow]:
        if self.value() == "all":
            return queryset
        return queryset.filter(archived_at__isnull=self.value() != "yes")

    def choices(self, changelist: Any) -> Any:
        first, *others = super().choices(changelist)
        return [{**first, "display": "active"}, *others]


@admin.register(Workflow)
class WorkflowAdmin(WorkflowTimesPage, WorkflowVersions):
    list_display = ["workflow_id", "name", "total_steps", "version", "last_run", "updated_at", "run_link"]
    list_display_links = ["workflow_id", "name"]
    list_filter = [ArchivedFilter]
    list_fullwidth = True
    list_select_related = ["current"]
    search_fields = ["workflow_id", "name", "description", "tags"]
    actions = ["run_selected", "cancel_active_runs", "archive_selected"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Workflow]:
        newest = Run.objects.filter(workflow=OuterRef("pk")).order_by("-id").values("status")[:1]
        rows: QuerySet[Workflow] = super().get_queryset(request)
        return rows.annotate(newest_status=Subquery(newest))

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("run/", view(self.run_view), name="workflows_workflow_run_selected"),
            path("look/", view(self.editing(look)), name="workflows_workflow_look"),
            path("try/", view(self.editing(trial, "workflows.add_run")), name="workflows_workflow_try"),
            path("forms/", view(self.editing(forms)), name="workflows_workflow_forms"),
            path("<int:workflow>/export/<slug:format>/", view(self.export_view), name="workflows_workflow_export"),
            path("<int:workflow>/run/", view(self.run_view), name="workflows_workflow_run"),
            *super().get_urls(),
        ]

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False  # history stays: workflows are archived

    def has_archive_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("workflows.delete_workflow")

    def has_run_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("workflows.add_run")

    def has_cancel_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("workflows.change_run")

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        workflow = self._found(object_id) if object_id else None
        if workflow is None and not self.has_add_permission(request):
            raise PermissionDenied
        if not self.has_view_permission(request) and not self.has_add_permission(request):
            raise PermissionDenied
        changes = self.has_change_permission(request) if workflow else True
        may_save = changes and (workflow is None or workflow.archived_at is None)
        if request.method == "POST" and not may_save:
            raise PermissionDenied
        return edit(
            request,
            self,
            workflow,
            may_save=may_save,
            may_run=self.has_run_permission(request),
            may_add=self.has_add_permission(request),
        )

    def editing(self, view: Callable[[HttpRequest], HttpResponse], *more: str) -> Callable[[HttpRequest], HttpResponse]:
        """A view that the editor's script posts to, for who may edit and has these permissions as well."""

        @require_POST
        def allowed(request: HttpRequest) -> HttpResponse:
            edits = self.has_add_permission(request) or self.has_change_permission(request)
            if not (edits and request.user.has_perms(more)):
                raise PermissionDenied
            return view(request)

        return allowed

    def export_view(self, request: HttpRequest, workflow: int, format: str) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        return file_of(self._found(str(workflow)), format)

    def run_view(self, request: HttpRequest, workflow: int | None = None) -> HttpResponse:
        if not self.has_run_permission(request):
            raise PermissionDenied
        ids = [str(workflow)] if workflow else request.GET.get("ids", "").split(",")
        chosen = (
            Workflow.objects.active()
            .select_related("current")
            .filter(pk__in=[pk for pk in ids if pk.isascii() and pk.isdigit() and len(pk) < 19])
        )
        if not chosen:
            raise Http404("no such workflow")
        return start(request, self, list(chosen), self._version(request, chosen))

    @action(description="Run …", permissions=["run"])
    def run_selected(self, request: HttpRequest, queryset: QuerySet[Workflow]) -> HttpResponse:
        ids = ",".join(str(pk) for pk in queryset.values_list("pk", flat=True))
        return HttpResponseRedirect(f"{reverse('admin:workflows_workflow_run_selected')}?ids={ids}")

    @action(description="Cancel active runs", permissions=["cancel"])
    def cancel_active_runs(self, request: HttpRequest, queryset: QuerySet[Workflow]) -> None:
        active = Run.objects.active().filter(workflow__in=queryset.values("pk")).order_by()
        ids = list(active.values_list("pk", flat=True))
        cancelled = sum(runs.cancel(run_id, actor=actor_of(request.user)) for run_id in ids)
        self.message_user(request, f"{cancelled} active runs are being cancelled.", messages.SUCCESS)

    @action(description="Archive (cancels active runs, keeps the history)", permissions=["archive"])
    def archive_selected(self, request: HttpRequest, queryset: QuerySet[Workflow]) -> None:
        ids = list(queryset.filter(archived_at__isnull=True).values_list("workflow_id", flat=True))
        for workflow_id in ids:
            publishing.archive(workflow_id, actor=actor_of(request.user))
        self.message_user(request, f"{len(ids)} workflows are archived.", messages.SUCCESS)

    @display(description="version", ordering="current__number")
    def version(self, workflow: Workflow) -> int | str:
        return workflow.current.number if workflow.current else "–"

    @display(description="last run", ordering="newest_status")
    def last_run(self, workflow: Workflow) -> str:
        return badge(getattr(workflow, "newest_status", None) or WorkflowStatus.REGISTERED)

    @display(description="")
    def run_link(self, workflow: Workflow) -> str:
        if workflow.archived_at:
            return "archived"
        address = reverse("admin:workflows_workflow_run", args=[workflow.pk])
        return format_html('<a class="k-button is-small" href="{}">Run</a>', address)

    def _version(self, request: HttpRequest, chosen: QuerySet[Workflow]) -> WorkflowVersion | None:
        """The version that is asked for where one workflow is run; None for the current one."""
        number = request.GET.get("version", "")
        if not number or len(chosen) != 1:
            return None
        if not (number.isascii() and number.isdigit() and len(number) < 10):
            raise Http404("no such version")
        return get_object_or_404(chosen[0].versions, number=int(number))

    def _found(self, object_id: str) -> Workflow:
        if not (object_id.isascii() and object_id.isdigit() and len(object_id) < 19):
            raise Http404("no such workflow")
        workflow = Workflow.objects.select_related("current").filter(pk=object_id).first()
        if workflow is None:
            raise Http404("no such workflow")
        return workflow


@admin.register(WorkflowVersion)
class VersionAdmin(ReadOnlyAdmin):
    list_display = ["workflow", "number", "author", "note", "created_at"]
    list_display_links = ["workflow", "number"]
    list_filter = [("workflow", admin.RelatedOnlyFieldListFilter)]
    list_select_related = ["workflow"]
    search_fields = ["workflow__workflow_id", "author", "note"]
    ordering = ["-id"]
    fields = ["workflow", "number", "author", "note", "created_at", "checksum", "yaml"]
    readonly_fields = ["yaml"]

    @display(description="definition")
    def yaml(self, version: WorkflowVersion) -> str:
        return format_html('<pre class="k-text k-mono" tabindex="0">{}</pre>', to_yaml(version.parsed))


@admin.register(Step)
class StepAdmin(ReadOnlyAdmin):
    list_display = ["step_id", "workflow", "position", "name", "agent", "function"]
    list_filter = ["agent", "function"]
    list_select_related = ["workflow"]
    search_fields = ["step_id", "name", "agent", "function", "workflow__workflow_id"]
    fields = [
        "workflow", "position", "step_id", "name", "agent", "function", "shown_parameters", "timeout_seconds",
        "max_retries", "continue_on_failure", "precondition", "shown_options",
    ]  # fmt: skip
    readonly_fields = ["shown_parameters", "shown_options"]

    @display(description="parameters")
    def shown_parameters(self, step: Step) -> str:
        return format_html('<pre class="k-text k-mono" tabindex="0">{}</pre>', readable(step.parameters))

    @display(description="other fields")
    def shown_options(self, step: Step) -> str:
        return format_html('<pre class="k-text k-mono" tabindex="0">{}</pre>', readable(step.options))
