"""What is no plain JSON in a value. Whatever came in must be stored and come back the same."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from workflows.definitions.problems import Path

MAX_DEPTH = 100
"""Levels of values in values. A block in a block takes up to three, and they may stand 20 deep."""

MAX_VALUES = 100_000
"""Values in one definition, aliases written out. The place of each may be wanted."""

SURROGATE = re.compile("[\ud800-\udfff]")

Unfit = tuple[Path, str, str]
"""Path, message, code."""


def excess(value: Any) -> tuple[str, str] | None:
    """Message and code where the value nests too deep or holds too much; to be asked first."""
    level, count = [value], 0
    for _ in range(MAX_DEPTH + 1):
        count += len(level)
        if count > MAX_VALUES:
            return f"there are more than {MAX_VALUES:,} values in this definition", "too_many_values"
        level = [
            item
            for holder in level
            if isinstance(holder, dict | list)
            for item in (holder.values() if isinstance(holder, dict) else holder)
        ]
        if not level:
            return None
    return f"this nests more than {MAX_DEPTH} levels deep", "too_deep"


def unfit(value: Any, path: Path = ()) -> Iterator[Unfit]:
    """All parts that are not fit to be stored as JSON."""
    if isinstance(value, dict):
        yield from _unfit_object(value, path)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if not (item is None or item is True or item is False):
                yield from unfit(item, (*path, index))
    elif fault := _unfit_scalar(value):
        yield path, *fault


def _unfit_object(value: dict[Any, Any], path: Path) -> Iterator[Unfit]:
    for key, item in value.items():
        if not isinstance(key, str):
            hint = f'; write "{key}"' if type(key) in (int, float) else ""
            yield path, f"a key is text, not {key!r} ({type(key).__name__}){hint}", "not_json"
        elif fault := _unfit_text(key):
            yield path, f"a key here is unfit: {fault[0]}", fault[1]
        else:
            yield from unfit(item, (*path, key))


def _unfit_scalar(value: Any) -> tuple[str, str] | None:
    if isinstance(value, str):
        return _unfit_text(value)
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, int):
        fits = -(2**63) <= value < 2**63
        return None if fits else ("the number is beyond 64 bits; write it as text", "number_too_large")
    if isinstance(value, float):
        finite = math.isfinite(value)
        return None if finite else ("NaN and Infinity are no numbers in JSON; write null or text", "not_finite")
    return f"a {type(value).__name__} is no plain JSON: {_right(value)}", "not_json"


def _right(value: Any) -> str:
    if callable(value):
        return "only precondition, validation and result_processor may be functions; write an expression"
    if isinstance(value, datetime):
        return f'write it as text, "{value.isoformat()}"'
    return "use text, numbers, true, false, null, lists, objects"


def _unfit_text(text: str) -> tuple[str, str] | None:
    if "\x00" in text:
        return "the text has a NUL character, which can't be stored", "nul_character"
    if not text.isascii() and SURROGATE.search(text):
        return "the text has half of a surrogate pair, which is no character", "lone_surrogate"
    return None
