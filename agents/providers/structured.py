"""Structured output: reading an object out of a model's answer, and checking it against its schema."""

from __future__ import annotations

import json
import re
from typing import Any

from agents.errors import InvalidParameters, MalformedAnswer

_FENCE = re.compile(r"```(?:json)?[ \t]*\n(.*?)```", re.DOTALL)
_THOUGHTS = re.compile(r"<think>.*?</think>", re.DOTALL)


def instruction(schema: dict[str, Any]) -> str:
    """What tells a model the wished form, for servers that know no `response_format`."""
    form = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    return f"Answer with one JSON value and nothing else. It must match this JSON Schema:\n{form}"


def read_object(text: str, schema: dict[str, Any]) -> Any:
    """The JSON value in an answer that matches the schema; raises `MalformedAnswer`."""
    value = _json_in(text)
    problem = schema_problem(value, schema)
    if problem:
        raise MalformedAnswer(f"the model's answer does not match the schema: {problem}")
    return value


def schema_problem(value: Any, schema: dict[str, Any]) -> str | None:
    """The first way in which a value breaks its schema, with its place, or None. Raises `InvalidParameters`.

    References to other documents are never fetched.
    """
    from jsonschema import Draft202012Validator as Validator
    from jsonschema import SchemaError
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    try:
        Validator.check_schema(schema)
        error = next(iter(Validator(schema, registry=Registry()).iter_errors(value)), None)
    except SchemaError as broken:
        fault = broken.context[0] if broken.context else broken  # the first of several forms, such as of `type`
        raise _invalid(f"is no valid JSON Schema: {fault.json_path}: {fault.message[:200]}") from None
    except Unresolvable as broken:
        raise _invalid(f"refers to what it does not contain: {broken.ref}") from None
    return f"{error.json_path}: {error.message[:300]}" if error else None


def _invalid(message: str) -> InvalidParameters:
    return InvalidParameters.at("inference", "output_schema", message)


def _json_in(text: str) -> Any:
    answer = _THOUGHTS.sub("", text).strip()
    fenced = _FENCE.search(answer)
    for candidate in filter(None, (answer, fenced and fenced.group(1), _braced(answer))):
        try:
            return json.loads(candidate, parse_constant=_refused)
        except (ValueError, RecursionError):
            continue
    raise MalformedAnswer(f"the model's answer is no JSON: {answer[:120]!r}")


def _braced(text: str) -> str:
    start, end = text.find("{"), text.rfind("}")
    return text[start : end + 1] if 0 <= start < end else ""


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")
