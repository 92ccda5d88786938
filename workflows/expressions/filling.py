"""Filling in what is known before a run: `params` in the strings of a template. All other expressions stay.

A value is never read as an expression afterwards: it is text that is escaped, or a literal inside an expression.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from workflows.errors import ExpressionError
from workflows.expressions.evaluation import Expression, compile
from workflows.expressions.functions import as_text
from workflows.expressions.rendering import template
from workflows.expressions.source import Reference, closing_brace

ROOT = "params"


class _Value(NamedTuple):
    """What an expression came to."""

    value: Any


def fill(text: str, params: Mapping[str, Any]) -> Any:
    """A string that a run renders, with `params` filled in; strings of the values are escaped.

    A lone expression gives its value with its type, else it is rendered into the text. One that also names what
    only the run knows stays, with literals in place of `params`. Raises `ExpressionError`.
    """
    if not _may_name(text):
        return text
    parts = [_filled(part, params) for part in template(text).parts]
    if len(parts) == 1 and isinstance(parts[0], _Value):
        return escape(parts[0].value)
    return _written(parts)


def fill_plain(text: str, params: Mapping[str, Any]) -> Any:
    """A string that no run reads as anything but text: nothing is escaped. Raises `ExpressionError`."""
    if not _may_name(text):
        return text
    read, made, at = template(text), "", 0
    for expression, start in zip(read.expressions, read.offsets, strict=True):
        if ROOT in expression.names:
            value = _evaluated_here(expression, params)
            if len(read.parts) == 1:
                return value
            made += text[at : start - 2] + as_text(value)
            at = closing_brace(text, start) + 1
    return made + text[at:]


def fill_rule(text: str, params: Mapping[str, Any]) -> str:
    """A bare expression, with literals in place of `params`. Raises `ExpressionError`."""
    if ROOT not in text:
        return text
    rule = compile(text)
    return _with_literals(rule, params) if ROOT in rule.names else text


def escape(value: Any) -> Any:
    """A copy of the value whose strings render as they are; keys of objects stay."""
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, dict):
        return {key: escape(item) for key, item in value.items()}
    return [escape(item) for item in value] if isinstance(value, list) else value


def literal(value: Any) -> str:
    """The value as CEL writes it; negative numbers in brackets, since `-` may stand before them."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return f"[{', '.join(map(literal, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{literal(key)}: {literal(item)}' for key, item in value.items())}}}"
    written = json.dumps(value)
    return f"({written})" if written.startswith("-") else written


def _may_name(text: str) -> bool:
    """Whether it is worth reading: what it does not fill in, filling leaves untouched, faults included."""
    return "${" in text and ROOT in text


def _filled(part: str | Expression, params: Mapping[str, Any]) -> str | Expression | _Value:
    if isinstance(part, str) or ROOT not in part.names:
        return part
    if _is_known(part, params):
        return _Value(part.evaluate({ROOT: params}))
    return compile(_with_literals(part, params))


def _is_known(expression: Expression, params: Mapping[str, Any]) -> bool:
    """Whether its value can be told before any run. A costly one waits for the run, where its time is bounded."""
    return expression.names == {ROOT} and "now" not in expression.calls and not expression.heavy({ROOT: params})


def _evaluated_here(expression: Expression, params: Mapping[str, Any]) -> Any:
    if not _is_known(expression, params):
        message = "no run evaluates this field: an expression names params alone here, and does not take long"
        raise ExpressionError(f"{message} (in `{expression.text[:120]}`)", expression=expression.text)
    return expression.evaluate({ROOT: params})


def _written(parts: Iterable[str | Expression | _Value]) -> str:
    """The parts as one string that renders to them."""
    made, text = "", ""
    for part in parts:
        if isinstance(part, Expression):
            made += _before_expression(text) + "${" + part.text + "}"
            text = ""
        else:
            text += as_text(part.value) if isinstance(part, _Value) else part
    return made + str(escape(text))


def _before_expression(text: str) -> str:
    """Text that ends in `$` would make `$${` of the expression that follows."""
    start = text.rstrip("$")
    dollars = text[len(start) :]
    return str(escape(start)) + (f'${{"{dollars}"}}' if dollars else "")


def _with_literals(expression: Expression, params: Mapping[str, Any]) -> str:
    made, at = "", 0
    for reference in expression.references:
        if reference.path[0] == ROOT:
            end, value = _replaced(expression, reference, params)
            made += expression.text[at : reference.offset] + literal(value)
            at = end
    return made + expression.text[at:]


def _replaced(expression: Expression, reference: Reference, params: Mapping[str, Any]) -> tuple[int, Any]:
    """Up to where a literal takes the reference's place, and its value."""
    keys = reference.path[1 : len(reference.path) - reference.got]
    if reference.guarded and (not reference.got or not keys):  # has(params.x), params.get("x"): the key may be missing
        return reference.offset + len(ROOT), {key: params[key] for key in reference.path[1:2] if key in params}
    value: Any = params
    for key in keys:
        if not isinstance(value, Mapping) or key not in value:
            message = f'params has no "{".".join(keys)}"; where it may be missing, read it with params.get'
            raise ExpressionError(f"{message} (in `{expression.text[:120]}`)", expression=expression.text)
        value = value[key]
    return reference.end, value
