"""What expressions can name at a place of a definition: what an editor offers while somebody writes there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from workflows.definitions import tree
from workflows.definitions.names import Names
from workflows.definitions.problems import Path
from workflows.definitions.references import FIELDS


def in_reach(definition: Any, path: Path) -> list[str]:
    """Beginnings of expressions, as in `steps.write.result`, at the step that ``path`` leads to or into.

    What an earlier step may not have run is offered in the form that provides for that. Where no step stands,
    only what every step sees. The definition may be wrong in any way.
    """
    if not isinstance(definition, dict):
        return []
    names = _names_at(definition, path)
    return [
        *names.items,
        *_steps(names),
        *(f"input.{name}" for name in _properties(definition.get("parameters"))),
        *(f"global.{name}" for name in _keys(definition.get("global_context"))),
        "context",
        *(f"{root}.{field}" for root in ("run", "workflow") for field in FIELDS[root]),
        "secrets",
    ]


def _names_at(definition: dict[str, Any], path: Path) -> Names:
    names = Names(frozenset(tree.ids(definition.get("steps"))), definition.get("global_context"))
    steps, below = definition.get("steps"), path[1:]
    while below and path[0] == "steps":
        names, found = _at(names, steps, below[0])
        below = below[1:]
        entered = [each for each in names.within() if below[: len(each[0])] == each[0]] if found else []
        if not entered or len(below) == len(entered[0][0]):
            break
        branch, steps, names = entered[0]
        below = below[len(branch) :]
    return names


def _at(names: Names, steps: Any, index: str | int) -> tuple[Names, bool]:
    for number, step in tree.objects(steps):
        if number == index:
            return names.at(step), True
        names = names.after(step)
    return names, False


def _steps(names: Names) -> Iterator[str]:
    for step_id, skippable in names.earlier.items():
        certain = not skippable and step_id.isidentifier()
        yield f"steps.{step_id}.result" if certain else f'steps.get("{step_id}.result", null)'
    yield from (f'steps.get("{step_id}.result", null)' for step_id in names.inside)


def _properties(schema: Any) -> Iterator[str]:
    return _keys(schema.get("properties")) if isinstance(schema, dict) else iter(())


def _keys(value: Any) -> Iterator[str]:
    return (key for key in value if key.isidentifier()) if isinstance(value, dict) else iter(())
