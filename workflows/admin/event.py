"""The audit trail, read-only for everyone."""

from typing import Any

from django.contrib import admin
from django.contrib.admin import display
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from workflows.admin.base import ReadOnlyAdmin, readable
from workflows.admin.search import ids_beginning_with
from workflows.models import Event, SiteChain, StreamText


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    list_display = ["at", "type", "actor", "subject", "summary"]
    list_display_links = ["type"]
    list_filter = ["type", ("at", admin.DateFieldListFilter)]
    search_fields = ["actor", "path", "type"]
    search_help_text = "person, step or workflow, kind of event, or the beginning of a run's id"
    ordering = ["-id"]
    fields = ["at", "type", "actor", "subject", "path", "seq", "content", "hash"]
    readonly_fields = ["subject", "content"]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Event], search_term: str
    ) -> tuple[QuerySet[Event], bool]:
        if span := ids_beginning_with(search_term):
            return queryset.filter(run_id__gte=span[0], run_id__lte=span[1]), False
        found: tuple[QuerySet[Event], bool] = super().get_search_results(request, queryset, search_term)
        return found

    @display(description="run or workflow")
    def subject(self, event: Event) -> str:
        if event.run_id is None:
            return event.path
        address = reverse("admin:workflows_run_change", args=[event.run_id])
        return format_html('<a class="k-link k-mono" href="{}">{}</a>', address, event.run_id)

    @display(description="what")
    def summary(self, event: Event) -> str:
        text = ", ".join(f"{key}: {_short(value)}" for key, value in event.data.items() if value not in ("", None))
        return text if len(text) <= 160 else text[:159] + "…"

    @display(description="data")
    def content(self, event: Event) -> str:
        return format_html('<pre class="k-text">{}</pre>', readable(event.data))


def _short(value: Any) -> Any:
    """A value for a list: of long lists, such as those of seals, only how long they are."""
    return f"{len(value)} entries" if isinstance(value, list) and len(value) > 5 else value


@admin.register(SiteChain)
class SiteChainAdmin(ReadOnlyAdmin):
    list_display = ["seq", "head"]


@admin.register(StreamText)
class StreamTextAdmin(ReadOnlyAdmin):
    list_display = ["run", "path", "attempt", "seq", "offset", "piece"]
    search_fields = ["path", "text"]
    list_select_related: Any = False

    @display(description="text")
    def piece(self, row: StreamText) -> str:
        return row.text[:120]
