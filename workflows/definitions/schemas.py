"""JSON Schema in definitions: what is wrong with one, and where a value does not match it.

Three things differ from the `jsonschema` library's defaults: nothing is ever fetched (`$ref` stays inside
the document), patterns run on CEL's regular expressions, which take linear time, and some `format`s are checked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import islice
from typing import Any

from workflows.definitions.defaults import EndlessDefaults, filled
from workflows.definitions.formats import format_fault
from workflows.definitions.plainness import excess
from workflows.definitions.problems import Path
from workflows.expressions.library import cel

MAX_FAULTS = 20


def schema_faults(schema: Mapping[str, Any]) -> list[tuple[Path, str]]:
    """Path inside the schema and message, for all that keeps it from being used."""
    checker = _validator().META_SCHEMA
    found = [(tuple(e.absolute_path), _short(e.message)) for e in _validator()(checker).iter_errors(schema)]
    return [*found[:MAX_FAULTS], *_unsafe(schema, ())]


def mismatches(value: Any, schema: Mapping[str, Any]) -> list[tuple[Path, str]]:
    """Path inside the value and message, for all in which it does not match; the schema has passed
    `schema_faults`."""
    found = islice(_validator()(schema).iter_errors(value), MAX_FAULTS)
    try:
        return [(tuple(e.absolute_path), _short(e.message)) for e in found]
    except RecursionError:
        return [((), "the schema refers to itself without end")]


def default_faults(schema: Mapping[str, Any]) -> list[tuple[Path, str]]:
    """Path inside the schema and message, for the properties whose `default` the schema itself refuses."""
    faults = ((path, _default_fault(below, schema)) for path, below in _with_default(schema, ()))
    return [(path, fault) for path, fault in faults if fault][:MAX_FAULTS]


def _default_fault(below: dict[str, Any], schema: Mapping[str, Any]) -> str:
    try:
        whole = filled(below["default"], below, schema)
        error = next(_validator()(schema).evolve(schema=below).iter_errors(whole), None)
    except EndlessDefaults as endless:
        return str(endless)
    except RecursionError:
        return "the schema refers to itself without end"
    return f"the default does not match its own schema: {_short(error.message)}" if error else ""


def _with_default(schema: Any, path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The properties that have a default, at any depth."""
    if isinstance(schema, dict) and isinstance(properties := schema.get("properties"), dict):
        for name, below in properties.items():
            if isinstance(below, dict) and "default" in below:
                yield (*path, "properties", name, "default"), below
    parts = schema.items() if isinstance(schema, dict) else enumerate(schema) if isinstance(schema, list) else ()
    for key, item in parts:
        yield from _with_default(item, (*path, key))


@cache
def _validator() -> Any:
    """Imported at first need: most definitions have no schema, and the library is slow to load."""
    from jsonschema import Draft202012Validator, validators
    from jsonschema.exceptions import ValidationError

    def pattern(validator: Any, wanted: str, value: Any, schema: Any) -> Iterator[Any]:
        if validator.is_type(value, "string") and not _matches(value, wanted):
            yield ValidationError(f"{value!r} does not match {wanted!r}")

    def pattern_properties(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[Any]:
        for expected, below in wanted.items():
            for key in value if validator.is_type(value, "object") else ():
                if _matches(key, expected):
                    yield from validator.descend(value[key], below, path=key, schema_path=expected)

    def text_format(validator: Any, wanted: str, value: Any, schema: Any) -> Iterator[Any]:
        if validator.is_type(value, "string") and (fault := format_fault(value, wanted)):
            yield ValidationError(fault)

    return validators.extend(  # type: ignore[no-untyped-call]
        Draft202012Validator,
        {"pattern": pattern, "patternProperties": pattern_properties, "format": text_format},
    )


def _matches(text: str, pattern: str) -> bool:
    return bool(cel.compile("text.matches(pattern)").execute({"text": text, "pattern": pattern}))


def _unsafe(schema: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """References that leave the document, and patterns that the linear engine can't read."""
    if excess(schema):
        yield path, "the schema nests too deep"
    elif isinstance(schema, dict):
        for key, item in schema.items():
            if key in ("$ref", "$dynamicRef") and isinstance(item, str) and not item.startswith("#"):
                yield (
                    (*path, key),
                    f'a reference stays in this document, as in "#/$defs/name", and this is "{item}"',
                )
            if key == "pattern" and isinstance(item, str) and (fault := _pattern_fault(item)):
                yield (*path, key), fault
            yield from _unsafe(item, (*path, key))
    elif isinstance(schema, list):
        for index, item in enumerate(schema):
            yield from _unsafe(item, (*path, index))


def _pattern_fault(pattern: str) -> str:
    try:
        _matches("", pattern)
    except ValueError:
        return "the pattern is no text"
    except RuntimeError:
        return f"the pattern {pattern!r} can't be read: look-around and back-references are not available"
    return ""


def _short(message: str) -> str:
    return message if len(message) <= 300 else message[:299] + "…"
