"""From a template's definition to one of a workflow: `params` filled into every field, steps included."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from workflows import expressions
from workflows.definitions import tree
from workflows.definitions.problems import Path, Problem
from workflows.definitions.reading import MAX_BYTES, Source
from workflows.errors import DefinitionError, ExpressionError

PLAIN = frozenset({
    "step_id", "step_name", "description", "agent_id", "function_name", "llm_name", "timeout_seconds", "max_retries",
    "retry", "continue_on_failure", "depends_on", "output_schema", "metadata", "generate",
    "as", "max_concurrency", "max_iterations", "workflow", "version", "options", "on_timeout",
})  # fmt: skip
"""Fields of steps, and of the objects in blocks, in which a run evaluates nothing. In all others text is escaped, in a
new one too."""

EXPRESSIONS = tree.CONDITIONS.union(tree.RULES)

Fill = Callable[[str, Mapping[str, Any]], Any]


def fill_definition(source: Source, params: dict[str, Any]) -> dict[str, Any]:
    """The definition with `params` in place of each `${params.…}`; other expressions stay for the run.

    Raises `DefinitionError` with each place where an expression can't be filled in.
    """
    filling = _Filling(source, params)
    made = {key: filling.field(key, item) for key, item in source.value.items()}
    if filling.problems:
        raise DefinitionError(filling.problems)
    return made


class _Filling:
    def __init__(self, source: Source, params: dict[str, Any]) -> None:
        self.source = source
        self.params = params
        self.problems: list[Problem] = []
        self._room = MAX_BYTES

    def field(self, key: str, item: Any) -> Any:
        """A field of the whole; only in steps does a run evaluate anything."""
        return self._steps(item, (key,)) if key == "steps" else self._all(item, (key,), expressions.fill_plain)

    def _steps(self, steps: Any, path: Path, given: bool = False) -> Any:
        """A list of steps; `given`: it stands in a parameter."""
        if not given:
            given, steps = self._structure(steps, path)
        if not isinstance(steps, list):
            return steps
        return [self._step(step, (*path, index), given) for index, step in enumerate(steps)]

    def _step(self, step: Any, path: Path, given: bool) -> Any:
        if not given:
            given, step = self._structure(step, path)
        if not isinstance(step, dict):
            return step
        kind = tree.kind_of(step)
        return {key: self._field(kind, key, item, (*path, key), given) for key, item in step.items()}

    def _structure(self, value: Any, path: Path) -> tuple[bool, Any]:
        """Whether a step, or all of them, is a parameter; and its value then."""
        if not isinstance(value, str):
            return False, value
        return True, self._text(value, path, expressions.fill_plain)

    def _field(self, kind: str, key: str, item: Any, path: Path, given: bool) -> Any:
        if key in tree.LISTS.get(kind, ()):
            return self._steps(item, path, given)
        if key == tree.NAMED.get(kind):
            return self._branches(item, path, given)
        if key in tree.OBJECTS and not given:
            given, item = self._structure(item, path)
        place = self._given if given else self._written
        if key in tree.OBJECTS and isinstance(item, dict):
            return {name: place(name, value, (*path, name)) for name, value in item.items()}
        return place(key, item, path)

    def _branches(self, branches: Any, path: Path, given: bool) -> Any:
        if not given:
            given, branches = self._structure(branches, path)
        if not isinstance(branches, dict):
            return branches
        return {name: self._steps(steps, (*path, name), given) for name, steps in branches.items()}

    def _written(self, key: str, item: Any, path: Path) -> Any:
        """A field of a step that stands in the template."""
        if key in EXPRESSIONS and isinstance(item, str):
            return self._text(item, path, expressions.fill_rule)
        return self._all(item, path, expressions.fill_plain if key in PLAIN | EXPRESSIONS else expressions.fill)

    def _given(self, key: str, item: Any, path: Path) -> Any:
        """A field of a step that is a parameter."""
        if key in EXPRESSIONS and isinstance(item, str):
            message = f"{key} is an expression, and a parameter is a value: write the step into the template"
            self.problems.append(self.source.problem(path, message, "expression_in_parameter"))
        return item if key in PLAIN else expressions.escape(item)

    def _all(self, value: Any, path: Path, fill: Fill) -> Any:
        if isinstance(value, str):
            return self._text(value, path, fill)
        if isinstance(value, dict):
            return {key: self._all(item, (*path, key), fill) for key, item in value.items()}
        if isinstance(value, list):
            return [self._all(item, (*path, index), fill) for index, item in enumerate(value)]
        return value

    def _text(self, text: str, path: Path, fill: Fill) -> Any:
        try:
            value = fill(text, self.params)
        except ExpressionError as error:
            self.problems.append(self.source.problem(path, str(error), "expression"))
            return text
        if value is not text:
            self._take(value, path)
        return value

    def _take(self, value: Any, path: Path) -> None:
        """One parameter in many places makes much of little."""
        self._room -= len(json.dumps(value))
        if self._room < 0:
            message = f"with its parameters the definition has more than {MAX_BYTES:,} bytes"
            raise DefinitionError([self.source.problem(path, message, "too_large")])
