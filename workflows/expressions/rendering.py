"""`${ expression }` inside the strings of parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from workflows.errors import ExpressionError
from workflows.expressions.evaluation import Expression, compile
from workflows.expressions.functions import as_text
from workflows.expressions.source import Reference, closing_brace

OPENING = re.compile(r"\$\$\{|\$\{")


@dataclass(frozen=True, slots=True)
class Template:
    """A string with expressions in it: text and expressions in turn.

    `offsets` are the places of the expressions' first characters, in the order of `expressions`.
    """

    parts: tuple[str | Expression, ...]
    offsets: tuple[int, ...]

    @property
    def expressions(self) -> list[Expression]:
        return [part for part in self.parts if isinstance(part, Expression)]

    def render(self, scope: Mapping[str, Any]) -> Any:
        """The value of a lone expression with its type kept, else text."""
        if len(self.parts) == 1:
            part = self.parts[0]
            return part if isinstance(part, str) else part.evaluate(scope)
        return "".join(p if isinstance(p, str) else as_text(p.evaluate(scope)) for p in self.parts)


@lru_cache(maxsize=4096)
def template(text: str) -> Template:
    """Read a string; read ones are kept. Raises `ExpressionError` with the offset in the string."""
    parts: list[str | Expression] = []
    offsets: list[int] = []
    literal, at = "", 0
    while opening := OPENING.search(text, at):
        literal += text[at : opening.start()]
        if opening[0] == "$${":
            literal, at = literal + "${", opening.end()
            continue
        if literal:
            parts.append(literal)
        closing = _closing(text, opening)
        parts.append(_compiled(text, opening.end(), closing))
        offsets.append(opening.end())
        literal, at = "", closing + 1
    if literal + text[at:] or not parts:
        parts.append(literal + text[at:])
    return Template(tuple(parts), tuple(offsets))


def _closing(text: str, opening: re.Match[str]) -> int:
    closing = closing_brace(text, opening.end())
    if closing < 0:
        message = "this ${ has no balancing }; a literal ${ is written $${"
        raise ExpressionError(message, expression=text, offset=opening.start())
    return closing


def _compiled(text: str, start: int, end: int) -> Expression:
    try:
        return compile(text[start:end])
    except ExpressionError as error:
        offset = start + (error.offset or 0)
        raise ExpressionError(str(error), expression=error.expression, offset=offset) from None


def contains_expression(value: Any) -> bool:
    """Whether any string in the value has an expression to replace."""
    return any(True for text in _strings(value) if any(found[0] == "${" for found in OPENING.finditer(text)))


def render(value: Any, scope: Mapping[str, Any]) -> Any:
    """A copy of the value with all `${ }` in its strings replaced; keys of objects stay as they are."""
    if isinstance(value, str):
        return template(value).render(scope) if "${" in value else value
    if isinstance(value, dict):
        return {key: render(item, scope) for key, item in value.items()}
    if isinstance(value, list):
        return [render(item, scope) for item in value]
    return value


def render_heavy(value: Any, scope: Mapping[str, Any]) -> bool:
    """Whether `render` belongs in a child process: one of its expressions is heavy."""
    return any(expression.heavy(scope) for expression in expressions(value))


def reach(value: Any, scope: Mapping[str, Any]) -> dict[str, Any]:
    """The part of the scope that `render` needs: all that a child process must be sent."""
    made: dict[str, Any] = {}
    for expression in expressions(value):
        _merge(made, expression.reach(scope))
    return made


def _merge(into: dict[str, Any], more: dict[str, Any]) -> None:
    """Join two cuts of one scope; both are fresh down to where one of them is whole."""
    for key, value in more.items():
        held = into.get(key)
        if isinstance(held, dict) and isinstance(value, dict) and held is not value:
            into[key] = merged = dict(held)
            _merge(merged, value)
        else:
            into[key] = value


def references(value: Any) -> list[Reference]:
    """All uses of the scope's names in the value's strings. Raises `ExpressionError`."""
    return [reference for expression in expressions(value) for reference in expression.references]


def expressions(value: Any) -> Iterator[Expression]:
    """All expressions in the value's strings."""
    for text in _strings(value):
        if "${" in text:
            yield from template(text).expressions


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
