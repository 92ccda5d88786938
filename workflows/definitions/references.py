"""Static checks of expressions: syntax, known names, and steps that stand earlier."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from workflows import expressions
from workflows.definitions.problems import Path, Problem
from workflows.definitions.reading import Source
from workflows.errors import ExpressionError
from workflows.expressions import Reference
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
    "secrets": "secrets are known only in parameters",
}

Fault = tuple[str, str]
"""Message and code."""


@dataclass(frozen=True, slots=True)
class Names:
    """What may be named at one step: `ids` of all steps, `earlier` steps by id, and the step itself."""

    ids: Collection[str]
    earlier: Mapping[str, Mapping[str, Any]]
    own_id: str
    step: Mapping[str, Any]
    global_context: Any

    def step_fault(self, step_id: str) -> Fault | None:
        """What is wrong with naming this step here."""
        if step_id in self.earlier:
            return None
        if step_id == self.own_id:
            return f'"{step_id}" is this step itself, which has no result yet', "step_not_earlier"
        if step_id in self.ids:
            return f'step "{step_id}" stands later; only earlier steps can be named', "step_not_earlier"
        hint = did_you_mean(step_id, self.ids) or f"; the earlier ones are {', '.join(self.earlier) or 'none'}"
        return f'there is no step "{step_id}"{hint}', "step_not_found"

    def may_be_skipped(self, step_id: str) -> bool:
        """Whether an earlier step has a precondition, and this one would run without it."""
        depends = self.step.get("depends_on")
        return bool(self.earlier[step_id].get("precondition")) and not (
            isinstance(depends, list) and step_id in depends
        )


def rule_problems(source: Source, path: Path, text: str, names: Names) -> Iterator[Problem]:
    """What is wrong with a bare expression."""
    try:
        compiled = expressions.compile(text)
    except ExpressionError as error:
        yield source.problem(path, str(error), "expression")
        return
    allowed = NAMES if path[-1] == "precondition" else (*NAMES, "result")
    yield from _reference_problems(source, path, compiled.text, compiled.references, names, allowed)


def template_problems(
    source: Source, path: Path, value: Any, names: Names, *, secrets: bool = True
) -> Iterator[Problem]:
    """What is wrong with the `${ }` in the strings of a value."""
    allowed = (*NAMES, "secrets") if secrets else NAMES
    if isinstance(value, dict):
        for key, item in value.items():
            yield from template_problems(source, (*path, key), item, names, secrets=secrets)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from template_problems(source, (*path, index), item, names, secrets=secrets)
    elif isinstance(value, str) and "${" in value:
        yield from _text_problems(source, path, value, names, allowed)


def _text_problems(source: Source, path: Path, text: str, names: Names, allowed: tuple[str, ...]) -> Iterator[Problem]:
    try:
        found = expressions.template(text).expressions
    except ExpressionError as error:
        yield source.problem(path, str(error), "expression")
        return
    for expression in found:
        yield from _reference_problems(source, path, expression.text, expression.references, names, allowed)


def _reference_problems(
    source: Source,
    path: Path,
    text: str,
    found: Collection[Reference],
    names: Names,
    allowed: tuple[str, ...],
) -> Iterator[Problem]:
    shown = text if len(text) <= 120 else text[:119] + "…"
    for reference in found:
        if fault := _fault(reference, text, names, allowed):
            message, code = fault
            warning = code in ("may_be_skipped", "unknown_global")
            yield source.problem(path, f"{message} (in `{shown}`)", code, warning=warning)
            if (hint := hyphen_hint(text)) and hint in message:
                return  # the rest of the name would only be called unknown


def _fault(reference: Reference, text: str, names: Names, allowed: tuple[str, ...]) -> Fault | None:
    root, *below = reference.path
    if root not in allowed:
        return _unknown_name(root, text, allowed)
    if not below:
        return None
    if root == "steps":
        return _step_fault(reference, text, names)
    if root in FIELDS and below[0] not in FIELDS[root]:
        hint = did_you_mean(below[0], FIELDS[root]) or f"; it has {', '.join(FIELDS[root])}"
        return f'{root} has no "{below[0]}"{hint}', "unknown_name"
    if root == "global" and not reference.guarded and isinstance(names.global_context, dict | None):
        known = names.global_context or {}
        if below[0] not in known:
            return f'global_context has no "{below[0]}"{did_you_mean(below[0], known)}', "unknown_global"
    return None


def _unknown_name(root: str, text: str, allowed: tuple[str, ...]) -> Fault:
    if root in ELSEWHERE:
        return ELSEWHERE[root], "unknown_name"
    hint = hyphen_hint(text) or did_you_mean(root, allowed)
    return f'there is no "{root}" here{hint or "; known are " + ", ".join(allowed)}', "unknown_name"


def _step_fault(reference: Reference, text: str, names: Names) -> Fault | None:
    step_id, *below = reference.path[1:]
    if fault := names.step_fault(step_id):
        hint = hyphen_hint(text, step_id)
        return (f'there is no step "{step_id}"{hint}', fault[1]) if hint else fault
    if below and below[0] not in FIELDS["steps"]:
        hint = did_you_mean(below[0], FIELDS["steps"])
        return f'a step has no "{below[0]}"{hint or "; it has " + ", ".join(FIELDS["steps"])}', "unknown_name"
    if len(below) > 1 and not reference.guarded and names.may_be_skipped(step_id):
        path = ".".join((step_id, *below))
        said = f'step "{step_id}" has a precondition and may be skipped'
        return f'{said}; read it with steps.get("{path}", fallback)', "may_be_skipped"
    return None
