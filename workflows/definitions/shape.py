"""What is wrong with the fields of a definition: Pydantic's findings, said with what would be right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from workflows.definitions.models import (
    BLOCKS,
    AwaitedEvent,
    Cache,
    CallableName,
    Concurrency,
    Fallback,
    FunctionStep,
    Question,
    RetryPolicy,
    WaitTime,
    Written,
    step_model,
)
from workflows.definitions.problems import Path, Problem
from workflows.definitions.reading import Source
from workflows.nearest import nearest

PARTS: dict[str, type[BaseModel]] = {
    "retry": RetryPolicy,
    "fallback": Fallback,
    "cache": Cache,
    "concurrency": Concurrency,
    "precondition": CallableName,
    "validation": CallableName,
    "result_processor": CallableName,
    "wait": WaitTime,
    "approval": Question,
    "wait_for": AwaitedEvent,
}
"""Keys of objects that are models of their own; where a number comes, a step begins."""

EXAMPLES = {
    **dict.fromkeys(
        ("precondition", "validation", "result_processor"),
        ': an expression, such as context.get("ready") == "true", or {callable: name}',
    ),
    **dict.fromkeys(("if", "while"), ': an expression, such as context.get("ready") == "true"'),
    "switch": ": an expression, such as steps.sort.result.kind",
    "for_each": ": an expression that gives a list, such as input.chapters",
    "cases": " of values, each with its list of steps",
    "parallel": " of branches: names, each with its list of steps",
    "wait": ": {seconds: 30} or {until: …}",
    "approval": ": {prompt: …}",
    "wait_for": ": {event: …}",
    "seconds": ", or an expression in ${ }",
}
"""What would be right, where the field's own type does not say it."""

WORDS = {
    "elif": ("", 'for a further condition put another step with "if" into "else"'),
    "loop": ("while", "a loop has for_each, or while"),
    "repeat": ("while", "a loop has for_each, or while"),
    "sleep": ("wait", "write wait: {seconds: 30}"),
    "wait_until": ("wait", "write wait: {until: …}"),
}
"""Words of other languages: the block that is meant, and what is written here."""

WANTED = {
    "string_type": ("wrong_type", "this must be text"),
    "int_type": ("wrong_type", "this must be a whole number"),
    "int_from_float": ("wrong_type", "this must be a whole number"),
    "float_type": ("wrong_type", "this must be a number"),
    "bool_type": ("wrong_type", "this must be true or false"),
    "dict_type": ("wrong_type", "this must be an object (keys and values)"),
    "model_type": ("wrong_type", "this must be an object (keys and values)"),
    "model_attributes_type": ("wrong_type", "this must be an object (keys and values)"),
    "list_type": ("wrong_type", "this must be a list"),
    "tuple_type": ("wrong_type", "this must be a list"),
    "missing": ("missing_field", "this field is required"),
    "finite_number": ("not_finite", "this must be a finite number"),
}


Part = TypeVar("Part", bound=Written)


def read_shape(source: Source, model: type[Part]) -> tuple[Part | None, list[Problem]]:
    """What was read as this model, or what is wrong with its fields."""
    try:
        return model.model_validate(source.value), []
    except ValidationError as error:
        found = error.errors(include_url=False)
        return None, [problem for fault in found for problem in _problems(source, fault, model)]


def _problems(source: Source, fault: Any, model: type[BaseModel]) -> Iterator[Problem]:
    path, of_key = _place(source.value, fault["loc"])
    kind = str(fault["type"])
    if _told_elsewhere(fault, of_key) or _follows_from_another(source.value, path, kind):
        return
    if kind == "extra_forbidden":
        yield source.problem(path, _unknown(source.value, path, model), "unknown_field", of_key=True)
    elif kind in WANTED:
        code, message = WANTED[kind]
        yield source.problem(path, message + _hint(path, kind, fault["input"]), code)
    else:
        code = "wrong_type" if kind == "string_pattern_mismatch" and path[-1] == "seconds" else _code(kind)
        yield source.problem(path, _other(kind, fault, path), code, of_key=of_key)


def _place(value: Any, loc: Iterable[str | int]) -> tuple[Path, bool]:
    """Where a fault is, without the names of alternatives that Pydantic adds, and whether the key itself is meant."""
    path: list[str | int] = []
    of_key = False
    for part in loc:
        known = isinstance(value, dict) and part in value
        if isinstance(part, str) and not known and (part.startswith("<") or part == "[key]"):
            of_key = part == "[key]"
            continue
        path.append(part)
        value = value[part] if known or (isinstance(value, list) and isinstance(part, int)) else None
    return tuple(path), of_key


def _told_elsewhere(fault: Any, of_key: bool) -> bool:
    """Items that failed, each with a problem of its own; steps, which are counted over the whole; keys without text."""
    kind, steps = fault["type"], fault.get("ctx", {}).get("field_type") == "Tuple"
    if kind == "missing" and fault["loc"][-1] == "function_name" and "agent_id" not in fault["input"]:
        return True
    return (
        (kind == "too_short" and bool(fault["input"]))
        or (kind == "too_long" and steps)
        or (of_key and kind == "string_type")
    )


def _follows_from_another(value: Any, path: Path, kind: str) -> bool:
    """What is wrong only since the step's block is misspelt, or missing; that is told at another key."""
    if kind not in ("missing", "extra_forbidden") or len(path) < 2 or not isinstance(path[-2], int):
        return False
    step = _at(value, path[:-1])
    if not isinstance(step, dict) or step_model(step) is not FunctionStep:
        return False
    meant = next((block for key in step if (block := _meant(key))), "")
    if kind == "missing":
        return path[-1] == "agent_id" and bool(meant or any(_holders(key) for key in step))
    return meant in _holders(path[-1])


def _meant(key: str) -> str:
    """The block for which the key of a step was written that is none."""
    if key in WORDS:
        return WORDS[key][0]
    found = None if key in _names(FunctionStep) else nearest(key, [*_names(FunctionStep), *BLOCKS])
    return found if found in BLOCKS and not _holders(key) else ""


def _holders(key: Any) -> list[str]:
    """The blocks that have a field of this name, beside the key that makes them blocks."""
    if key in BLOCKS or key in _names(FunctionStep):
        return []
    return [block for block, model in BLOCKS.items() if key in _names(model)]


def _at(value: Any, path: Path) -> Any:
    for part in path:
        value = value[part]
    return value


def _hint(path: Path, kind: str, given: Any) -> str:
    field = path[-1] if path else ""
    if kind == "missing":
        blocks = ", ".join(BLOCKS)
        return f": a step has agent_id and function_name, or one of {blocks}" if field == "agent_id" else ""
    if kind != "tuple_type" and (example := EXAMPLES.get(str(field))):
        return example
    if given is None:
        return ", and it is empty: write a value, or leave the field out"
    if isinstance(given, str) and kind in ("int_type", "float_type", "bool_type"):
        return f", not text: write {given.strip()} without quotes" if _unquotable(kind, given) else ", not text"
    if kind == "string_type":
        return f': write it in quotes, as in "{given}"' if isinstance(given, int | float) else ""
    return f", not {_kind(given)}"


def _unquotable(kind: str, given: str) -> bool:
    return given.strip() in ("true", "false") if kind == "bool_type" else given.strip().isdecimal()


def _kind(value: Any) -> str:
    names = {
        str: "text",
        bool: "true or false",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "an object",
    }
    return names.get(type(value), type(value).__name__)


def _other(kind: str, fault: Any, path: Path) -> str:
    bounds = fault.get("ctx", {})
    match kind:
        case "greater_than":
            return f"this must be more than {bounds['gt']:g}"
        case "greater_than_equal":
            return f"this must be at least {bounds['ge']:g}"
        case "less_than_equal":
            return f"this must be at most {bounds['le']:,}"
        case "string_pattern_mismatch":
            return f'"{_short(fault["input"])}" is no {_pattern(path, fault["input"])}'
        case "string_too_short" | "too_short":
            what = "steps" if bounds.get("field_type") == "Tuple" else "this"
            return f"{what} must not be empty"
        case "string_too_long":
            return f"this text is too long: at most {bounds['max_length']:,} characters"
        case "too_long":
            return f"there are too many: at most {bounds['max_length']:,}"
        case "literal_error":
            return f"this must be {bounds['expected']}"
    return str(fault["msg"])


def _code(kind: str) -> str:
    codes = {
        "string_pattern_mismatch": "invalid_id",
        "literal_error": "unknown_choice",
        "string_too_short": "empty",
        "too_short": "empty",
        "string_too_long": "too_long",
        "greater_than": "out_of_range",
        "greater_than_equal": "out_of_range",
        "less_than_equal": "out_of_range",
    }
    return codes.get(kind, kind)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:59] + "…"


def _pattern(path: Path, given: str) -> str:
    if path[-1] == "seconds":
        written = f": write {given.strip()} without quotes" if _unquotable("float_type", given) else ""
        return f"number, nor an expression in ${{ }}{written}"
    if path[-1] == "as":
        return "name for an item: letters, digits and _, a letter or _ first"
    return "id: 1 to 100 of the letters A-Z a-z, digits, _ and -"


def _unknown(value: Any, path: Path, model: type[BaseModel]) -> str:
    known = _fields_at(value, path[:-1], model)
    name = str(path[-1])
    if name in WORDS and "step_id" in known:
        return f'unknown field "{name}"; {WORDS[name][1]}'
    if "step_id" in known and "agent_id" in known and (holders := _holders(name)):
        return f'"{name}" belongs to a step with {" or ".join(holders)}'
    if found := nearest(name, known):
        return f'unknown field "{_short(name)}"; did you mean "{found}"?'
    return f'unknown field "{_short(name)}"; known are {", ".join(known)}'


def _fields_at(value: Any, path: Path, model: type[BaseModel]) -> list[str]:
    """The fields of the model at this place."""
    for part in path:
        value = value[part]
        model = step_model(value) if isinstance(part, int) else PARTS.get(part, model)
    undecided = model is FunctionStep and not {"agent_id", "function_name"} & value.keys()
    return [*_names(model), *BLOCKS] if undecided else _names(model)


def _names(model: type[BaseModel]) -> list[str]:
    """Its fields by the names that definitions use."""
    return [field.alias or name for name, field in model.model_fields.items()]
