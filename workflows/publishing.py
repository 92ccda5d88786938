"""Saving definitions: every change makes an immutable version, and an event that says who made it."""

from django.db import IntegrityError, transaction
from django.utils import timezone

from workflows import audit, runs
from workflows.catalog import Catalog
from workflows.definitions import Definition, FunctionStep, check, checksum, read_object, to_dict, tree, walk
from workflows.definitions.models import BaseStep
from workflows.errors import VersionConflict, WorkflowExists, WorkflowNotFound
from workflows.models import Step, Workflow, WorkflowVersion
from workflows.models.workflow import known_version
from workflows.questions import NAME, Selection

# Keys of a step's definition that have a column of their own in the mirror rows; the others stand in `options`.
STEP_COLUMNS = frozenset({
    "step_id", "step_name", "agent_id", "function_name", "parameters", "timeout_seconds", "max_retries",
    "continue_on_failure",
})  # fmt: skip


def current(workflow_id: str) -> Workflow:
    """The workflow of that id that is not archived, with its current version. Raises `WorkflowNotFound`."""
    found: list[Workflow] = _NAMED.rows({NAME: workflow_id})
    if not found:
        raise WorkflowNotFound(f"there is no workflow {workflow_id!r}")
    [workflow] = found
    assert workflow.current_id is not None
    workflow.current = known_version(workflow.current_id)
    return workflow


_NAMED = Selection(lambda: Workflow.objects.active().filter(workflow_id=NAME).order_by()[:1])


def locked(workflow_id: str) -> Workflow:
    """As `current`, and whoever changes it meanwhile waits for the end of the caller's transaction."""
    # Its current version comes with a query of its own: PostgreSQL locks no row of an outer join.
    workflow = Workflow.objects.active().select_for_update().filter(workflow_id=workflow_id).first()
    if workflow is None:
        raise WorkflowNotFound(f"there is no workflow {workflow_id!r}")
    return workflow


@transaction.atomic
def create(definition: Definition, *, actor: str, note: str = "", source: str = "") -> Workflow:
    """Store a new workflow as its version 1; ``source`` is its YAML as written. Raises `WorkflowExists` if the id is
    taken.
    """
    workflow = Workflow(workflow_id=definition.workflow_id)
    _describe(workflow, definition)
    try:
        with transaction.atomic():
            workflow.save()
    except IntegrityError:
        raise WorkflowExists(
            f"a workflow {definition.workflow_id!r} exists already; PUT changes it, DELETE archives it"
        ) from None
    _add_version(workflow, definition, 1, actor, note, source)
    return workflow


@transaction.atomic
def revise(
    workflow_id: str,
    definition: Definition,
    *,
    actor: str,
    note: str = "",
    source: str = "",
    expected_version: int | None = None,
) -> Workflow:
    """Store a new version, unless nothing changed: neither what it means nor, where it is given, its YAML as written.

    Raises `WorkflowNotFound`, and `VersionConflict` if the current version is not ``expected_version``.
    """
    workflow = locked(workflow_id)
    newest = workflow.current
    assert newest is not None
    if expected_version is not None and expected_version != newest.number:
        raise VersionConflict(
            f"workflow {workflow_id!r} is at version {newest.number}, not {expected_version}: read it again first"
        )
    rewritten = source and source != newest.source
    if rewritten or checksum(definition) != newest.checksum:
        workflow.workflow_id = definition.workflow_id
        _describe(workflow, definition)
        _add_version(workflow, definition, newest.number + 1, actor, note, source)
    return workflow


@transaction.atomic
def restore(
    workflow_id: str, number: int, *, actor: str, note: str = "", expected_version: int | None = None
) -> tuple[Workflow, bool]:
    """Store the definition of an earlier version once more, as the newest, and whether that changed anything.

    It is checked again: agents and functions may have gone since. Raises `DefinitionError`, `VersionNotFound`, and
    what `revise` raises.
    """
    workflow = locked(workflow_id)
    newest, earlier = workflow.current, workflow.version(number)
    assert newest is not None
    changes = earlier.checksum != newest.checksum
    definition = check(read_object(earlier.definition), Catalog()).definition_or_raise() if changes else newest.parsed
    note = note or f"restores version {number}"
    revised = revise(workflow_id, definition, actor=actor, note=note, expected_version=expected_version)
    return revised, changes


def save(definition: Definition, *, actor: str, note: str = "") -> Workflow:
    """Create the workflow, or revise the one of that id."""
    if Workflow.objects.active().filter(workflow_id=definition.workflow_id).exists():
        return revise(definition.workflow_id, definition, actor=actor, note=note)
    return create(definition, actor=actor, note=note)


@transaction.atomic
def unlisted(definition: Definition, *, actor: str, note: str) -> Workflow:
    """Store a definition out of sight, as an archived workflow: a published one of the same id is not touched.

    One that this actor has stored so already, with this note, is taken again.
    """
    digest = checksum(definition)
    same = WorkflowVersion.objects.filter(
        checksum=digest, author=actor, note=note, workflow__workflow_id=definition.workflow_id
    )
    if known := same.filter(workflow__archived_at__isnull=False).select_related("workflow").first():
        return known.workflow
    workflow = Workflow(workflow_id=definition.workflow_id, archived_at=timezone.now())
    _describe(workflow, definition)
    workflow.save()
    workflow.current = WorkflowVersion.objects.create(
        workflow=workflow, number=1, definition=to_dict(definition), checksum=digest, author=actor, note=note
    )
    workflow.save()
    return workflow


@transaction.atomic
def archive(workflow_id: str, *, actor: str) -> Workflow:
    """Free the id and cancel the active runs; versions, runs and events stay."""
    workflow = current(workflow_id)
    workflow.archived_at = timezone.now()
    workflow.save(update_fields=["archived_at", "updated_at"])
    audit.record("workflow_archived", actor=actor, subject=workflow_id)
    for run_id in workflow.runs.active().values_list("id", flat=True):
        runs.cancel(run_id, actor=actor)
    return workflow


def _describe(workflow: Workflow, definition: Definition) -> None:
    workflow.name = definition.name
    workflow.description = definition.description
    workflow.tags = list(definition.tags)
    workflow.total_steps = definition.total_steps
    workflow.concurrency_limit = definition.concurrency.limit if definition.concurrency else None


def _add_version(workflow: Workflow, definition: Definition, number: int, actor: str, note: str, source: str) -> None:
    version = WorkflowVersion.objects.create(
        workflow=workflow,
        number=number,
        definition=to_dict(definition),
        source=source,
        checksum=checksum(definition),
        author=actor,
        note=note,
    )
    workflow.current = version
    workflow.save()
    workflow.steps.all().delete()
    Step.objects.bulk_create(_mirror(workflow, definition))
    audit.record(
        "workflow_created" if number == 1 else "workflow_revised",
        actor=actor,
        subject=workflow.workflow_id,
        version=number,
        checksum=version.checksum,
        note=note,
    )


def _mirror(workflow: Workflow, definition: Definition) -> list[Step]:
    """A row for each step of the definition, in its order, those inside blocks too."""
    return [_row(workflow, position, step) for position, step in enumerate(walk(definition.steps))]


def _row(workflow: Workflow, position: int, step: BaseStep) -> Step:
    rule = step.precondition if isinstance(step.precondition, str) else ""
    row = Step(
        workflow=workflow,
        position=position,
        step_id=step.step_id,
        name=step.step_name or "",
        continue_on_failure=step.continue_on_failure,
        precondition=rule,
    )
    options = tree.own(to_dict(step))
    if isinstance(step, FunctionStep):
        row.agent, row.function, row.parameters = step.agent_id, step.function_name, step.parameters
        row.timeout_seconds, row.max_retries = step.timeout_seconds, step.max_retries
    elsewhere = STEP_COLUMNS | ({"precondition"} if rule else set())
    row.options = {key: value for key, value in options.items() if key not in elsewhere}
    return row
