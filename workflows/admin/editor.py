"""The page on which a workflow is made and edited: three views of one definition, its checks, a new version."""

import json
import uuid
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse

from workflows import drafts, metrics, publishing
from workflows.admin.base import actor_of, used
from workflows.admin.form_view import FormView
from workflows.admin.forms import VIEWS, SaveForm, TrialForm
from workflows.admin.palette import palette
from workflows.admin.start import blank_input
from workflows.admin.submission import Submission, submission
from workflows.admin.versions import rows_of
from workflows.definitions import Definition, Problem, compare, yaml_text
from workflows.definitions.numbers import beyond_a_browser
from workflows.definitions.offering import in_reach
from workflows.definitions.problems import Path, written
from workflows.errors import VersionConflict, WorkflowExists
from workflows.models import Draft, Workflow, WorkflowVersion

WARNINGS_SHOWN = 5
VERSIONS_SHOWN = 30
NOT_KEPT = frozenset({"csrfmiddlewaretoken", "draft", "_draft"})


@dataclass(slots=True)
class Editor:
    """What the page shows of one definition."""

    save: SaveForm
    forms: FormView
    view: str
    value: Any
    text: str
    problems: list[Problem]

    @classmethod
    def opened(cls, workflow: Workflow | None, draft: Draft | None, like: dict[str, Any] | None) -> "Editor":
        """On what is stored, or on a draft of it; a new one empty, or like another."""
        if draft:
            sent = _fields(draft)
            return cls.sent_again(SaveForm(sent), submission(sent, _id(workflow)), workflow)
        current = workflow.current if workflow else None
        value = current.definition if current else like or {}
        text = current.text if current else yaml_text(value) if value else ""
        save = SaveForm(initial={"version": current.number if current else None, "text": text})
        return cls(save, FormView.of(value, new=workflow is None), "", value, text, [])

    @classmethod
    def sent_again(cls, save: SaveForm, sent: Submission, workflow: Workflow | None) -> "Editor":
        """On what was sent and not stored."""
        value = sent.value if isinstance(sent.value, dict) else {}
        forms = sent.forms or FormView.of(value, new=workflow is None)
        return cls(save, forms, sent.view, sent.value, sent.text, sent.problems)

    @property
    def draft(self) -> int | None:
        """The number of the draft that is open."""
        return int(self.save["draft"].value() or 0) or None

    def state(self) -> dict[str, Any]:
        """What the page's script begins with."""
        refused = self.view != "" and self.draft is None
        return {"view": self.view, "text": self.text, "refused": refused} | described(self.value, self.problems)


def described(value: Any, problems: list[Problem]) -> dict[str, Any]:
    """`{definition, problems, beyond?}`; ``beyond`` is the place of a number that a browser would change."""
    beyond = beyond_a_browser(value)
    answer = {"definition": value, "problems": [problem.to_json() for problem in problems]}
    return answer if beyond is None else answer | {"beyond": written(beyond)}


def edit(
    request: HttpRequest,
    model_admin: "ModelAdmin[Workflow]",
    workflow: Workflow | None,
    *,
    may_save: bool,
    may_run: bool,
    may_add: bool,
) -> HttpResponse:
    """Show the views; store what was sent, or show it again with every problem at its place."""
    theirs = None
    if request.method == "POST" and may_save:
        sent, save = submission(request.POST, _id(workflow)), SaveForm(request.POST)
        try:
            if answer := _carried_out(request, workflow, save, sent):
                return answer
        except WorkflowExists:
            save.add_error(None, "A workflow of that id exists already.")
        except VersionConflict:
            theirs = _current(workflow)
        editor = Editor.sent_again(save, sent, workflow)
    else:
        draft = drafts.find(request.user, workflow, request.GET.get("draft"))
        editor = Editor.opened(workflow, draft, _like(request.GET.get("like", "")) if workflow is None else None)
    context = {
        **model_admin.admin_site.each_context(request),
        "title": workflow.name if workflow else "New workflow",
        "opts": model_admin.opts,
        "workflow": workflow,
        "editor": editor,
        "theirs": theirs,
        "earlier": f"Version {theirs.number}" if theirs else "",
        "rows": rows_of(compare(theirs.definition, editor.value)) if theirs else [],
        "views": VIEWS.items(),
        "refused": request.method == "POST",
        "may_save": may_save,
        "may_run": may_run and workflow is not None and workflow.archived_at is None,
        "may_add": may_add,
        "used": _used(workflow) if workflow and request.user.has_perm("workflows.view_run") else "",
        "versions": workflow.versions.defer("definition", "source")[:VERSIONS_SHOWN] if workflow else [],
        "drafts": drafts.of(request.user, workflow) if may_save else [],
        "palette": palette(),
        "trial": _trial(request, editor) if may_save else None,
    }
    return TemplateResponse(request, "admin/workflows/workflow/edit.html", context)


def look(request: HttpRequest) -> HttpResponse:
    """What is wrong with what was sent, as `{definition, text, problems, beyond?, reach?}`; stores nothing.

    ``reach`` is what expressions can name at the place ``at``, a path as a JSON list.
    """
    sent = submission(request.POST, request.POST.get("stored_as", ""))
    answer = {"text": sent.text} | described(sent.value, sent.problems)
    if at := _path(request.POST.get("at", "")):
        answer["reach"] = in_reach(sent.value, at)
    return JsonResponse(answer)


def forms(request: HttpRequest) -> HttpResponse:
    """The view of forms over the definition that was sent."""
    stored_as = request.POST.get("stored_as", "")
    shown = FormView.of(submission(request.POST, stored_as).value, new=not stored_as)
    return TemplateResponse(request, "admin/workflows/workflow/forms.html", {"forms": shown})


def _carried_out(
    request: HttpRequest, workflow: Workflow | None, save: SaveForm, sent: Submission
) -> HttpResponse | None:
    """Keep or store what was sent; None where something is wrong with it."""
    if not save.is_valid():
        return None
    number = save.cleaned_data["draft"]
    if "_draft" in request.POST:
        return _kept(request, workflow, sent, number)
    if "_discard" in request.POST:
        return _discarded(request, workflow, number)
    if sent.definition is None:
        return None
    stored = _store(workflow, sent.definition, sent.source, save, actor_of(request.user))
    if draft := drafts.find(request.user, workflow, number):
        draft.delete()
    return _stored(request, stored, sent.checked.warnings)


def _store(workflow: Workflow | None, definition: Definition, source: str, save: SaveForm, actor: str) -> Workflow:
    note = save.cleaned_data["note"]
    version = save.cleaned_data["over"] or save.cleaned_data["version"]
    if workflow is None:
        return publishing.create(definition, actor=actor, note=note, source=source)
    return publishing.revise(
        workflow.workflow_id,
        definition,
        actor=actor,
        note=note,
        source=source,
        expected_version=version,
    )


def _stored(request: HttpRequest, workflow: Workflow, warnings: list[Problem]) -> HttpResponse:
    assert workflow.current is not None
    messages.success(request, f"{workflow.workflow_id} is stored as version {workflow.current.number}.")
    for warning in warnings[:WARNINGS_SHOWN]:
        messages.warning(request, f"{warning.path}: {warning.message}")
    page = "run" if "_run" in request.POST else "change"
    return HttpResponseRedirect(reverse(f"admin:workflows_workflow_{page}", args=[workflow.pk]))


def _kept(request: HttpRequest, workflow: Workflow | None, sent: Submission, number: int | None) -> HttpResponse:
    value = sent.value if isinstance(sent.value, dict) else {}
    title = str(value.get("workflow_id") or _id(workflow))
    fields = {key: str(text) for key, text in request.POST.items() if key not in NOT_KEPT}
    draft = drafts.keep(request.user, workflow, title, fields, number)
    messages.success(request, "The draft is kept. It is no version yet: nothing runs with it.")
    return HttpResponseRedirect(f"{_page(workflow)}?draft={draft.pk}")


def _discarded(request: HttpRequest, workflow: Workflow | None, number: int | None) -> HttpResponse:
    if draft := drafts.find(request.user, workflow, number):
        draft.delete()
        messages.success(request, "The draft is discarded.")
    return HttpResponseRedirect(_page(workflow))


def _like(number: str) -> dict[str, Any] | None:
    """The definition of another workflow, under an id of its own."""
    found = Workflow.objects.filter(pk=number).first() if number.isascii() and number.isdigit() else None
    if found is None:
        return None
    copied: dict[str, Any] = found.definition | {"workflow_id": f"{found.workflow_id[:95]}_copy"}
    return copied


def _trial(request: HttpRequest, editor: Editor) -> TrialForm | None:
    """The form beside the editor that tries what stands in it, for who may start runs."""
    if not request.user.has_perm("workflows.add_run"):
        return None
    schema = editor.value.get("parameters") if isinstance(editor.value, dict) else None
    given = blank_input(schema) if isinstance(schema, dict) else {}
    return TrialForm(initial={"input": given, "offline": not settings.INFERENCE_URL, "series": uuid.uuid4().hex})


def _id(workflow: Workflow | None) -> str:
    return workflow.workflow_id if workflow else ""


def _page(workflow: Workflow | None) -> str:
    if workflow is None:
        return reverse("admin:workflows_workflow_add")
    return reverse("admin:workflows_workflow_change", args=[workflow.pk])


def _fields(draft: Draft) -> QueryDict:
    fields = QueryDict(mutable=True)
    fields.update(draft.sent)
    fields["draft"] = str(draft.pk)
    return fields


def _current(workflow: Workflow | None) -> WorkflowVersion | None:
    """The version that somebody else stored meanwhile."""
    return WorkflowVersion.objects.filter(workflow=workflow).first()


def _path(text: str) -> Path:
    try:
        parts = json.loads(text or "[]")
    except ValueError:
        return ()
    fits = isinstance(parts, list) and all(isinstance(part, str | int) for part in parts)
    return tuple(parts) if fits else ()


def _used(workflow: Workflow) -> str:
    return used(metrics.workflow_usage(workflow), "runs")
