"""The page that asks for a run's input."""

from functools import partial
from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.db import transaction
from django.forms import Form
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from workflows import runs
from workflows.admin.base import actor_of
from workflows.admin.forms import RunForm
from workflows.errors import ConcurrencyLimitReached, DefinitionError, InputInvalid
from workflows.models import Run, Workflow, WorkflowVersion

BLANKS: dict[str, Any] = {
    "string": "", "number": 0, "integer": 0, "boolean": False, "array": [], "object": {},
}  # fmt: skip


def start(
    request: HttpRequest,
    model_admin: "ModelAdmin[Workflow]",
    workflows: list[Workflow],
    version: WorkflowVersion | None = None,
) -> HttpResponse:
    """Ask for one input, and start a run of each workflow with it: of all, or of none if one refuses it.

    ``version``: of the only workflow, in place of its current one.
    """
    sent = request.POST if request.method == "POST" else None
    definition = version.definition if version else workflows[0].definition
    schema = definition.get("parameters") if len(workflows) == 1 else None
    form = RunForm(sent, initial={"input": blank_input(schema)})
    if form.is_valid() and (started := _start(form, workflows, version, actor_of(request.user))):
        return _started(request, started)
    context = {
        **model_admin.admin_site.each_context(request),
        "title": _title(workflows, version),
        "opts": model_admin.opts,
        "form": form,
        "workflows": workflows,
        "schema": schema,
    }
    return TemplateResponse(request, "admin/workflows/workflow/start.html", context)


def _title(workflows: list[Workflow], version: WorkflowVersion | None) -> str:
    if len(workflows) > 1:
        return f"Run {len(workflows)} workflows"
    return f"Run {workflows[0].name}" + (f", version {version.number}" if version else "")


def tell_input_errors(form: Form, error: InputInvalid | DefinitionError) -> None:
    """Say at the form's field what is wrong with the input, or what is made of it."""
    for problem in error.problems:
        place = problem.path.removeprefix("input_context").strip(".")
        if place == "workflow_id" and place in form.fields:
            form.add_error(place, problem.message)
        else:
            form.add_error("input", f"{place}: {problem.message}" if place else problem.message)
    if not error.problems:
        form.add_error("input", str(error))


def _start(form: RunForm, workflows: list[Workflow], version: WorkflowVersion | None, actor: str) -> list[Run]:
    given = form.cleaned_data
    try:
        with transaction.atomic():
            begin = partial(runs.start, trigger="admin", actor=actor, version=version, profile=given["profile"])
            return [begin(workflow, given["input"]) for workflow in workflows]
    except InputInvalid as error:
        tell_input_errors(form, error)
    except ConcurrencyLimitReached as refused:
        form.add_error("input", str(refused))
    return []


def _started(request: HttpRequest, started: list[Run]) -> HttpResponse:
    if len(started) == 1:
        return HttpResponseRedirect(reverse("admin:workflows_run_change", args=[started[0].pk]))
    messages.success(request, f"{len(started)} runs are queued.")
    return HttpResponseRedirect(reverse("admin:workflows_run_changelist"))


def blank_input(schema: dict[str, Any] | None) -> dict[str, Any]:
    """What the schema asks for, with its defaults or examples."""
    properties = (schema or {}).get("properties", {})
    return {name: _blank(part) for name, part in properties.items() if isinstance(part, dict)}


def _blank(schema: dict[str, Any]) -> Any:
    if "default" in schema:
        return schema["default"]
    if schema.get("examples"):
        return schema["examples"][0]
    kind = schema.get("type")
    return BLANKS.get(kind) if isinstance(kind, str) else None
