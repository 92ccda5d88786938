"""The functions that expressions have beyond CEL's own. They see plain JSON and reach nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from workflows.expressions.library import cel
from workflows.expressions.results import plain

MAX_TEXT = 4 * 1024 * 1024
"""Longest text that a function makes, in characters: chained `replace` or `json` would grow without bound."""

MAX_PARTS = 100_000


def _text(function: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{function} takes text, not {kind(value)}")
    return value


def _bounded(function: str, length: int) -> None:
    if length > MAX_TEXT:
        raise ValueError(f"{function} would make a text of more than {MAX_TEXT:,} characters")


def kind(value: Any) -> str:
    """What people call a value's type: `text`, `a number`, `null` …"""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    names = {str: "text", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(value), f"a {type(value).__name__}")


def segments(path: str) -> list[str]:
    """The keys of a `get` path: `"review.result.score"` has three."""
    return path.split(".")


def get(value: Any, path: Any, fallback: Any = None) -> Any:
    """What stands at `path` under `value` (numbers index lists); `fallback` where any part is missing."""
    if isinstance(path, bool) or not isinstance(path, str | int):
        raise TypeError(f'get takes a path in text, as in get("a.b"), not {kind(path)}')
    for part in segments(str(path)):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdecimal() and len(part) < 10 and int(part) < len(value):
            value = value[int(part)]
        else:
            return fallback
    return value


def lower(text: Any) -> str:
    return _text("lower", text).lower()


def upper(text: Any) -> str:
    made = _text("upper", text).upper()
    _bounded("upper", len(made))
    return made


def trim(text: Any) -> str:
    return _text("trim", text).strip()


def split(text: Any, separator: Any) -> list[str]:
    text, separator = _text("split", text), _text("split", separator)
    if (text.count(separator) if separator else len(text)) >= MAX_PARTS:
        raise ValueError(f"split would make a list of more than {MAX_PARTS:,} parts")
    return text.split(separator) if separator else list(text)


def join(parts: Any, separator: Any = "") -> str:
    """The parts in one text; parts that are no text are rendered as in `${}`."""
    if not isinstance(parts, Sequence) or isinstance(parts, str):
        raise TypeError(f"join takes a list, not {kind(parts)}")
    between = _text("join", separator)
    texts = [as_text(plain(part)) for part in parts]
    _bounded("join", sum(map(len, texts)) + len(between) * len(texts))
    return between.join(texts)


def replace(text: Any, old: Any, new: Any) -> str:
    whole, before, after = _text("replace", text), _text("replace", old), _text("replace", new)
    _bounded("replace", len(whole) + whole.count(before) * (len(after) - len(before)))
    return whole.replace(before, after)


def length(text: Any) -> int:
    """Characters of a text (CEL's `size` counts its UTF-8 bytes)."""
    if isinstance(text, list | dict):
        raise TypeError("length counts the characters of a text; for lists and objects use size")
    return len(_text("length", text))


def truncate(text: Any, limit: Any) -> str:
    """The first `limit` characters."""
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        raise TypeError("truncate takes text and a whole number of characters, as in truncate(text, 100)")
    return _text("truncate", text)[:limit]


def to_json(value: Any) -> str:
    """The value as compact JSON text."""
    made = as_json(plain(value))
    _bounded("json", len(made))
    return made


def now() -> datetime:
    return datetime.now(UTC)


def as_json(value: Any) -> str:
    """Compact JSON, letters of all scripts left readable."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def as_text(value: Any) -> str:
    """How a value looks inside a text: text as it is, null as nothing, all else as compact JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else as_json(value)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "bool": cel.stdlib.bool_,
    "get": get,
    "join": join,
    "json": to_json,
    "length": length,
    "lower": lower,
    "now": now,
    "replace": replace,
    "split": split,
    "trim": trim,
    "truncate": truncate,
    "upper": upper,
}

NATIVE = frozenset(
    [
        "size",
        "contains",
        "startsWith",
        "endsWith",
        "matches",
        "int",
        "uint",
        "double",
        "string",
        "bytes",
        "timestamp",
        "duration",
        "type",
        "dyn",
        "getFullYear",
        "getMonth",
        "getDate",
        "getDayOfMonth",
        "getDayOfWeek",
        "getDayOfYear",
        "getHours",
        "getMinutes",
        "getSeconds",
        "getMilliseconds",
    ]
)
"""CEL's own functions that are let through; everything else is refused when the expression is compiled."""
