"""Python functions that definitions may name: `precondition: {callable: is_ready}`.

A `precondition` is called with `(context)`; a `validation` or `result_processor` with `(context, result)`.
The context
is the run's scope as plain JSON, with `steps`, `global`, `input`, `run` and `workflow` in it. They run in
the process that carries out the run, so the module that registers them must be imported there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from workflows.errors import CallableNotFound
from workflows.nearest import did_you_mean

Rule = Callable[..., Any]
R = TypeVar("R", bound=Rule)

LAMBDA = "lambda:"
"""Begins the names that the builder gives to functions that are not registered, as in
`lambda:check.precondition`."""

_registered: dict[str, Rule] = {}


def register(name: str) -> Callable[[R], R]:
    """The decorator `@workflows.callable("name")`. Raises `ValueError` for a name that is taken."""
    if not isinstance(name, str) or not 0 < len(name) <= 200 or name.startswith(LAMBDA):
        raise ValueError(f'@workflows.callable takes a name, as in @workflows.callable("is_ready"), not {name!r}')

    def keep(function: R) -> R:
        held = _registered.get(name)
        if held is not None and _origin(held) != _origin(function):
            raise ValueError(f'the callable "{name}" is registered already, by {".".join(_origin(held))}')
        _registered[name] = function
        return function

    return keep


def _origin(function: Rule) -> tuple[str, str]:
    return getattr(function, "__module__", ""), getattr(function, "__qualname__", repr(function))


def names() -> frozenset[str]:
    """All names registered in this process."""
    return frozenset(_registered)


def name_of(function: Rule) -> str | None:
    """The name that the function itself is registered under."""
    return next((name for name, held in _registered.items() if held is function), None)


def get(name: str, local: Mapping[str, Rule] | None = None) -> Rule:
    """The callable of that name, `local` ones first. Raises `CallableNotFound`."""
    found = (local or {}).get(name) or _registered.get(name)
    if found is None:
        hint = did_you_mean(name, _registered) or "; is the module that registers it imported in this process?"
        raise CallableNotFound(f'no callable is registered as "{name}"{hint}')
    return found
