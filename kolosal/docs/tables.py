"""Markdown tables, and JSON Schema said in words."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Schema = Mapping[str, Any]

BOUNDS = (
    ("exclusiveMinimum", ">"), ("gt", ">"), ("minimum", "≥"), ("ge", "≥"),
    ("exclusiveMaximum", "<"), ("lt", "<"), ("maximum", "≤"), ("le", "≤"),
)  # fmt: skip
TEMPLATE = r"\$\{"
NAMES = {"string": "text", "boolean": "true or false", "integer": "whole number"}


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; a cell's line breaks become spaces, its bars are escaped."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def code(text: str) -> str:
    return f"`{text}`"


def type_of(schema: Schema) -> str:
    """What a value must be, in words; a reference becomes a link to the heading of that name."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "enum" in schema or "const" in schema:
        return ", ".join(code(str(value)) for value in schema.get("enum", [schema.get("const")]))
    if any(choice.get("$ref", "").endswith("/FunctionStep") for choice in schema.get("oneOf", ())):
        return "[steps](#step)"
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(dict.fromkeys(type_of(choice) for choice in choices if choice.get("type") != "null"))
    if schema.get("type") == "array":
        return f"list of {type_of(schema['items'])}" if schema.get("items") else "list"
    if values := _values(schema):
        return f"object, each value a {type_of(values)}"
    if schema.get("pattern") == TEMPLATE:
        return "text with `${…}`"
    if schema.get("type") == "string" and "pattern" in schema:
        return f"text: {code(schema['pattern'].strip('^$'))}"
    name = str(schema.get("type", "any value"))
    return " ".join([NAMES.get(name, name), *_bounds(schema)])


def default_of(schema: Schema, *, required: bool) -> str:
    """A field's default as JSON, ``required``, or nothing where absence is the default."""
    if required:
        return "required"
    value = schema.get("default")
    return "" if value is None else code(json.dumps(value, ensure_ascii=False))


def _values(schema: Schema) -> Schema | None:
    """The schema of an object's values, where all have one and it says anything."""
    by_name = list(schema.get("patternProperties", {}).values())
    values = by_name[0] if len(by_name) == 1 else schema.get("additionalProperties")
    return values if isinstance(values, Mapping) and "items" in values else None


def _bounds(schema: Schema) -> list[str]:
    found = [f"{sign} {schema[key]:,}" for key, sign in BOUNDS if key in schema]
    return [", ".join(found)] if found else []


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
