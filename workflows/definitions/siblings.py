"""Keys of the context that more than one branch of a `parallel` writes, as far as a definition tells."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from workflows import expressions
from workflows.definitions import tree
from workflows.errors import ExpressionError
from workflows.expressions.source import tokens

ANSWERS = {"approval": ("answer", "comment", "answered_by"), "wait_for": ("event", "data")}
KEY = re.compile(r"""["'](\w+)["']""")


def same_keys(block: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """For each branch that writes what an earlier one does: the earlier one, its own name, and what, in words."""
    branches = block.get("parallel")
    first: dict[str, str] = {}
    for name, steps in branches.items() if isinstance(branches, dict) else ():
        written = _written(steps)
        if shared := [what for what in written if what in first]:
            other = first[shared[0]]
            yield other, name, ", ".join(what for what in shared if first[what] == other)
        for what in written:
            first.setdefault(what, name)


def _written(steps: Any) -> dict[str, None]:
    """What the steps of a branch are known to write, in order."""
    return dict.fromkeys(what for _, step in tree.objects(steps) for what in _written_by(step))


def _written_by(step: Mapping[str, Any]) -> Iterator[str]:
    kind = tree.kind_of(step)
    if kind == "for_each":
        return
    if kind == "function":
        yield from _of_function(step)
    yield from (f'"{key}"' for key in ANSWERS.get(kind, ()))
    for _, inner in tree.branches(step):
        yield from _written(inner)


def _of_function(step: Mapping[str, Any]) -> Iterator[str]:
    processor = step.get("result_processor")
    if isinstance(processor, str):
        yield from (f'"{key}"' for key in _literal_keys(processor))
    elif processor is None and isinstance(function := step.get("function_name"), str):
        yield f'the result of "{function}"'


def _literal_keys(text: str) -> Iterator[str]:
    """The outermost keys of an expression that is an object, as in `{"score": result.score}`."""
    try:
        words = list(tokens(expressions.compile(text).text))
    except ExpressionError:
        return
    depth = 0
    for word, after in pairwise(words):
        depth += (word.text in "([{") - (word.text in ")]}")
        if words[0].text == "{" and depth == 1 and after.text == ":" and (key := KEY.fullmatch(word.text)):
            yield key[1]
