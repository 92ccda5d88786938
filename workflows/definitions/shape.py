"""What is wrong with the fields of a definition: Pydantic's findings, said with what would be right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from workflows.definitions.models import (
    Cache,
    CallableName,
    Concurrency,
    Fallback,
    FunctionStep,
    RetryPolicy,
    Written,
)
from workflows.definitions.problems import Path, Problem
from workflows.definitions.reading import Source
from workflows.nearest import nearest

PARTS: dict[str, type[BaseModel]] = {
    "steps": FunctionStep,
    "retry": RetryPolicy,
    "fallback": Fallback,
    "cache": Cache,
    "concurrency": Concurrency,
    "precondition": CallableName,
    "validation": CallableName,
    "result_processor": CallableName,
}

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
    path: Path = tuple(part for part in fault["loc"] if not (isinstance(part, str) and part.startswith("<")))
    kind = str(fault["type"])
    if kind == "too_short" and fault["input"]:
        return  # its items failed, each with a problem of its own
    if kind == "extra_forbidden":
        yield source.problem(path, _unknown(path, model), "unknown_field", of_key=True)
    elif kind in WANTED:
        code, message = WANTED[kind]
        yield source.problem(path, message + _hint(path, kind, fault["input"]), code)
    else:
        yield source.problem(path, _other(kind, fault, path), _code(kind))


def _hint(path: Path, kind: str, given: Any) -> str:
    if kind == "missing":
        return ""
    field = path[-1] if path else ""
    if field in ("precondition", "validation", "result_processor"):
        return ': an expression, such as context.get("ready") == "true", or {callable: name}'
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
            return f'"{_short(fault["input"])}" is no id: 1 to 100 of the letters A-Z a-z, digits, _ and -'
        case "string_too_short" | "too_short":
            what = "steps" if path[-1:] == ("steps",) else "this"
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


def _unknown(path: Path, model: type[BaseModel]) -> str:
    known = _fields_at(path[:-1], model)
    name = str(path[-1])
    if found := nearest(name, known):
        return f'unknown field "{_short(name)}"; did you mean "{found}"?'
    return f'unknown field "{_short(name)}"; known are {", ".join(known)}'


def _fields_at(path: Path, model: type[BaseModel]) -> Mapping[str, Any]:
    names = [part for part in path if isinstance(part, str) and part in PARTS]
    return (PARTS[names[-1]] if names else model).model_fields
