"""The checks of steps at any depth. They read the raw values: a bad field hides no other fault."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agents.errors import AgentError
from workflows.definitions import callables as registered
from workflows.definitions import tree
from workflows.definitions.blocks import TEMPLATES, block_problems, form_problem
from workflows.definitions.catalog import Catalog
from workflows.definitions.children import child_problems
from workflows.definitions.models import CONTAINERS, MAX_DEPTH
from workflows.definitions.names import Names
from workflows.definitions.offers import offer_problems
from workflows.definitions.problems import Path, Problem
from workflows.definitions.reading import Source
from workflows.definitions.references import expression_problems, template_problems
from workflows.definitions.schemas import schema_faults
from workflows.nearest import did_you_mean

MAX_PATH = 500
"""Characters of a path, indices of loops included."""

MAX_ID = 100

Step = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StepChecks:
    """``workflow_id`` is that of the definition around the steps, ``taken`` are ids that they can't have.

    ``secrets``: whether their parameters may name any. A model that generates steps must not send them anywhere.
    """

    source: Source
    workflow_id: Any
    catalog: Catalog | None
    callables: Collection[str]
    taken: Collection[str] = ()
    secrets: bool = True

    def run(self, steps: Any, names: Names) -> Iterator[Problem]:
        """All that is wrong with the list `steps`, and with the steps inside them."""
        yield from self._doubled_ids(steps)
        yield from self._list(("steps",), steps, names)

    def _doubled_ids(self, steps: Any) -> Iterator[Problem]:
        known = set(self.taken)
        for path, step in tree.walk(steps):
            if isinstance(step_id := step.get("step_id"), str):
                if step_id in known:
                    message = f'the id "{step_id}" is taken by an earlier step'
                    yield self.source.problem((*path, "step_id"), message, "duplicate_step_id")
                known.add(step_id)

    def _list(self, path: Path, steps: Any, names: Names) -> Iterator[Problem]:
        for index, step in tree.objects(steps):
            yield from self._step((*path, index), step, names.at(step))
            names = names.after(step)

    def _step(self, path: Path, step: Step, names: Names) -> Iterator[Problem]:
        if form := form_problem(self.source, path, step):
            yield form
            return
        yield from self._path_length(path, names)
        yield from self._depends_on((*path, "depends_on"), step.get("depends_on"), names)
        yield from self._rule((*path, "precondition"), step.get("precondition"), names)
        if (kind := tree.kind_of(step)) == "function":
            yield from self._function(path, step, names)
        else:
            yield from self._block(path, step, kind, names)

    def _path_length(self, path: Path, names: Names) -> Iterator[Problem]:
        longest = ".".join((*names.around, names.own_id))
        if len(longest) > MAX_PATH and len(names.own_id) <= MAX_ID:
            message = (
                f"with the ids of the blocks around it, its path would have up to {len(longest):,} characters; "
                f"at most {MAX_PATH} are allowed: shorten the ids"
            )
            yield self.source.problem((*path, "step_id"), message, "path_too_long")

    def _block(self, path: Path, block: Step, kind: str, names: Names) -> Iterator[Problem]:
        if kind in tree.CONDITIONS and isinstance(text := block.get(kind), str) and text:
            asked = names.in_loop() if kind == "while" else names
            yield from expression_problems(self.source, (*path, kind), text, asked)
        yield from block_problems(self.source, path, block)
        for place in TEMPLATES.get(kind, ()):
            yield from template_problems(self.source, (*path, *place), _at(block, place), names)
        if kind == "workflow" and self.catalog is not None:
            yield from child_problems(self.source, path, block, self.workflow_id, self.catalog)
        if kind in CONTAINERS and len(names.around) >= MAX_DEPTH:
            message = f"this block stands in {len(names.around)} others; at most {MAX_DEPTH - 1} are allowed"
            yield self.source.problem(path, message, "too_deep")
            return
        for below, steps, inner in names.within():
            yield from self._list((*path, *below), steps, inner)

    def _function(self, path: Path, step: Step, names: Names) -> Iterator[Problem]:
        for rule in ("validation", "result_processor"):
            yield from self._rule((*path, rule), step.get(rule), names, result=True)
        parameters = step.get("parameters")
        yield from template_problems(self.source, (*path, "parameters"), parameters, names, secrets=self.secrets)
        if self.catalog is not None:
            yield from offer_problems(self.source, path, step, parameters, self.catalog)
        yield from schema_problems(self.source, (*path, "output_schema"), step.get("output_schema"))
        yield from retry_problems(self.source, (*path, "retry"), step.get("retry"))
        yield from self._fallback((*path, "fallback"), step, names)
        yield from template_problems(self.source, (*path, "cache", "key"), _at(step, ("cache", "key")), names)

    def _fallback(self, path: Path, step: Step, names: Names) -> Iterator[Problem]:
        fallback = step.get("fallback")
        if not isinstance(fallback, dict):
            return
        parameters = fallback.get("parameters")
        yield from template_problems(self.source, (*path, "parameters"), parameters, names, secrets=self.secrets)
        yield from template_problems(self.source, (*path, "result"), fallback.get("result"), names)
        if self.catalog is not None:
            used = step.get("parameters") if parameters is None else parameters
            yield from offer_problems(self.source, path, fallback, used, self.catalog)

    def _depends_on(self, path: Path, wanted: Any, names: Names) -> Iterator[Problem]:
        for place, step_id in enumerate(wanted if isinstance(wanted, list) else []):
            if isinstance(step_id, str) and (fault := names.dependency_fault(step_id)):
                yield self.source.problem((*path, place), *fault)

    def _rule(self, path: Path, rule: Any, names: Names, *, result: bool = False) -> Iterator[Problem]:
        if isinstance(rule, str) and rule:
            yield from expression_problems(self.source, path, rule, names, result=result)
        elif isinstance(rule, dict) and isinstance(name := rule.get("callable"), str) and name not in self.callables:
            yield self._unknown_callable(path, name)

    def _unknown_callable(self, path: Path, name: str) -> Problem:
        if name.startswith(registered.LAMBDA):
            step, field = name.removeprefix(registered.LAMBDA).rsplit(".", 1)
            message = (
                f'the {field} of step "{step}" is a Python function that runs only in its own process; '
                f'register it with @workflows.callable("name"), then every process that imports it can use it'
            )
            return self.source.problem(path, message, "callable_not_registered")
        hint = did_you_mean(name, self.callables) or '; it is registered with @workflows.callable("name")'
        return self.source.problem(
            (*path, "callable"), f'no callable is registered as "{name}"{hint}', "callable_not_found"
        )


def schema_problems(source: Source, path: Path, schema: Any) -> Iterator[Problem]:
    if isinstance(schema, dict):
        for below, message in schema_faults(schema):
            yield source.problem((*path, *below), message, "invalid_schema")


def retry_problems(source: Source, path: Path, retry: Any) -> Iterator[Problem]:
    for field in ("retry_on", "never_on"):
        codes = retry.get(field) if isinstance(retry, dict) else None
        for place, code in enumerate(codes if isinstance(codes, list) else []):
            if isinstance(code, str) and code not in (known := _error_codes()):
                message = f'no error type is called "{code}"{did_you_mean(code, known)}'
                yield source.problem((*path, field, place), message, "unknown_error_type", warning=True)


def _at(value: Any, place: Path) -> Any:
    """What stands at this place; None where nothing does."""
    for key in place:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _error_codes() -> set[str]:
    def below(cls: type[AgentError]) -> Iterator[str]:
        for sub in cls.__subclasses__():
            yield sub.__name__
            yield from below(sub)

    return set(below(AgentError))
