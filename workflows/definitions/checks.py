"""All that can be told of a definition without running it, in one list of problems with their places."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from agents.errors import AgentError
from workflows.definitions import callables as registered
from workflows.definitions.catalog import Catalog
from workflows.definitions.models import Definition
from workflows.definitions.problems import Path, Problem
from workflows.definitions.reading import Source
from workflows.definitions.references import Names, rule_problems, template_problems
from workflows.definitions.schemas import default_faults, schema_faults
from workflows.definitions.shape import read_shape
from workflows.errors import DefinitionError
from workflows.nearest import did_you_mean

RESERVED = frozenset({"templates", "executor", "validate"})
"""Ids that stand in the API's addresses."""

BLOCKS = frozenset(
    ["if", "switch", "for_each", "while", "parallel", "generate", "workflow", "wait", "approval", "wait_for"]
)
RULES = ("precondition", "validation", "result_processor")
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
    """Check what was read. `catalog` None leaves agents and functions unchecked.

    `callables`: names that may be used beside the registered ones (the lambdas of a builder that runs
    in-process).
    """
    if not isinstance(source.value, dict):
        found = [source.problem((), "a definition is an object with workflow_id and steps", "wrong_type")]
        return Checked(None, source.problems + found, [])
    definition, problems = read_shape(source, Definition)
    known = registered.names() | set(callables)
    problems = [
        *source.problems,
        *_shape_without_blocks(source, problems),
        *_Check(source, catalog, known).run(),
    ]
    errors = _in_order([p for p in problems if p.severity == "error"])
    warnings = _in_order([p for p in problems if p.severity == "warning"])
    return Checked(None if errors else definition, errors, warnings)


def _in_order(problems: list[Problem]) -> list[Problem]:
    """One problem for a place and path, in the order of the text."""
    unique = {(p.path, p.code, p.message): p for p in problems}
    return sorted(unique.values(), key=lambda p: (p.line or 0, p.column or 0))[:MAX_PROBLEMS]


def _shape_without_blocks(source: Source, problems: list[Problem]) -> Iterator[Problem]:
    """What is wrong with fields, apart from steps that are blocks: those get one problem, below."""
    blocks = tuple(f"steps[{index}]" for index, step in _steps(source.value) if BLOCKS & step.keys())
    unreadable = {p.path for p in source.problems if p.code != "duplicate_key"}
    for problem in problems:
        if not problem.path.startswith(tuple(f"{block}." for block in blocks)) and problem.path not in unreadable:
            yield problem


def _steps(value: dict[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    """The steps that are objects at all, with their places in the list."""
    steps = value.get("steps")
    return (
        [(index, step) for index, step in enumerate(steps) if isinstance(step, dict)] if isinstance(steps, list) else []
    )


def _error_codes() -> set[str]:
    def below(cls: type[AgentError]) -> Iterator[str]:
        for sub in cls.__subclasses__():
            yield sub.__name__
            yield from below(sub)

    return set(below(AgentError))


class _Check:
    """Checks that need more than one field. They read the raw value: a bad field hides no other fault."""

    def __init__(self, source: Source, catalog: Catalog | None, callables: Collection[str]) -> None:
        self.source = source
        self.value: dict[str, Any] = source.value
        self.catalog = catalog
        self.callables = callables
        self.steps = _steps(source.value)

    def run(self) -> Iterator[Problem]:
        yield from self._workflow()
        earlier: dict[str, dict[str, Any]] = {}
        ids = {step["step_id"] for _, step in self.steps if isinstance(step.get("step_id"), str)}
        for index, step in self.steps:
            names = Names(ids, earlier, str(step.get("step_id")), step, self.value.get("global_context"))
            yield from self._step(("steps", index), step, names)
            if isinstance(step.get("step_id"), str):
                yield from self._doubled_id(("steps", index, "step_id"), step["step_id"], earlier)
                earlier = {**earlier, step["step_id"]: step}

    def _workflow(self) -> Iterator[Problem]:
        name = self.value.get("workflow_id")
        if isinstance(name, str) and name in RESERVED:
            message = f'the id "{name}" is taken by the API; reserved are {", ".join(sorted(RESERVED))}'
            yield self.source.problem(("workflow_id",), message, "reserved_id")
        yield from self._schema(("parameters",), self.value.get("parameters"))
        yield from self._defaults(("parameters",), self.value.get("parameters"))
        yield from self._retry(("retry",), self.value.get("retry"))

    def _doubled_id(self, path: Path, step_id: str, earlier: dict[str, Any]) -> Iterator[Problem]:
        if step_id in earlier:
            yield self.source.problem(path, f'the id "{step_id}" is taken by an earlier step', "duplicate_step_id")

    def _step(self, path: Path, step: dict[str, Any], names: Names) -> Iterator[Problem]:
        if block := sorted(BLOCKS & step.keys()):
            message = f"{block[0]} is not available in this version yet; nor are other branches, loops and waits"
            yield self.source.problem((*path, block[0]), message, "block_not_supported", of_key=True)
            return
        yield from self._depends_on((*path, "depends_on"), step.get("depends_on"), names)
        for rule in RULES:
            yield from self._rule((*path, rule), step.get(rule), names)
        yield from template_problems(self.source, (*path, "parameters"), step.get("parameters"), names)
        yield from self._who(path, step, step.get("parameters"))
        yield from self._schema((*path, "output_schema"), step.get("output_schema"))
        yield from self._retry((*path, "retry"), step.get("retry"))
        yield from self._fallback((*path, "fallback"), step, names)
        if isinstance(cache := step.get("cache"), dict):
            yield from template_problems(self.source, (*path, "cache", "key"), cache.get("key"), names, secrets=False)

    def _fallback(self, path: Path, step: dict[str, Any], names: Names) -> Iterator[Problem]:
        fallback = step.get("fallback")
        if not isinstance(fallback, dict):
            return
        parameters = fallback.get("parameters")
        yield from template_problems(self.source, (*path, "parameters"), parameters, names)
        yield from template_problems(self.source, (*path, "result"), fallback.get("result"), names, secrets=False)
        yield from self._who(path, fallback, step.get("parameters") if parameters is None else parameters)

    def _depends_on(self, path: Path, wanted: Any, names: Names) -> Iterator[Problem]:
        for place, step_id in enumerate(wanted if isinstance(wanted, list) else []):
            if isinstance(step_id, str) and (fault := names.step_fault(step_id)):
                yield self.source.problem((*path, place), *fault)

    def _rule(self, path: Path, rule: Any, names: Names) -> Iterator[Problem]:
        if isinstance(rule, str) and rule:
            yield from rule_problems(self.source, path, rule, names)
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

    def _who(self, path: Path, step: dict[str, Any], parameters: Any) -> Iterator[Problem]:
        agent, function = step.get("agent_id"), step.get("function_name")
        if self.catalog is None or not isinstance(agent, str) or not agent:
            return
        if not self.catalog.has_agent(agent):
            names = sorted(self.catalog.agent_names())
            hint = did_you_mean(agent, names) or f"; there are {', '.join(names[:10]) or 'none'}"
            yield self.source.problem((*path, "agent_id"), f'there is no agent "{agent}"{hint}', "agent_not_found")
        if isinstance(function, str) and function:
            yield from self._function(path, agent, function)
            yield from self._parameters((*path, "parameters"), function, parameters)

    def _function(self, path: Path, agent: str, function: str) -> Iterator[Problem]:
        assert self.catalog is not None
        known = sorted(self.catalog.function_names())
        if self.catalog.has_agent(agent):
            offered = sorted(self.catalog.agent_functions(agent))
            if function in offered and function in known:
                return
            if function in known:
                message = f'agent "{agent}" does not offer "{function}"; it offers {", ".join(offered)}'
                yield self.source.problem((*path, "function_name"), message, "function_not_found")
                return
        if function not in known:
            hint = did_you_mean(function, known) or f"; there are {', '.join(known[:20]) or 'none'}"
            message = f'there is no function "{function}"{hint}'
            yield self.source.problem((*path, "function_name"), message, "function_not_found")

    def _parameters(self, path: Path, function: str, parameters: Any) -> Iterator[Problem]:
        assert self.catalog is not None
        if not isinstance(parameters, dict) or function not in self.catalog.function_names():
            return
        for found in self.catalog.parameter_problems(function, parameters):
            below = _parts(str(found["path"]))
            warning = found.get("severity") == "warning"
            yield self.source.problem((*path, *below), found["message"], found["code"], of_key=warning, warning=warning)

    def _schema(self, path: Path, schema: Any) -> Iterator[Problem]:
        if isinstance(schema, dict):
            for below, message in schema_faults(schema):
                yield self.source.problem((*path, *below), message, "invalid_schema")

    def _defaults(self, path: Path, schema: Any) -> Iterator[Problem]:
        """Defaults with which a run would be refused. No error: an input may give what they stand for."""
        if isinstance(schema, dict) and not schema_faults(schema):
            for below, message in default_faults(schema):
                yield self.source.problem((*path, *below), message, "default_invalid", warning=True)

    def _retry(self, path: Path, retry: Any) -> Iterator[Problem]:
        for field in ("retry_on", "never_on"):
            codes = retry.get(field) if isinstance(retry, dict) else None
            for place, code in enumerate(codes if isinstance(codes, list) else []):
                if isinstance(code, str) and code not in (known := _error_codes()):
                    message = f'no error type is called "{code}"{did_you_mean(code, known)}'
                    yield self.source.problem((*path, field, place), message, "unknown_error_type", warning=True)


def _parts(path: str) -> Path:
    """`"stop[0].x"` as a path."""
    words = path.replace("]", "").replace("[", ".").split(".")
    return tuple(int(word) if word.isdecimal() else word for word in words if word)
