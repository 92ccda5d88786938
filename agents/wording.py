"""Mistakes in the words of people who write YAML and JSON: text, number, list, object, null; and near misses."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

Path = tuple[str | int, ...]

MAX_SHOWN = 60

# Pydantic's error types (https://docs.pydantic.dev/latest/errors/validation_errors/) → what would have fitted.
_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "dict_type": "an object",
    "mapping_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "none_required": "null",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "multiple_of": "a multiple of {multiple_of}",
    "int_parsing_size": "a smaller whole number",
}


def mistakes(error: ValidationError, value: object) -> list[tuple[Path, str]]:
    """What is wrong with `value`, which a model refused: where, and "is required" or "must be …, not …".

    One mistake is told once, also where pydantic tells it of every member of a union, with the members' names
    in its path.
    """
    found: dict[Path, list[Any]] = {}
    for e in error.errors(include_url=False):
        found.setdefault(_place(e, value), []).append(e)
    deepest = [path for path in found if not any(other[: len(path)] == path for other in found if other != path)]
    return [(path, _message(found[path])) for path in deepest]


def shown(value: object) -> str:
    """A value as JSON, text in single quotes; cut where it is long."""
    try:
        text = repr(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = repr(value)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"


def dotted(path: Path) -> str:
    """`agents[0].name`"""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def hint(name: str, known: Iterable[str], *, shown: Iterable[str] | None = None) -> str:
    """`did you mean 'x'?`, or, where no known name comes near, `known: x, y` (of `shown`, if given)."""
    names = list(known)
    nearest = get_close_matches(name, names, n=1)
    return f"did you mean {nearest[0]!r}?" if nearest else f"known: {', '.join(names if shown is None else shown)}"


def _place(error: Any, value: object) -> Path:
    path: Path = tuple(error["loc"])
    if error["type"] == "missing":
        return (*_followed(path[:-1], value, error["input"]), *path[-1:])
    return _followed(path, value, error["input"])


def _followed(path: Path, value: object, target: object) -> Path:
    """The path without what leads nowhere in `value`: the members of a union stand in it like keys."""
    found = _way(path, value, target)
    return path if found is None else found


def _way(path: Path, value: object, target: object) -> Path | None:
    # By the value that was refused, as a union's member may have the name of a key.
    if not path:
        return () if value is target else None
    part, rest = path[0], path[1:]
    try:
        inside = value[part]  # type: ignore[index]
    except (TypeError, LookupError):
        pass
    else:
        further = _way(rest, inside, target) if isinstance(value, Mapping | list | tuple) else None
        if further is not None:
            return (part, *further)
    return _way(rest, value, target)


def _message(errors: list[Any]) -> str:
    """The message for all that was found at one place: several are the members of a union."""
    first = errors[0]
    wanted = list(dict.fromkeys(_wanted(e) for e in errors if e["type"] in _WANTED))
    if "a number" in wanted and "a whole number" in wanted:
        wanted.remove("a whole number")
    if wanted:
        return f"must be {' or '.join(wanted)}, not {shown(first['input'])}"
    return _other(first)


def _wanted(error: Any) -> str:
    limits = {name: _number(limit) for name, limit in error.get("ctx", {}).items()}
    return _WANTED[error["type"]].format(**limits)


def _number(limit: Any) -> str:
    whole = isinstance(limit, int) or (isinstance(limit, float) and limit.is_integer())
    return f"{int(limit):,}" if whole else str(limit)


def _other(error: Any) -> str:
    context = error.get("ctx", {})
    match error["type"]:
        case "missing":
            return "is required"
        case "extra_forbidden":
            return "is not known here"
        case "string_too_short" | "too_short" if context["min_length"] == 1:
            return "must not be empty"
        case "string_too_short":
            return f"must have at least {context['min_length']:,} characters; it has {len(error['input']):,}"
        case "string_too_long":
            return f"must have at most {context['max_length']:,} characters; it has {len(error['input']):,}"
        case "too_short":
            return f"must have at least {context['min_length']:,} items; it has {len(error['input']):,}"
        case "too_long":
            return f"must have at most {context['max_length']:,} items; it has {len(error['input']):,}"
    message = str(context["error"] if error["type"] == "value_error" else error["msg"])
    told = f"{message[:1].lower()}{message[1:]}"
    # The whole of a list or an object may hold what is nobody's business, such as headers.
    return told if isinstance(error["input"], Mapping | list) else f"{told}; it is {shown(error['input'])}"
