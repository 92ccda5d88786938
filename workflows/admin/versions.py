"""The versions of a workflow: two of them side by side, and going back to an earlier one."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.admin import ModelAdmin

from workflows import publishing
from workflows.admin.base import actor_of, readable
from workflows.admin.forms import RestoreForm
from workflows.admin.line_diff import line_diff
from workflows.definitions import Differences, compare
from workflows.definitions.differences import ABSENT, FieldChange, StepMove
from workflows.definitions.problems import written
from workflows.errors import DefinitionError, VersionConflict, VersionNotFound
from workflows.models import Workflow, WorkflowVersion


@dataclass(frozen=True, slots=True)
class Row:
    """One difference. ``step_id`` is empty for the workflow's own fields; a side that lacks it is None."""

    step_id: str
    what: str
    before: str | None
    after: str | None


def rows_of(found: Differences) -> list[Row]:
    """What the table of a comparison shows: the workflow's fields, then the steps."""
    return [
        *_field_rows("", found.fields),
        *(Row(place.step_id, "step added", None, readable(place.step)) for place in found.added),
        *(Row(place.step_id, "step removed", readable(place.step), None) for place in found.removed),
        *(Row(move.step_id, "step moved", *_places(move)) for move in found.moved),
        *(row for change in found.changed for row in _field_rows(change.step_id, change.fields)),
    ]


def _field_rows(step_id: str, changes: list[FieldChange]) -> Iterator[Row]:
    for change in changes:
        yield Row(step_id, written(change.path), _shown(change.before), _shown(change.after))


def _shown(value: Any) -> str | None:
    return None if value is ABSENT else readable(value)


def _places(move: StepMove) -> tuple[str, str]:
    return _place(move.before, move.inside_before), _place(move.after, move.inside_after)


def _place(index: int, inside: str) -> str:
    return f"step {index + 1} of {inside}" if inside else f"step {index + 1}"


class WorkflowVersions(ModelAdmin):  # type: ignore[misc]
    """Whoever may see a workflow may compare its versions, and whoever may change it may restore one."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        place = "<int:workflow>/versions/<int:number>/"
        return [
            path(place, view(self.compare_view), name="workflows_workflow_compare"),
            path(f"{place}restore/", view(self.restore_view), name="workflows_workflow_restore"),
            *super().get_urls(),
        ]

    def compare_view(self, request: HttpRequest, workflow: int, number: int) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        after = _version(workflow, number)
        other = request.GET.get("with", "")
        before = _version(workflow, _number(other) if other else max(1, number - 1))
        may_restore = self._may_restore(request, after.workflow) and not after.is_current
        return self._page(request, before, after, title=f"Version {number}", may_restore=may_restore)

    def restore_view(self, request: HttpRequest, workflow: int, number: int) -> HttpResponse:
        """Ask with what would change before the eyes, then do it."""
        version = _version(workflow, number)
        newest = version.workflow.current
        if newest is None or not self._may_restore(request, version.workflow):
            raise PermissionDenied
        form = RestoreForm(request.POST if request.method == "POST" else None)
        if form.is_valid() and (told := _restored(form, version, actor_of(request.user))):
            messages.success(request, told)
            return HttpResponseRedirect(reverse("admin:workflows_workflow_change", args=[workflow]))
        return self._page(request, newest, version, title=f"Restore version {number}", form=form)

    def _may_restore(self, request: HttpRequest, workflow: Workflow) -> bool:
        return workflow.archived_at is None and self.has_change_permission(request, workflow)

    def _page(
        self, request: HttpRequest, before: WorkflowVersion, after: WorkflowVersion, **more: Any
    ) -> TemplateResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "workflow": after.workflow,
            "before": before,
            "after": after,
            "earlier": f"Version {before.number}",
            "later": f"Version {after.number}",
            "rows": rows_of(compare(before.definition, after.definition)),
            "text": line_diff(before.text, after.text),
            **more,
        }
        return TemplateResponse(request, "admin/workflows/workflow/versions.html", context)


def _version(workflow: int, number: int) -> WorkflowVersion:
    """The version, or 404."""
    found = Workflow.objects.select_related("current").filter(pk=workflow).first()
    if found is None:
        raise Http404("no such workflow")
    try:
        return found.version(number)
    except VersionNotFound as error:
        raise Http404(str(error)) from None


def _number(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 10:
        return int(text)
    raise Http404("no such version")


def _restored(form: RestoreForm, version: WorkflowVersion, actor: str) -> str | None:
    """Restore it, and what a person is told. None where it is refused, which then stands in the form."""
    values = form.cleaned_data
    try:
        workflow, changed = publishing.restore(
            version.workflow.workflow_id,
            version.number,
            actor=actor,
            note=values["note"],
            expected_version=values["version"],
        )
    except DefinitionError as error:
        for problem in error.problems:
            form.add_error(None, f"{problem.path}: {problem.message}")
        return None
    except VersionConflict:
        form.add_error(None, "Somebody stored another version meanwhile: look at what would change now.")
        return None
    assert workflow.current is not None
    if not changed:
        return f"Version {workflow.current.number} has that definition already: nothing was made."
    return f"Version {version.number} is restored as version {workflow.current.number}."
