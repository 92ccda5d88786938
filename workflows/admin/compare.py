"""Comparing two runs: the page, and the action of the list that leads to it."""

import uuid

from django.contrib import messages
from django.contrib.admin import action
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from workflows.admin.comparison import comparison_of, others_of
from workflows.admin.run_verbs import RunVerbs, found
from workflows.models import Run


class RunCompare(RunVerbs):
    """Whoever may see runs may compare two."""

    actions = [*RunVerbs.actions, "compare_selected"]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.compare_view)
        return [path("<uuid:run_id>/compare/", view, name="workflows_run_compare"), *super().get_urls()]

    def compare_view(self, request: HttpRequest, run_id: uuid.UUID) -> HttpResponse:
        """The run beside the one that ``with`` names, by default the last good one; its step ``at``, its ``page``."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        run = found(run_id)
        others = others_of(run)
        asked = request.GET.get("with") or (others[0][1].pk if others else None)
        other = found(asked) if asked else None
        compared = None
        if other is not None:
            compared = comparison_of(other, run, request.GET.get("at", ""), request.GET.get("page"))
        context = {
            **self.admin_site.each_context(request),
            "title": f"Compare runs of {run.workflow.name}",
            "opts": self.opts,
            "run": run,
            "other": other,
            "others": others,
            "listed": other is None or any(other.pk == each.pk for _, each in others),
            "comparison": compared,
            "earlier": f"other run {str(other.pk)[:13]}" if other else "",
            "later": f"this run {str(run.pk)[:13]}",
        }
        return TemplateResponse(request, "admin/workflows/run/compare.html", context)

    @action(description="Compare the two selected runs", permissions=["view"])
    def compare_selected(self, request: HttpRequest, queryset: QuerySet[Run]) -> HttpResponse | None:
        chosen = list(queryset.order_by("pk").values_list("pk", flat=True)[:3])
        if len(chosen) != 2:
            self.message_user(request, "Choose two runs to compare.", messages.WARNING)
            return None
        return HttpResponseRedirect(f"{reverse('admin:workflows_run_compare', args=[chosen[1]])}?with={chosen[0]}")
