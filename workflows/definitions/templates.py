"""Templates of workflows as documents: a name, a JSON Schema of parameters, a definition with `${params.…}` in it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import Field

from workflows import expressions
from workflows.definitions import tree
from workflows.definitions.catalog import Catalog
from workflows.definitions.checks import check
from workflows.definitions.models import Identifier, Written
from workflows.definitions.problems import Path, Problem, did_you_mean, written
from workflows.definitions.reading import Source
from workflows.definitions.schemas import schema_faults
from workflows.definitions.shape import read_shape
from workflows.errors import DefinitionError, ExpressionError
from workflows.expressions import Reference

RESERVED = "batches"
"""A name that stands in the API's addresses."""

OPEN = frozenset({"patternProperties", "$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "if", "dependentSchemas"})
"""Keywords with which a schema may have properties that are not under `properties`."""

LEFT_TO_INSTANCES = frozenset({"step_not_found", "step_not_earlier", "duplicate_step_id"})


class TemplateDocument(Written):
    """A template of workflows."""

    name: Annotated[Identifier, Field(description="Identity, unique among templates.")]
    description: Annotated[str, Field(description="What its workflows are for.")] = ""
    parameters: Annotated[
        dict[str, Any], Field(description="JSON Schema of the parameters; a `default` fills in what is left out.")
    ] = {}
    definition: Annotated[
        dict[str, Any], Field(description="A definition that may have `${params.…}` in any field, steps included.")
    ]


@dataclass(frozen=True, slots=True)
class _Text:
    """A string of the definition that may name `params`."""

    path: Path
    text: str
    is_expression: bool

    @property
    def place(self) -> str:
        return written(self.path)

    @property
    def expressions(self) -> list[expressions.Expression]:
        """Raises `ExpressionError`."""
        if self.is_expression:
            return [expressions.compile(self.text)]
        return expressions.template(self.text).expressions if "${" in self.text else []


def check_template(source: Source, catalog: Catalog | None = None) -> TemplateDocument:
    """The template. Raises `DefinitionError` with all that can be told without parameters, each with its place."""
    document, problems = read_shape(source, TemplateDocument)
    problems = [*source.problems, *problems]
    if isinstance(source.value, dict):
        problems += [*_name(source), *_schema(source), *_definition(source, catalog)]
    if document is None or problems:
        raise DefinitionError(problems)
    return document


def within(key: str, problems: Collection[Problem]) -> list[Problem]:
    """The problems of a part, with the part's key in their paths."""
    return [replace(problem, path=f"{key}.{problem.path}".strip(".")) for problem in problems]


def _name(source: Source) -> Iterator[Problem]:
    if source.value.get("name") == RESERVED:
        yield source.problem(("name",), f'the name "{RESERVED}" is taken by the API', "reserved_id")


def _schema(source: Source) -> Iterator[Problem]:
    if isinstance(schema := source.value.get("parameters"), dict):
        for below, message in schema_faults(schema):
            yield source.problem(("parameters", *below), message, "invalid_schema")


def _definition(source: Source, catalog: Catalog | None) -> list[Problem]:
    if not isinstance(source.value.get("definition"), dict):
        return []
    inner = source.below("definition")
    steps = inner.value.get("steps")
    texts = list(_texts(inner.value, frozenset(tree.expressions(steps))))
    places = frozenset(tree.places(steps))
    open_ids = any(text.path[-1] == "step_id" or text.path in places for text in texts)
    found = [problem for problem in check(inner, catalog).problems if not _may_heal(problem, texts, open_ids)]
    return within("definition", [*found, *_misnamed(inner, texts, source.value.get("parameters"))])


def _may_heal(problem: Problem, texts: list[_Text], open_ids: bool) -> bool:
    """Whether it may be gone once parameters are filled in, or `workflow_id` is given.

    ``open_ids``: parameters decide which steps there are.
    """
    if problem.code in ("missing_field", "unknown_field"):
        return problem.path == "workflow_id"
    if problem.code in ("too_many_steps", "too_deep"):
        return False
    if problem.code in LEFT_TO_INSTANCES and open_ids:
        return True
    if problem.code == "unknown_name" and any(text.path[-1] == "as" for text in texts):
        return True
    return any(f"{text.place}.".startswith((f"{problem.path}.", f"{problem.path}[")) for text in texts)


def _texts(value: Any, whole: Collection[Path], path: Path = ()) -> Iterator[_Text]:
    """``whole`` are the places of expressions that are a whole field."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _texts(item, whole, (*path, key))
    elif isinstance(value, str) and "params" in value:
        yield _Text(path, value, path in whole)


def _misnamed(source: Source, texts: list[_Text], schema: Any) -> Iterator[Problem]:
    """Expressions that can't be read, and parameters that the schema does not have."""
    for text in texts:
        try:
            references = [reference for found in text.expressions for reference in found.references]
        except ExpressionError as error:
            yield source.problem(text.path, str(error), "expression")
            continue
        for reference in references:
            if fault := _unknown(reference, schema):
                yield source.problem(text.path, fault, "unknown_parameter")


def _unknown(reference: Reference, schema: Any) -> str:
    known = schema.get("properties", {}) if isinstance(schema, dict) else {}
    is_open = not isinstance(known, dict) or bool(OPEN & schema.keys() if isinstance(schema, dict) else ())
    if reference.path[0] != "params" or len(reference.path) < 2 or reference.guarded or is_open:
        return ""
    name = reference.path[1]
    if name in known:
        return ""
    hint = did_you_mean(name, known) or f"; the schema has {', '.join(known) or 'no properties'}"
    return f'there is no parameter "{name}"{hint}'
