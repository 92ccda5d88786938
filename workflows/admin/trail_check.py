"""The page *Verify*: the browser asks for one piece of the verification after the other, and shows how far it is."""

from dataclasses import asdict
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from workflows import trail_check
from workflows.admin.base import ReadOnlyAdmin
from workflows.examination import Broken
from workflows.models import Run
from workflows.trail_check import Place


class PlaceForm(forms.Form):
    """Where a piece begins, as the piece before it told."""

    run = forms.UUIDField(required=False)
    last_run = forms.UUIDField(required=False)
    site = forms.BooleanField(required=False)
    event = forms.IntegerField(min_value=0, max_value=2**31 - 1)
    deletion = forms.IntegerField(min_value=0, max_value=2**31 - 1)


class TrailCheck(ReadOnlyAdmin):
    """Whoever may see events may have them verified."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("verify/", view(self.verify_view), name="workflows_event_verify"),
            path("verify/piece/", view(self.piece_view), name="workflows_event_verify_piece"),
            *super().get_urls(),
        ]

    def verify_view(self, request: HttpRequest) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        runs, events = trail_check.total()
        context = {
            **self.admin_site.each_context(request),
            "title": "Verify the audit trail",
            "opts": self.opts,
            "runs": runs,
            "events": events,
            "begin": _shown(trail_check.begin()),
        }
        return TemplateResponse(request, "admin/workflows/event/verify.html", context)

    def piece_view(self, request: HttpRequest) -> HttpResponse:
        """JSON ``{runs, events, broken: [{what, run, address, remedy}], next}``; ``next`` is null at the end."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        form = PlaceForm(request.GET)
        if not form.is_valid():
            return JsonResponse({"error": "no place to go on from"}, status=400)
        done = trail_check.piece(Place(**form.cleaned_data))
        told = {"runs": done.runs, "events": done.events, "next": done.next and _shown(done.next)}
        return JsonResponse(told | {"broken": _findings(done.broken)})


def _shown(place: Place) -> dict[str, str]:
    """A place as the form reads it."""
    values = asdict(place).items()
    return {name: str(value) if value is not False else "" for name, value in values if value is not None}


def _findings(broken: list[Broken]) -> list[dict[str, Any]]:
    ids = {one.run_id for one in broken if one.run_id}
    there = set(Run.objects.filter(pk__in=ids).values_list("pk", flat=True))
    return [
        {
            "rule": one.rule.label,
            "what": one.detail,
            "run": str(one.run_id or ""),
            "address": f"{reverse('admin:workflows_event_changelist')}?run={one.run_id}" if one.run_id in there else "",
            "remedy": one.remedy,
        }
        for one in broken
    ]
