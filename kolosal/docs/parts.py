"""What the generated parts of the documentation say, each made from the code that it describes."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import yaml
from django.conf import settings
from pydantic import BaseModel

from agents.functions import registry
from agents.functions.base import Function
from kolosal.docs.tables import Schema, code, default_of, table, type_of
from kolosal.settings import ENVIRONMENT
from workflows import transitions
from workflows.definitions import Cache, CallableName, Concurrency, Definition, Fallback, FunctionStep, RetryPolicy
from workflows.definitions.models import BLOCKS, AwaitedEvent, BaseStep, Question, WaitTime
from workflows.states import RUN_TRANSITIONS, STEP_TRANSITIONS, STEP_VERBS, VERBS

DEFINITION_PARTS: tuple[type[BaseModel], ...] = (
    Definition, BaseStep, FunctionStep, *BLOCKS.values(), WaitTime, Question, AwaitedEvent,
    RetryPolicy, Fallback, CallableName, Cache, Concurrency,
)  # fmt: skip
STEP = "Step"
"""Heading of what all steps have; lists of steps link to it."""

BUILT_IN = "agents.functions."


def environment() -> str:
    """Every variable of the environment: name, default, meaning."""
    rows = ([code(name), default or "none", meaning] for name, (default, meaning) in ENVIRONMENT.items())
    return table(["variable", "default", "meaning"], rows)


def definition() -> str:
    """The fields of a definition and of its parts, a heading and a table each."""
    return "\n\n".join(_fields_of(part) for part in DEFINITION_PARTS)


def run_states() -> str:
    """The state diagram of a run."""
    return _diagram(RUN_TRANSITIONS)


def step_states() -> str:
    """The state diagram of a step."""
    return _diagram(STEP_TRANSITIONS)


def transition_table() -> str:
    """The functions that write a status: name, arrow and meaning, from their docstrings."""
    return table(["function of `transitions`", "arrow"], _arrows())


def verbs() -> str:
    """What each verb does to a run in each state."""
    return _matrix("the run is", VERBS)


def step_verbs() -> str:
    """What the holder of a run does with the step under way when a verb comes."""
    return _matrix("the step is", STEP_VERBS)


def functions() -> str:
    """The functions that ship with the system: a heading, a sentence and a table of parameters each."""
    described = _described_parameters()
    built_in = [f for f in registry.all_functions() if f.run.__module__.startswith(BUILT_IN)]
    return "\n\n".join(_function(f, described.get(f.name, {})) for f in built_in)


def api() -> str:
    """The routes of the OpenAPI schema: call, what it does, answers."""
    from drf_spectacular.generators import SchemaGenerator

    schema = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return table(["call", "what it does", "answers"], _routes(schema["paths"]))


PARTS: Mapping[str, Callable[[], str]] = {
    "environment": environment,
    "definition": definition,
    "run-states": run_states,
    "step-states": step_states,
    "transitions": transition_table,
    "verbs": verbs,
    "step-verbs": step_verbs,
    "functions": functions,
    "api": api,
}


def _fields_of(part: type[BaseModel]) -> str:
    schema = part.model_json_schema()
    schema = schema["$defs"][part.__name__] if "$ref" in schema else schema
    required = set(schema.get("required", ()))
    shared = BaseStep.model_fields if issubclass(part, BaseStep) and part is not BaseStep else {}
    rows = [
        [
            code(name),
            type_of(field),
            default_of(field, required=name in required),
            field.get("description", ""),
        ]
        for name, field in schema["properties"].items()
        if name not in shared
    ]
    meaning = " ".join(schema["description"].split())
    meaning += " It has the fields of every [step](#step), and:" if shared else ""
    heading = STEP if part is BaseStep else part.__name__
    return f"### {heading}\n\n{meaning}\n\n{table(['field', 'type', 'default', 'meaning'], rows)}"


def _diagram(allowed: Mapping[str, frozenset[str]]) -> str:
    first, *_ = allowed
    order = list(allowed)
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {first}"]
    for status, following in allowed.items():
        lines += [f"    {status} --> {target}" for target in sorted(following, key=order.index)]
        if not following:
            lines.append(f"    {status} --> [*]")
    return "\n".join([*lines, "```"])


def _matrix(corner: str, answers: Mapping[str, Mapping[Any, str]]) -> str:
    statuses = list(next(iter(answers.values())))
    rows = [[status.value, *(str(by_status[status]) for by_status in answers.values())] for status in statuses]
    return table([corner, *map(code, answers)], rows)


def _arrows() -> Iterator[list[str]]:
    for name, function in vars(transitions).items():
        if inspect.isfunction(function) and function.__module__.startswith(transitions.__name__):
            meaning = inspect.getdoc(function) or ""
            if "→" in meaning:
                yield [code(name), meaning.partition("\n\n")[0].replace("``", "`")]


def _described_parameters() -> dict[str, dict[str, str]]:
    """function → parameter → what the shipped agents file says of it; models need not say it again."""
    shipped = yaml.safe_load(settings.AGENTS_FILE.read_text(encoding="utf-8"))
    return {entry["name"]: entry.get("parameters", {}) for entry in shipped.get("functions", ())}


def _function(function: Function, described: Mapping[str, str]) -> str:
    schema = function.parameters.model_json_schema()
    aliases = f" Also known as {', '.join(map(code, function.aliases))}." if function.aliases else ""
    where = "in the event loop" if function.is_async else "in a helper process"
    about = f"{function.description}. Runs {where}.{aliases}"
    lines = [f"### {function.name}", about]
    if note := schema.get("description"):
        lines.append(" ".join(note.split()))
    rows = [_parameter(function, name, field, described) for name, field in schema.get("properties", {}).items()]
    lines.append(table(["parameter", "type", "default", "from the context", "meaning"], rows))
    operations = getattr(inspect.getmodule(function.run), "OPERATIONS", None)
    if operations:
        lines.append(f"Operations: {', '.join(map(code, operations))}.")
    return "\n\n".join(lines)


def _parameter(function: Function, name: str, field: Schema, described: Mapping[str, str]) -> list[str]:
    required = function.parameters.model_fields[name].is_required()
    spellings = function.spellings()[name]
    also = f" Also: {', '.join(map(code, spellings[1:]))}." if len(spellings) > 1 else ""
    meaning = field.get("description") or described.get(name, "")
    borrowed = "" if field.get("x-explicit") else "yes"
    sentence = f"{meaning.rstrip('.')}." if meaning else ""
    return [
        code(name),
        type_of(field),
        default_of(field, required=required),
        borrowed,
        (sentence + also).strip(),
    ]


def _routes(paths: Mapping[str, Mapping[str, Any]]) -> Iterator[list[str]]:
    for path in sorted(paths):
        for method, operation in paths[path].items():
            about = operation.get("summary") or operation.get("description", "").partition("\n\n")[0]
            answers = [status for status in operation["responses"] if status != "default"]
            yield [code(f"{method.upper()} {path}"), about, ", ".join(answers)]
