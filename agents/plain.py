"""Plain JSON: what results, contexts and events are made of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

DEPTH = 100


def plain_object(value: object) -> dict[str, Any]:
    """A copy of a JSON object, of plain values only; raises `ValueError` naming the place of one that is not.

    Tuples become lists. NUL and lone surrogates, which PostgreSQL and UTF-8 can't hold, become U+FFFD.
    """
    if not isinstance(value, Mapping):
        raise ValueError(f"it should be an object (a dict), not {_kind(value)}")
    return {_key(key, "result"): _plain(item, f"result.{key}", 1) for key, item in value.items()}


def _plain(value: object, path: str, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{path} is {value}, which JSON can't hold")
        return float(value)
    return _container(value, path, depth)


def _container(value: object, path: str, depth: int) -> Any:
    if depth > DEPTH:
        raise ValueError(f"it is nested deeper than {DEPTH} levels, at {path[:80]}…")
    if isinstance(value, Mapping):
        return {_key(key, path): _plain(item, f"{path}.{key}", depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)]
    raise ValueError(f"{path} is {_kind(value)}")


def _key(key: object, path: str) -> str:
    if not isinstance(key, str):
        raise ValueError(f"{path} has the key {key!r}, which is no text")
    return clean_text(key)


def clean_text(text: str) -> str:
    """The text without NUL and lone surrogates."""
    if "\x00" in text:
        text = text.replace("\x00", "\ufffd")
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _kind(value: object) -> str:
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
