"""Static checks of expressions: syntax, known names, and steps that may be named where they stand."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from workflows import expressions
from workflows.definitions.names import Fault, Names
from workflows.definitions.problems import Path, Problem
from workflows.definitions.reading import Source
from workflows.errors import ExpressionError
from workflows.expressions import Expression, Reference
from workflows.expressions.faults import hyphen_hint
from workflows.nearest import did_you_mean

NAMES = ("context", "global", "input", "steps", "run", "workflow")
FIELDS = {
    "run": ("id", "attempt", "started_at"),
    "workflow": ("id", "name", "version"),
    "steps": ("result", "status", "error", "attempts", "duration_ms"),
}
ELSEWHERE = {
    "item": "item is known only inside loops over items",
    "index": "index is known only inside loops over items",
    "result": "result is known only in validation and result_processor; an earlier step's is steps.<id>.result",
    "secrets": "secrets are known only in parameters, and not in those of generated steps",
}


def expression_problems(
    source: Source, path: Path, text: str, names: Names, *, result: bool = False
) -> Iterator[Problem]:
    """What is wrong with an expression that is a whole field; `result`: it may ask about the step's own."""
    try:
        compiled = expressions.compile(text)
    except ExpressionError as error:
        yield source.problem(path, str(error), "expression")
        return
    yield from _problems(source, path, compiled, names, ("result",) if result else ())


def template_problems(
    source: Source, path: Path, value: Any, names: Names, *, secrets: bool = False
) -> Iterator[Problem]:
    """What is wrong with the `${ }` in the strings of a value."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from template_problems(source, (*path, key), item, names, secrets=secrets)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from template_problems(source, (*path, index), item, names, secrets=secrets)
    elif isinstance(value, str) and "${" in value:
        yield from _text_problems(source, path, value, names, ("secrets",) if secrets else ())


def _text_problems(source: Source, path: Path, text: str, names: Names, more: tuple[str, ...]) -> Iterator[Problem]:
    try:
        found = expressions.template(text).expressions
    except ExpressionError as error:
        yield source.problem(path, str(error), "expression")
        return
    for expression in found:
        yield from _problems(source, path, expression, names, more)


def _problems(
    source: Source, path: Path, expression: Expression, names: Names, more: tuple[str, ...]
) -> Iterator[Problem]:
    text = expression.text
    shown = text if len(text) <= 120 else text[:119] + "…"
    asked = {reference.path[1] for reference in expression.references if _asks_for_step(reference)}
    for reference in expression.references:
        if fault := _fault(reference, text, names, (*NAMES, *names.items, *more), asked):
            message, code = fault
            warning = code in ("may_be_skipped", "unknown_global")
            yield source.problem(path, f"{message} (in `{shown}`)", code, warning=warning)
            if (hint := hyphen_hint(text)) and hint in message:
                return  # the rest of the name would only be called unknown


def _asks_for_step(reference: Reference) -> bool:
    """Whether it is `has(steps.<id>)`."""
    return reference.path[0] == "steps" and len(reference.path) == 2 and reference.guarded


def _fault(
    reference: Reference, text: str, names: Names, allowed: tuple[str, ...], asked: Collection[str]
) -> Fault | None:
    root, *below = reference.path
    if root not in allowed:
        return _unknown_name(root, text, names, allowed)
    if not below:
        return None
    if root == "steps":
        return _step_fault(reference, text, names, asked)
    if root in FIELDS and below[0] not in FIELDS[root]:
        hint = did_you_mean(below[0], FIELDS[root]) or f"; it has {', '.join(FIELDS[root])}"
        return f'{root} has no "{below[0]}"{hint}', "unknown_name"
    if root == "global" and not reference.guarded and isinstance(names.global_context, dict | None):
        known = names.global_context or {}
        if below[0] not in known:
            return f'global_context has no "{below[0]}"{did_you_mean(below[0], known)}', "unknown_global"
    return None


def _unknown_name(root: str, text: str, names: Names, allowed: tuple[str, ...]) -> Fault:
    if root == "item" and names.items:
        return f'the item is called "{names.items[-1]}" here', "unknown_name"
    if root in ELSEWHERE:
        return ELSEWHERE[root], "unknown_name"
    hint = hyphen_hint(text) or did_you_mean(root, allowed)
    return f'there is no "{root}" here{hint or "; known are " + ", ".join(dict.fromkeys(allowed))}', "unknown_name"


def _step_fault(reference: Reference, text: str, names: Names, asked: Collection[str]) -> Fault | None:
    """``asked``: the steps that `has` asks for in the same expression."""
    step_id, *below = reference.path[1:]
    path = ".".join((step_id, *below))
    covered = step_id in asked or reference.got == len(reference.path) - 1
    if fault := names.fault(step_id, guarded=covered):
        message, code = fault
        if code == "reference_into_block":
            return f'{message}; read it with steps.get("{path}", fallback){_or_ask(step_id)}', code
        hint = hyphen_hint(text, step_id)
        return (f'there is no step "{step_id}"{hint}', code) if hint else fault
    if below and below[0] not in FIELDS["steps"]:
        hint = did_you_mean(below[0], FIELDS["steps"])
        return f'a step has no "{below[0]}"{hint or "; it has " + ", ".join(FIELDS["steps"])}', "unknown_name"
    if len(below) > 1 and not reference.guarded and names.may_be_skipped(step_id):
        said = f'step "{step_id}" has a precondition and may be skipped'
        return f'{said}; read it with steps.get("{path}", fallback)', "may_be_skipped"
    return None


def _or_ask(step_id: str) -> str:
    return f", or ask has(steps.{step_id}) first" if step_id.isidentifier() else ""
