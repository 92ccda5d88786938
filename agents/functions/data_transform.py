"""`data_transform`: small changes of a list, one operation at a time."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from pydantic import Field, field_validator

from agents.errors import InvalidParameters
from agents.functions.base import EXPLICIT, Call, Parameters, Result
from agents.functions.registry import function
from agents.wording import hint, shown

MAX_ITEMS = 100_000
FLATTEN_DEPTH = 100


class DataTransform(Parameters):
    """A list (a single value counts as a list of one; text may be a JSON list) and what to do with it."""

    data: list[Any] = Field(
        max_length=MAX_ITEMS, description=f"The list; at most {MAX_ITEMS:,} items, 100 levels deep where they nest."
    )
    operation: str = Field(
        "identity",
        json_schema_extra=EXPLICIT,
        description="What to do with the items: identity, uppercase, lowercase, trim, reverse, sort, unique, flatten, "
        "filter_empty, pluck, count, sum, average, min or max.",
    )
    key: str | None = Field(
        None,
        json_schema_extra=EXPLICIT,
        description="For items that are objects: the key to look at in sort, unique, pluck, sum, average, min and max.",
    )
    descending: bool = Field(False, json_schema_extra=EXPLICIT, description="For sort: the largest first.")

    @field_validator("data", mode="before")
    @classmethod
    def _as_list(cls, value: Any) -> Any:
        if isinstance(value, str) and value.lstrip().startswith("["):
            try:
                return json.loads(value)
            except (ValueError, RecursionError):
                return [value]
        return value if isinstance(value, list) else list(value) if isinstance(value, tuple) else [value]


@function("data_transform", description="Sorts, flattens, filters, changes or sums the items of a list")
async def data_transform(call: Call, parameters: DataTransform) -> Result:
    """Returns `{transformed_data, original_count, processed_count, operation_applied}`.

    `key` names the field of object items that sort, unique, pluck, sum, average, min and max look at. Raises
    `InvalidParameters` for an unknown operation and for items that it can't be applied to.
    """
    name = _operation_name(parameters.operation)
    try:
        transformed = OPERATIONS[name](parameters)
    except (TypeError, RecursionError) as error:
        told = f"{name} does not fit these items: {error}"
        raise InvalidParameters.at("data_transform", "data", told) from None
    return {
        "transformed_data": transformed,
        "original_count": len(parameters.data),
        "processed_count": len(transformed) if isinstance(transformed, list) else 1,
        "operation_applied": name,
    }


def _operation_name(asked: str) -> str:
    name = asked.strip().lower().replace("-", "_").replace(" ", "_")
    name = ALIASES.get(name, name)
    if name in OPERATIONS:
        return name
    told = f"there is no operation {asked!r}; {hint(name, [*OPERATIONS, *ALIASES], shown=OPERATIONS)}"
    raise InvalidParameters.at("data_transform", "operation", told)


def _on_text(change: Callable[[str], str]) -> Callable[[DataTransform], list[Any]]:
    """Change each text, texts inside lists and objects too; other values stay."""

    def changed(item: Any, depth: int = 0) -> Any:
        if depth > FLATTEN_DEPTH:
            raise TypeError(f"an item is nested deeper than {FLATTEN_DEPTH} levels")
        if isinstance(item, str):
            return change(item)
        if isinstance(item, list):
            return [changed(inner, depth + 1) for inner in item]
        return {k: changed(v, depth + 1) for k, v in item.items()} if isinstance(item, dict) else item

    return lambda parameters: [changed(item) for item in parameters.data]


def _looked_at(item: Any, key: str | None) -> Any:
    return item.get(key) if key is not None and isinstance(item, dict) else item


def _sorted(parameters: DataTransform) -> list[Any]:
    """Numbers before texts before the rest; missing values last either way; equal ones keep their order."""
    places = [(_order(_looked_at(item, parameters.key)), item) for item in parameters.data]
    known = [pair for pair in places if pair[0][0] < 3]
    missing = [item for order, item in places if order[0] == 3]
    known.sort(key=lambda pair: pair[0], reverse=parameters.descending)
    return [item for _, item in known] + missing


def _order(value: Any) -> tuple[int, Any]:
    if value is None:
        return (3, 0)
    if isinstance(value, int | float):
        return (0, value)
    return (1, value) if isinstance(value, str) else (2, json.dumps(value, sort_keys=True))


def _unique(parameters: DataTransform) -> list[Any]:
    """The first of each; 1, 1.0 and true are different."""
    seen: dict[str, Any] = {}
    for item in parameters.data:
        seen.setdefault(json.dumps(_looked_at(item, parameters.key), sort_keys=True), item)
    return list(seen.values())


def _flat(parameters: DataTransform) -> list[Any]:
    found: list[Any] = []
    waiting = [(item, 0) for item in reversed(parameters.data)]
    while waiting:
        item, depth = waiting.pop()
        if not isinstance(item, list):
            found.append(item)
        elif depth >= FLATTEN_DEPTH:
            raise TypeError(f"lists are nested deeper than {FLATTEN_DEPTH} levels")
        else:
            waiting += [(inner, depth + 1) for inner in reversed(item)]
    return found


def _is_empty(item: Any) -> bool:
    return item is None or (isinstance(item, str) and not item.strip()) or item in ([], {})


def _numbers(parameters: DataTransform) -> list[float]:
    return [_number(_looked_at(item, parameters.key), n) for n, item in enumerate(parameters.data)]


def _number(value: Any, index: int) -> float:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise TypeError(f"item {index} is the text {shown(value)}, no number") from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"item {index} is {shown(value)}, no number")
    if isinstance(value, float) and not math.isfinite(value):
        raise TypeError(f"item {index} is {value}, no finite number")
    return value


def _sum(parameters: DataTransform) -> float:
    numbers = _numbers(parameters)
    try:
        return sum(numbers) if all(isinstance(n, int) for n in numbers) else math.fsum(numbers)
    except OverflowError:
        raise TypeError("the sum is too large a number") from None


def _average(parameters: DataTransform) -> float | None:
    if not parameters.data:
        return None
    try:
        return float(_sum(parameters) / len(parameters.data))
    except OverflowError:
        raise TypeError("the average is too large a number") from None


OPERATIONS: dict[str, Callable[[DataTransform], Any]] = {
    "identity": lambda p: list(p.data),
    "uppercase": _on_text(str.upper),
    "lowercase": _on_text(str.lower),
    "trim": _on_text(str.strip),
    "reverse": lambda p: p.data[::-1],
    "sort": _sorted,
    "unique": _unique,
    "flatten": _flat,
    "filter_empty": lambda p: [item for item in p.data if not _is_empty(item)],
    "pluck": lambda p: [_looked_at(item, p.key) for item in p.data],
    "count": lambda p: len(p.data),
    "sum": _sum,
    "average": _average,
    "min": lambda p: min(_numbers(p), default=None),
    "max": lambda p: max(_numbers(p), default=None),
}
ALIASES = {
    "none": "identity",
    "upper": "uppercase",
    "lower": "lowercase",
    "strip": "trim",
    "distinct": "unique",
    "deduplicate": "unique",
    "length": "count",
    "mean": "average",
    "avg": "average",
    "total": "sum",
    "minimum": "min",
    "maximum": "max",
}
