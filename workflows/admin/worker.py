"""Workers, what is asked of them and how they share agents, keys of starts, and what steps came to."""

from django.contrib import admin
from django.contrib.admin import display
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from workflows.admin.base import ReadOnlyAdmin, badge, duration, readable
from workflows.models import AgentShare, CachedResult, RunRequest, StartKey, StepResult, Worker
from workflows.models.run_search import ids_beginning_with


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    list_display = ["host", "pid", "kind", "alive", "held", "started_at", "expires_at"]
    list_filter = ["kind", "host"]
    search_fields = ["host", "pid"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Worker]:
        rows: QuerySet[Worker] = super().get_queryset(request)
        return rows.annotate(held_runs=Count("runs"))

    @display(description="alive", boolean=True)
    def alive(self, worker: Worker) -> bool:
        return worker.expires_at > timezone.now()

    @display(description="runs held", ordering="held_runs")
    def held(self, worker: Worker) -> int:
        return getattr(worker, "held_runs", 0)


@admin.register(RunRequest)
class RunRequestAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "verb", "run", "actor"]
    list_filter = ["verb"]
    search_fields = ["actor"]


@admin.register(AgentShare)
class AgentShareAdmin(ReadOnlyAdmin):
    list_display = ["agent", "worker", "held", "wanted"]
    list_select_related = ["agent", "worker"]
    search_fields = ["agent__name"]


@admin.register(StartKey)
class StartKeyAdmin(ReadOnlyAdmin):
    list_display = ["key", "actor", "run", "created_at"]
    search_fields = ["key", "actor"]
    ordering = ["-created_at"]


@admin.register(CachedResult)
class CachedResultAdmin(ReadOnlyAdmin):
    list_display = ["path", "run", "created_at", "expires_at"]
    search_fields = ["path", "digest"]
    ordering = ["-created_at"]


@admin.register(StepResult)
class StepResultAdmin(ReadOnlyAdmin):
    list_display = ["path", "run_link", "shown_status", "agent", "function", "attempt", "length", "ended_at"]
    list_filter = ["status", "superseded"]
    search_fields = ["=error_code"]  # what has an index
    search_help_text = "an error's code, or the beginning of a run's id"
    ordering = ["-id"]
    fields = [
        "run_link", "path", "name", "shown_status", "agent", "function", "reason", "error_code",
        "error_message", "shown_parameters", "shown_result", "shown_attempts", "shown_logs", "started_at",
        "ended_at", "length", "input_tokens", "output_tokens", "cost", "cpu_seconds", "peak_memory_bytes",
        "superseded",
    ]  # fmt: skip
    readonly_fields = [
        "run_link", "shown_status", "shown_parameters", "shown_result", "shown_attempts", "shown_logs",
        "length",
    ]  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[StepResult]:
        rows: QuerySet[StepResult] = super().get_queryset(request)
        match = request.resolver_match
        if match and match.url_name == "workflows_stepresult_changelist":
            return rows.defer("parameters", "result", "logs", "attempts")
        return rows

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[StepResult], search_term: str
    ) -> tuple[QuerySet[StepResult], bool]:
        if span := ids_beginning_with(search_term):
            return queryset.filter(run_id__gte=span[0], run_id__lte=span[1]), False
        found: tuple[QuerySet[StepResult], bool] = super().get_search_results(request, queryset, search_term)
        return found

    @display(description="run")
    def run_link(self, step: StepResult) -> str:
        address = reverse("admin:workflows_run_change", args=[step.run_id])
        return format_html('<a class="k-link k-mono" href="{}">{}</a>', address, step.run_id)

    @display(description="status", ordering="status")
    def shown_status(self, step: StepResult) -> str:
        return badge(step.status)

    @display(description="time", ordering="duration_ms")
    def length(self, step: StepResult) -> str:
        return duration(step.duration_ms)

    @display(description="parameters")
    def shown_parameters(self, step: StepResult) -> str:
        return _text(step.parameters)

    @display(description="result")
    def shown_result(self, step: StepResult) -> str:
        return _text(step.result)

    @display(description="attempts")
    def shown_attempts(self, step: StepResult) -> str:
        return _text(step.attempts)

    @display(description="log")
    def shown_logs(self, step: StepResult) -> str:
        return _text(step.logs)


def _text(value: object) -> str:
    return format_html('<pre class="k-text" tabindex="0">{}</pre>', readable(value, longest=None))
