"""The page on which a workflow is made and edited: forms, the definition's own checks, a new version."""

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.admin import ModelAdmin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from agents.catalog import agents, functions_of
from agents.functions import registry
from workflows import metrics, publishing
from workflows.admin.base import actor_of, used
from workflows.admin.draft import definition_of, place, step_values, workflow_values
from workflows.admin.forms import Choices, StepForm, StepForms, WorkflowForm
from workflows.catalog import Catalog
from workflows.definitions import Checked, Definition, Problem, check, read_object, to_yaml
from workflows.errors import DefinitionError, VersionConflict, WorkflowError, WorkflowExists
from workflows.models import Workflow

WARNINGS_SHOWN = 5
VERSIONS_SHOWN = 30


@dataclass(slots=True)
class Editor:
    """The forms of one workflow, bound to what was sent, if anything was."""

    workflow: Workflow | None
    form: WorkflowForm
    steps: Any  # a formset of StepForm

    @classmethod
    def of(cls, request: HttpRequest, workflow: Workflow | None) -> "Editor":
        written = workflow.definition if workflow else {"steps": [{}]}
        sent = request.POST if request.method == "POST" else None
        version = workflow.current.number if workflow and workflow.current else None
        form = WorkflowForm(sent, initial=workflow_values(written) | {"version": version})
        if workflow:
            form.fields["workflow_id"].disabled = True
        steps = StepForms(
            sent,
            prefix="steps",
            initial=step_values(written["steps"]) if workflow else [{"position": 1}],
            form_kwargs={"agents": _agent_choices(), "functions": _function_choices()},
        )
        return cls(workflow, form, steps)

    def rows(self) -> list[StepForm]:
        """The steps that stay, in the order that their positions give."""
        kept = [row for row in self.steps.forms if not row.cleaned_data.get("remove")]
        return sorted(kept, key=lambda row: row.cleaned_data.get("position") or float("inf"))

    def save(self, actor: str) -> tuple[Workflow, list[Problem]] | None:
        """Store what was sent. None where something is wrong with it, which then stands at its field."""
        readable = [self.form.is_valid(), self.steps.is_valid()]
        rows = self.rows()
        try:
            checked = check(read_object(definition_of(self._written(), self.form, rows)), Catalog())
        except DefinitionError as error:  # too deep or too large to be looked at
            checked = Checked(None, error.problems, [])
        place([p for p in checked.problems if not _said_already(p, self.form, rows)], self.form, rows)
        if checked.definition is None or not all(readable):
            return None
        try:
            return self._store(checked.definition, actor), checked.warnings
        except (WorkflowExists, VersionConflict) as error:
            self.form.add_error("workflow_id" if isinstance(error, WorkflowExists) else None, _advice(error))
            return None

    def _written(self) -> dict[str, Any]:
        """The version that the form was made from, which need not be the current one any more."""
        if self.workflow is None:
            return {}
        number: int = self.form.cleaned_data.get("version") or 0
        version = self.workflow.versions.filter(number=number).first()
        return version.definition if version else self.workflow.definition

    def _store(self, definition: Definition, actor: str) -> Workflow:
        note = self.form.cleaned_data["note"]
        if self.workflow is None:
            return publishing.create(definition, actor=actor, note=note)
        version = self.form.cleaned_data["version"]
        return publishing.revise(
            self.workflow.workflow_id, definition, actor=actor, note=note, expected_version=version
        )


def edit(
    request: HttpRequest,
    model_admin: "ModelAdmin[Workflow]",
    workflow: Workflow | None,
    *,
    may_save: bool,
    may_run: bool,
) -> HttpResponse:
    """Show the forms; store what was sent, or show it again with every problem at its place."""
    editor = Editor.of(request, workflow)
    if request.method == "POST" and may_save and (saved := editor.save(actor_of(request.user))):
        return _stored(request, *saved)
    context = {
        **model_admin.admin_site.each_context(request),
        "title": workflow.name if workflow else "New workflow",
        "opts": model_admin.opts,
        "workflow": workflow,
        "editor": editor,
        "refused": request.method == "POST",
        "may_save": may_save,
        "may_run": may_run and workflow is not None and workflow.archived_at is None,
        "yaml": to_yaml(workflow.current.parsed) if workflow and workflow.current else "",
        "used": _used(workflow) if workflow and request.user.has_perm("workflows.view_run") else "",
        "versions": workflow.versions.defer("definition")[:VERSIONS_SHOWN] if workflow else [],
        "functions": _function_help(),
        "offers": {spec.name: sorted(functions_of(spec)) for spec in agents()},
    }
    return TemplateResponse(request, "admin/workflows/workflow/edit.html", context)


def _used(workflow: Workflow) -> str:
    return used(metrics.workflow_usage(workflow), "runs")


def _stored(request: HttpRequest, workflow: Workflow, warnings: list[Problem]) -> HttpResponse:
    assert workflow.current is not None
    messages.success(request, f"{workflow.workflow_id} is stored as version {workflow.current.number}.")
    for warning in warnings[:WARNINGS_SHOWN]:
        messages.warning(request, f"{warning.path}: {warning.message}")
    page = "run" if "_run" in request.POST else "change"
    return HttpResponseRedirect(reverse(f"admin:workflows_workflow_{page}", args=[workflow.pk]))


def _said_already(problem: Problem, form: WorkflowForm, rows: list[StepForm]) -> bool:
    """Whether the field could not even be read: then what the checks say of its old value would mislead."""
    forms = {"": form} | {f"steps[{index}].": row for index, row in enumerate(rows)}
    return any(problem.path.startswith(f"{start}{field}") for start, each in forms.items() for field in each.errors)


def _advice(error: WorkflowError) -> str:
    if isinstance(error, VersionConflict):
        return "Somebody stored another version meanwhile. Open the page again and repeat your change there."
    return "A workflow of that id exists already."


def _agent_choices() -> Choices:
    return [(spec.name, f"{spec.name}: {spec.role or spec.type}"[:80]) for spec in agents()]


def _function_choices() -> Choices:
    return [(name, name) for name in Catalog().function_names()]


def _function_help() -> dict[str, Any]:
    """For each function what it does and its parameters: [name, type, default or "required", meaning]."""
    known: dict[str, Any] = {}
    for function in registry.all_functions():
        parameters = _parameters(function.parameters.model_json_schema())
        entry = {"about": function.description, "parameters": parameters}
        known |= dict.fromkeys((function.name, *function.aliases), entry)
    return known


def _parameters(schema: dict[str, Any]) -> list[list[str]]:
    required = schema.get("required", [])
    return [
        [name, _type(field), _default(field, name in required), field.get("description", "")]
        for name, field in schema.get("properties", {}).items()
    ]


def _type(field: dict[str, Any]) -> str:
    if "enum" in field:
        return " | ".join(map(str, field["enum"]))
    if "anyOf" in field:
        return " or ".join(_type(part) for part in field["anyOf"] if part.get("type") != "null")
    return str(field.get("type", "any"))


def _default(field: dict[str, Any], required: bool) -> str:
    if required:
        return "required"
    default = field.get("default")
    return "" if default in (None, "", [], {}) else str(default)
