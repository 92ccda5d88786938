"""What a CEL value becomes as JSON, by the specification's mapping (that of protocol buffers)."""

from __future__ import annotations

import base64
import math
from datetime import datetime, timedelta
from typing import Any

MAX_DEPTH = 200
"""Nesting of values given to or taken from CEL. Its library overflows the stack, and so ends the process,
at some 20,000 levels; JSON text that Python reads has at most about 1,000."""

INT_BITS = 63


class NotJson(ValueError):
    """A value has no JSON form; the message says why."""


def plain(value: Any, depth: int = 0) -> Any:
    """Timestamps become RFC 3339 text, durations `"3600s"`, bytes base64 text, keys text; all else stays.

    Raises `NotJson` for numbers that are not finite or beyond 64 bits, and for what nests too deep.
    """
    if value is None or isinstance(value, str | bool):
        return value
    if depth > MAX_DEPTH:
        raise NotJson(f"the value nests more than {MAX_DEPTH} levels deep")
    if isinstance(value, dict):
        return _object(value, depth)
    if isinstance(value, list):
        return [plain(item, depth + 1) for item in value]
    return _scalar(value)


def _object(value: dict[Any, Any], depth: int) -> dict[str, Any]:
    """CEL's maps have no order: sorted keys make equal results equal texts, run for run."""
    made = {_key(key): plain(item, depth + 1) for key, item in value.items()}
    if len(made) < len(value):
        raise NotJson('two keys of an object are the same as text, such as 1 and "1"')
    return dict(sorted(made.items()))


def copied(value: Any, depth: int = 0) -> Any:
    """A copy of plain JSON, keys in their order. Raises `NotJson` for what nests too deep."""
    if not isinstance(value, dict | list):
        return value
    if depth > MAX_DEPTH:
        raise NotJson(f"the value nests more than {MAX_DEPTH} levels deep")
    if isinstance(value, dict):
        return {key: copied(item, depth + 1) for key, item in value.items()}
    return [copied(item, depth + 1) for item in value]


def _key(key: Any) -> str:
    if isinstance(key, str):
        return key
    return ("true" if key else "false") if isinstance(key, bool) else str(key)


def _scalar(value: Any) -> Any:
    match value:
        case int():
            if not -(2**INT_BITS) <= value < 2**INT_BITS:
                raise NotJson(f"the number {value} is beyond 64 bits")
            return value
        case float():
            if not math.isfinite(value):
                raise NotJson(f"the result is not a finite number ({value})")
            return value
        case bytes():
            return base64.b64encode(value).decode("ascii")
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case timedelta():
            return f"{_seconds(value)}s"
    raise NotJson(f"a value of type {type(value).__name__} has no JSON form")


def _seconds(value: timedelta) -> str:
    """Seconds in decimal, exact to the microsecond."""
    microseconds = value // timedelta(microseconds=1)
    whole, part = divmod(abs(microseconds), 1_000_000)
    text = f"{whole}.{part:06d}".rstrip("0").rstrip(".") if part else str(whole)
    return f"-{text}" if microseconds < 0 else text
