"""The audit trail, read-only for everyone."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin import display
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.http import urlencode

from workflows import export, trail
from workflows.admin.base import ReadOnlyAdmin, readable
from workflows.admin.event_words import told
from workflows.admin.trail_check import TrailCheck
from workflows.audit import ChainReader, stored
from workflows.models import Event, Run, SiteChain, StreamText, WorkflowVersion
from workflows.models.event import MACHINES
from workflows.models.run_search import ids_beginning_with

RUNS_OF_A_PREFIX = 100
KEYS = ("before", "after")  # of the page, beside what the form asks for
VERSIONS = {"workflow_created", "workflow_revised"}
EXPORTED = ["at", "actor", "told", "type", "workflow", "run", "path", "seq", "data", "hash"]
READY = ["cancelled", "retried", "answered", "definitions", "log_ins", "permissions", "agents"]
"""Kinds that have a link above the list."""


def _hinted(text: str) -> forms.TextInput:
    return forms.TextInput(attrs={"placeholder": text})


class TrailForm(forms.Form):
    """What the page is asked for, in its address."""

    kind = forms.ChoiceField(required=False)
    person = forms.CharField(required=False, max_length=200, widget=_hinted("account"))
    workflow = forms.CharField(required=False, max_length=100, widget=_hinted("id"))
    run = forms.CharField(required=False, max_length=36, widget=_hinted("beginning of its id"))
    since = forms.DateField(required=False, label="From day", widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(required=False, label="To day", widget=forms.DateInput(attrs={"type": "date"}))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        groups = [
            (heading, [(key, kind.label) for key, kind in kinds.items()]) for heading, kinds in trail.KINDS.items()
        ]
        self.fields["kind"].choices = [("", "Everything"), *groups]  # type: ignore[attr-defined]

    def clean_run(self) -> tuple[Any, ...] | None:
        text = self.cleaned_data["run"]
        if not text:
            return None
        span = ids_beginning_with(text)
        if span is None:
            raise forms.ValidationError("6 digits of a run's id or more, such as 01890a5d.")
        return tuple(Run.objects.filter(pk__range=span).values_list("pk", flat=True)[:RUNS_OF_A_PREFIX])

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        is_machine = values.get("person", "").startswith(tuple(MACHINES))
        if is_machine and not values.get("workflow") and values.get("run") is None:
            self.add_error("person", "Name a run or a workflow, too: nearly all events are of workers.")
        return values

    def question(self) -> trail.Question:
        """Of a valid form."""
        values = self.cleaned_data
        return trail.Question(
            kind=values["kind"],
            run_ids=values["run"],
            workflow=values["workflow"],
            person=values["person"],
            since=_midnight(values["since"]),
            until=_midnight(values["until"], days=1),
        )


def _midnight(day: date | None, days: int = 0) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), UTC) + timedelta(days=days)


@admin.register(Event)
class EventAdmin(TrailCheck):
    """Superusers change nothing here either, and the database would refuse it."""

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        self._require_reading(request)
        form = TrailForm(request.GET)
        valid = form.is_valid()
        found = trail.page(form.question(), **_place(request)) if valid else trail.Page([], False, False)
        context = {
            **self.admin_site.each_context(request),
            "title": "Audit trail",
            "opts": self.opts,
            "form": form,
            "valid": valid,
            "asked": _asked(request),
            "most_runs": trail.RUNS_OF_A_WORKFLOW,
            "rows": _rows(found.events),
            "ready": [(trail.BY_NAME[key].label, f"?kind={key}") for key in READY],
            "newer": _address(request, after=found.events[0].pk) if found.events and found.has_newer else "",
            "older": _address(request, before=found.events[-1].pk) if found.events and found.has_older else "",
        }
        return TemplateResponse(request, "admin/workflows/event/trail.html", context)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.export_view)
        return [path("export/<str:ending>/", view, name="workflows_event_export"), *super().get_urls()]

    def export_view(self, request: HttpRequest, ending: str) -> HttpResponseBase:
        """All events that the page's filters let through, as a file."""
        self._require_reading(request)
        form = TrailForm(request.GET)
        if ending not in export.FORMATS or not form.is_valid():
            raise Http404("no such export")
        rows = map(_exported, trail.events(form.question()))
        return export.answer(request, f"audit-trail-{timezone.now():%Y-%m-%d}", ending, EXPORTED, rows)

    def _require_reading(self, request: HttpRequest) -> None:
        if request.method not in {"GET", "HEAD"} or not self.has_view_permission(request):
            raise PermissionDenied

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        self._require_reading(request)
        event = trail.with_names(Event.objects.filter(pk=_key(object_id))).first()
        if event is None:
            raise Http404("no such event")
        before, after = _beside(event, -1), _beside(event, 1)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Event {event.seq}",
            "opts": self.opts,
            "row": _rows([event])[0],
            "before": before,
            "after": after,
            "content": readable(event.data),
            "fits": _fits(event, before),
        }
        return TemplateResponse(request, "admin/workflows/event/event.html", context)


def _exported(event: Event) -> dict[str, Any]:
    values = {name: getattr(event, name) for name in ("seq", "type", "actor", "path", "data", "hash")}
    workflow, run = (event.run.workflow.workflow_id, str(event.run_id)) if event.run else ("", "")
    return values | {"at": event.at.isoformat(), "told": told(event), "workflow": workflow, "run": run}


def _place(request: HttpRequest) -> dict[str, int]:
    """Before or after which key, as the address says; what is no key counts as none."""
    return {name: key for name in KEYS if (key := _key(request.GET.get(name, "")))}


def _key(text: str) -> int:
    """An event's key; 0, which none has, for what is no number."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def _asked(request: HttpRequest) -> str:
    """The question as part of an address, without the place in its answer."""
    return urlencode([(key, str(value)) for key, value in request.GET.items() if value and key not in KEYS])


def _address(request: HttpRequest, **place: int) -> str:
    asked = _asked(request)
    return f"?{asked}{'&' if asked else ''}{urlencode(place)}"


def _rows(events: list[Event]) -> list[dict[str, Any]]:
    """What the pages show of events."""
    differences = _differences(events)
    return [{"event": event, "told": told(event), "difference": differences.get(event.pk, "")} for event in events]


def _differences(events: list[Event]) -> dict[int, str]:
    """Event → where the change of the definition, of which it tells, is shown side by side."""
    changes = [event for event in events if event.type in VERSIONS and isinstance(event.data, dict)]
    wanted = WorkflowVersion.objects.filter(checksum__in={event.data.get("checksum") for event in changes})
    found = wanted.filter(workflow__workflow_id__in={event.path for event in changes})
    # Ids of archived workflows are given again: the checksum tells which of them it was.
    keys = {
        (name, number, checksum): key
        for name, number, checksum, key in found.values_list("workflow__workflow_id", "number", "checksum", "workflow")
    }
    places = {event.pk: (event.path, event.data.get("version"), event.data.get("checksum")) for event in changes}
    return {
        pk: reverse("admin:workflows_workflow_compare", args=[keys[place], place[1]])
        for pk, place in places.items()
        if place in keys
    }


def _beside(event: Event, step: int) -> Event | None:
    chain = Event.objects.filter(run=event.run_id) if event.run_id else Event.objects.filter(run__isnull=True)
    return chain.filter(seq=event.seq + step).first()


def _fits(event: Event, before: Event | None) -> bool:
    """Whether the event's hash is that of its content after the event before."""
    if before is None and event.seq > 1:
        return False
    reader = ChainReader(event.run_id, event.seq - 1, before.hash if before else "")
    for row in stored(Event.objects.filter(pk=event.pk)):
        reader.read(row)
    return not reader.fault


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
