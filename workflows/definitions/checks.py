"""All that can be told of a definition without running it, in one list of problems with their places."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import Field

from workflows.definitions import callables as registered
from workflows.definitions import models, tree
from workflows.definitions.blocks import form_problem
from workflows.definitions.catalog import Catalog
from workflows.definitions.models import MAX_STEPS, Definition, Steps, Written
from workflows.definitions.names import Names
from workflows.definitions.problems import Problem, written
from workflows.definitions.reading import Source, read_object
from workflows.definitions.schemas import default_faults, schema_faults
from workflows.definitions.shape import Part, read_shape
from workflows.definitions.steps import StepChecks, retry_problems, schema_problems
from workflows.errors import DefinitionError

RESERVED = frozenset({"templates", "executor", "validate"})
"""Ids that stand in the API's addresses."""

MAX_PROBLEMS = 200


@dataclass(frozen=True, slots=True)
class Checked:
    """`definition` is None where there are problems; warnings refuse nothing."""

    definition: Definition | None
    problems: list[Problem]
    warnings: list[Problem]

    def definition_or_raise(self) -> Definition:
        """The definition. Raises `DefinitionError` with all the problems."""
        if self.definition is None:
            raise DefinitionError(self.problems)
        return self.definition


def check(source: Source, catalog: Catalog | None = None, callables: Collection[str] = ()) -> Checked:
    """Check what was read. `catalog` None leaves agents, functions and other workflows unchecked.

    `callables`: names that may be used beside the registered ones (the lambdas of a builder that runs
    in-process).
    """
    if not isinstance(source.value, dict):
        found = [source.problem((), "a definition is an object with workflow_id and steps", "wrong_type")]
        return Checked(None, source.problems + found, [])
    names = Names(frozenset(tree.ids(source.value.get("steps"))), source.value.get("global_context"))
    checks = StepChecks(source, source.value.get("workflow_id"), catalog, registered.names() | set(callables))
    definition, problems = _checked(source, Definition, names, checks)
    problems = [*problems, *_workflow(source)]
    errors, warnings = _in_order(problems, "error"), _in_order(problems, "warning")
    return Checked(None if errors else definition, errors, warnings)


class GeneratedSteps(Written):
    """Steps that a step made at run time."""

    steps: Annotated[Steps, Field(strict=False, min_length=1)]


def check_generated(
    steps: Any,
    *,
    definition: Definition,
    path: str,
    visible: Collection[str],
    items: Collection[str] = (),
    catalog: Catalog | None = None,
    callables: Collection[str] = (),
) -> tuple[Steps, list[Problem]]:
    """The steps that a step of the definition made at run time, or what is wrong with them, below `steps`.

    They are checked like a definition's own, as if they stood behind the step whose execution has this `path`.
    `visible` are the steps that have a record there; others of the definition can be read with a guard, since they may
    have one in another iteration. `items` are the names that loops around it give to their items.
    """
    if isinstance(steps, list) and len(steps) > MAX_STEPS:  # before they are read, which takes time
        return (), [_too_many(Source(None), len(steps))]
    try:
        source = read_object({"steps": steps})
    except DefinitionError as error:
        return (), error.problems
    taken = frozenset(step.step_id for step in models.walk(definition.steps))
    names = Names(
        ids=taken.union(tree.ids(steps)),
        global_context=definition.global_context,
        earlier=dict.fromkeys(visible, ()),
        before=dict.fromkeys(taken.difference(visible), path),
        around=tuple(path.split(".")),
        items=("index", *items) if items else (),
        generated=True,
    )
    checks = StepChecks(
        source, definition.workflow_id, catalog, registered.names() | set(callables), taken, secrets=False
    )
    made, problems = _checked(source, GeneratedSteps, names, checks)
    errors = _in_order(problems, "error")
    return (() if errors or made is None else made.steps), errors


def _checked(source: Source, model: type[Part], names: Names, checks: StepChecks) -> tuple[Part | None, list[Problem]]:
    """What was read, and what is wrong with its form, the shape of its fields, and its steps."""
    steps = source.value.get("steps")
    if (count := tree.count(steps)) > MAX_STEPS:  # in place of all that is wrong with them: so many take long
        _, shape = read_shape(replace(source, value={**source.value, "steps": []}), model)
        rest = [problem for problem in shape if problem.path != "steps"]
        return None, [*source.problems, *rest, _too_many(source, count)]
    made, shape = read_shape(source, model)
    unclear = tuple(written(path) for path, step in tree.walk(steps) if form_problem(source, path, step))
    unreadable = {problem.path for problem in source.problems if problem.code != "duplicate_key"}
    shape = [
        problem
        for problem in shape
        if problem.path not in unreadable and not problem.path.startswith(tuple(f"{path}." for path in unclear))
    ]
    return made, [*source.problems, *shape, *checks.run(steps, names)]


def _in_order(problems: list[Problem], severity: str) -> list[Problem]:
    """One problem for a place and path, in the order of the text."""
    unique = {(p.path, p.code, p.message): p for p in problems if p.severity == severity}
    return sorted(unique.values(), key=lambda p: (p.line or 0, p.column or 0))[:MAX_PROBLEMS]


def _too_many(source: Source, found: int) -> Problem:
    message = f"there are {found:,} steps, those inside blocks counted; at most {MAX_STEPS:,} are allowed"
    return source.problem(("steps",), message, "too_many_steps")


def _workflow(source: Source) -> Iterator[Problem]:
    """What is wrong with the fields of the workflow itself."""
    name, schema = source.value.get("workflow_id"), source.value.get("parameters")
    if isinstance(name, str) and name in RESERVED:
        message = f'the id "{name}" is taken by the API; reserved are {", ".join(sorted(RESERVED))}'
        yield source.problem(("workflow_id",), message, "reserved_id")
    yield from schema_problems(source, ("parameters",), schema)
    if isinstance(schema, dict) and not schema_faults(schema):
        # Defaults with which a run would be refused. No error: an input may give what they stand for.
        for below, message in default_faults(schema):
            yield source.problem(("parameters", *below), message, "default_invalid", warning=True)
    yield from retry_problems(source, ("retry",), source.value.get("retry"))
