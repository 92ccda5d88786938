"""The smallest value that a JSON Schema allows, its text taken from a prompt; for the offline provider."""

from __future__ import annotations

import math
from typing import Any

DEPTH = 20

_FORMATS = {
    "date": "2000-01-01",
    "date-time": "2000-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "email": "nobody@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-0000-0000-000000000000",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "hostname": "example.com",
}


def sample_value(schema: Any, prompt: str) -> Any:
    """A value for the schema: what it names itself (const, default, examples, enum), else the least one.

    A best effort: conditions and patterns are not solved, so the caller checks the value against the schema.
    """
    return _value(schema, schema if isinstance(schema, dict) else {}, " ".join(prompt.split()), DEPTH)


def _value(schema: Any, root: dict[str, Any], prompt: str, depth: int) -> Any:
    if not isinstance(schema, dict) or depth == 0:
        return {} if depth else None
    schema = _resolved(schema, root)
    for name in ("const", "default"):
        if name in schema:
            return schema[name]
    for name in ("examples", "enum"):
        if isinstance(schema.get(name), list) and schema[name]:
            return schema[name][0]
    for name in ("anyOf", "oneOf"):
        if isinstance(schema.get(name), list) and schema[name]:
            return _value(schema[name][0], root, prompt, depth - 1)
    return _least(schema, root, prompt, depth)


def _least(schema: dict[str, Any], root: dict[str, Any], prompt: str, depth: int) -> Any:
    match _kind(schema):
        case "object":
            properties = schema.get("properties") or {}
            wanted = dict.fromkeys([*schema.get("required", ()), *properties])
            return {name: _value(properties.get(name, {}), root, prompt, depth - 1) for name in wanted}
        case "array":
            items = schema.get("items", {})
            least = min(int(schema.get("minItems", 0)), 1_000)
            return [_value(items, root, prompt, depth - 1) for _ in range(least)]
        case "string":
            return _text(schema, prompt)
        case "integer" | "number" as kind:
            return _number(schema, kind)
        case "boolean":
            return False
        case _:
            return None


def _kind(schema: dict[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        return str(kind[0]) if kind else "null"
    if kind:
        return str(kind)
    return "object" if "properties" in schema or "required" in schema else "string"


def _text(schema: dict[str, Any], prompt: str) -> str:
    text = _FORMATS.get(schema.get("format", ""), prompt[:200] or "offline")
    text = text[: schema.get("maxLength", len(text))]
    return text.ljust(min(int(schema.get("minLength", 0)), 10_000), ".")


def _number(schema: dict[str, Any], kind: str) -> int | float:
    step = schema.get("multipleOf") or (1 if kind == "integer" else 0)
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    value = low if low is not None else (0 if high is None or high >= 0 else high)
    if step:
        value = math.ceil(value / step) * step
    if value == schema.get("exclusiveMinimum"):
        value += step or 1
    if value == schema.get("exclusiveMaximum"):
        value -= step or 1
    return int(value) if kind == "integer" else value


def _resolved(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """The schema with a local `$ref` followed and `allOf` merged, as far as that is simple."""
    for _ in range(DEPTH):
        reference = schema.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#/"):
            break
        target: Any = root
        for part in reference[2:].split("/"):
            target = target.get(part.replace("~1", "/").replace("~0", "~"), {}) if isinstance(target, dict) else {}
        schema = target if isinstance(target, dict) else {}
    for part in schema.get("allOf") or ():
        piece = _resolved(part, root) if isinstance(part, dict) else {}
        properties = {**schema.get("properties", {}), **piece.get("properties", {})}
        required = [*schema.get("required", ()), *piece.get("required", ())]
        schema = {**piece, **schema, "properties": properties, "required": required}
    return {key: value for key, value in schema.items() if key != "allOf" and value not in ({}, [])}
