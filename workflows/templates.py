"""Stored templates, and the workflows that are made from them."""

from typing import Any, Protocol

from django.db import IntegrityError, transaction

from workflows import audit, publishing
from workflows.catalog import Catalog
from workflows.definitions import (
    Definition,
    Problem,
    TemplateDocument,
    check,
    check_template,
    fill_definition,
    read_object,
)
from workflows.definitions.inputs import check_parameters
from workflows.definitions.templates import within
from workflows.errors import DefinitionError, TemplateExists, TemplateNotFound
from workflows.models import Template, Workflow

FIELDS = ("description", "parameters", "definition")


class Recipe(Protocol):
    """What a workflow is made from: a template, or what a batch has kept of one."""

    @property
    def parameters(self) -> dict[str, Any]:
        """The JSON Schema of the parameters."""
        ...

    @property
    def definition(self) -> dict[str, Any]:
        """The definition with `${params.…}` in it."""
        ...


def get(name: str) -> Template:
    """The template of that name. Raises `TemplateNotFound`."""
    template = Template.objects.filter(name=name).first()
    if template is None:
        raise TemplateNotFound(f"there is no template {name!r}")
    return template


@transaction.atomic
def create(document: TemplateDocument, *, actor: str) -> Template:
    """Store a new template. Raises `TemplateExists` if the name is taken."""
    template = Template(name=document.name, author=actor, **_fields(document))
    try:
        with transaction.atomic():
            template.save()
    except IntegrityError:
        raise TemplateExists(
            f"a template {document.name!r} exists already; PUT changes it, DELETE deletes it"
        ) from None
    audit.record("template_created", actor=actor, subject=template.name)
    return template


@transaction.atomic
def update(document: TemplateDocument, *, actor: str) -> Template:
    """Replace the template of that name; workflows made from it stay as they are. Raises `TemplateNotFound`."""
    template = get(document.name)
    before = {field: getattr(template, field) for field in FIELDS}
    if before != (after := _fields(document)):
        for field, value in after.items():
            setattr(template, field, value)
        template.author = actor
        template.save()
        audit.record("template_changed", actor=actor, subject=template.name)
    return template


@transaction.atomic
def delete(name: str, *, actor: str) -> None:
    """Delete the template; workflows made from it and batches under way stay. Raises `TemplateNotFound`."""
    get(name).delete()
    audit.record("template_deleted", actor=actor, subject=name)


def of_workflow(workflow_id: str, name: str, description: str | None = None) -> TemplateDocument:
    """A template that makes workflows like this one is now. Raises `WorkflowNotFound`, `DefinitionError`."""
    workflow = publishing.current(workflow_id)
    told = workflow.description if description is None else description
    value = {"name": name, "description": told, "parameters": {}, "definition": workflow.definition}
    return check_template(read_object(value), Catalog())


def as_document(template: Template) -> dict[str, Any]:
    """`{name, description, parameters, definition}`, as it may be stored again."""
    return {"name": template.name, **{field: getattr(template, field) for field in FIELDS}}


def instantiate(
    recipe: Recipe, parameters: dict[str, Any], *, workflow_id: str | None, actor: str, note: str = ""
) -> Workflow:
    """Store the workflow that a template makes with these parameters, under ``workflow_id`` or the template's own.

    Raises what `plan` raises, and `WorkflowExists`.
    """
    return publishing.create(plan(recipe, parameters, workflow_id), actor=actor, note=note)


def plan(recipe: Recipe, parameters: dict[str, Any], workflow_id: str | None) -> Definition:
    """The definition that `instantiate` would store.

    Raises `ParametersInvalid`, and `DefinitionError` with paths below `definition`.
    """
    return definition_of(recipe.definition, check_parameters(parameters, recipe.parameters), workflow_id)


def definition_of(
    written: dict[str, Any], parameters: dict[str, Any], workflow_id: str | None, key: str = "definition"
) -> Definition:
    """The definition with its parameters filled in, checked like any other; ``key`` begins the paths of problems."""
    identity = {} if workflow_id is None else {"workflow_id": workflow_id}
    if "workflow_id" not in written | identity:
        message = "the template has no workflow_id of its own: give one"
        raise DefinitionError([Problem("workflow_id", message, "missing_field")])
    try:
        filled = fill_definition(read_object(written | identity), parameters)
        return check(read_object(filled), Catalog()).definition_or_raise()
    except DefinitionError as error:
        raise DefinitionError(within(key, error.problems)) from None


def _fields(document: TemplateDocument) -> dict[str, Any]:
    return {field: getattr(document, field) for field in FIELDS}
