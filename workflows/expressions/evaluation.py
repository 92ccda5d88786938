"""Expressions: CEL over plain JSON. Nothing here raises anything but `ExpressionError`."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from functools import cached_property, lru_cache
from typing import Any

from workflows.errors import ExpressionError, SecretNotFound
from workflows.expressions import faults, reach
from workflows.expressions.functions import FUNCTIONS, NATIVE, kind
from workflows.expressions.library import cel
from workflows.expressions.results import NotJson, copied, plain
from workflows.expressions.source import MACROS, Reference, closing_brace, read
from workflows.nearest import did_you_mean

MAX_LENGTH = 4096

# The library logs each call of a function that fails; the caller gets all of that in the error.
logging.getLogger("cel").setLevel(logging.CRITICAL + 1)


class Expression:
    """A compiled expression; made by `compile`, shared between threads.

    `text` is what was compiled (without `${ }`), `references` the uses of the scope's names, in order.
    """

    def __init__(self, text: str, program: cel.Program) -> None:
        self.text = text
        self._program = program
        self._reading = read(text)
        self.references: tuple[Reference, ...] = tuple(self._reading.references)
        self._wanted = reach.tree(self.references)
        self._secrets = [reference for reference in self.references if reference.path[0] == "secrets"]
        self._functions = {name: FUNCTIONS[name] for name in _functions(text, program) if name in FUNCTIONS}
        self._heavy = reach.always_heavy(self._reading)

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    @cached_property
    def names(self) -> frozenset[str]:
        """The scope's names that it uses: `steps`, `context` …"""
        return frozenset(self._wanted)

    @property
    def calls(self) -> Collection[str]:
        """The functions beyond CEL's own that it calls."""
        return self._functions.keys()

    @cached_property
    def step_ids(self) -> frozenset[str] | None:
        """The steps that it names; None where it may read any of them."""
        wanted = self._wanted.get("steps", {})
        return None if wanted is None else frozenset(wanted)

    @cached_property
    def secret_names(self) -> frozenset[str]:
        """The secrets that it names."""
        return frozenset(reference.path[1] for reference in self._secrets)

    def reach(self, scope: Mapping[str, Any]) -> dict[str, Any]:
        """The part of the scope that an evaluation gets, as plain dicts: all that a child process must be
        sent.

        Raises `ExpressionError` for values that nest too deep, `SecretNotFound` for a secret without value.
        """
        self._check_secrets(scope)
        try:
            return reach.cut(scope, self._wanted)
        except NotJson as error:
            raise self._error(str(error)) from None

    def heavy(self, scope: Mapping[str, Any]) -> bool:
        """Whether `evaluate` may take long, and so belongs in a child process with a time limit."""
        if self._reading.path_only:
            return False
        return self._heavy or reach.heavy(self._reading, self.reach(scope))

    def evaluate(self, scope: Mapping[str, Any]) -> Any:
        """The value over `scope`, as plain JSON."""
        handed = self.reach(scope)
        try:
            if self._reading.path_only and (found := _found(self.references[0], handed)):
                return copied(found[0])
            given = cel.Context(handed, self._functions) if self._functions else handed
            return plain(self._program.execute(given))
        except NotJson as error:
            raise self._error(str(error)) from None
        except (KeyboardInterrupt, SystemExit, GeneratorExit):
            raise
        except BaseException as error:  # a panic of the Rust library is no Exception
            raise self._error(faults.explain(self.text, self._reading, scope, error)) from None

    def holds(self, scope: Mapping[str, Any]) -> bool:
        """The value, which must be true or false."""
        value = self.evaluate(scope)
        if not isinstance(value, bool):
            raise self._error(
                f'a condition must be true or false, and this is {kind(value)}; compare it, as in x != ""'
            )
        return value

    def _check_secrets(self, scope: Mapping[str, Any]) -> None:
        known = scope.get("secrets", {}) if self._secrets else {}
        for reference in self._secrets:
            name = reference.path[1]
            if name not in known and not reference.guarded:
                message = f"the secret {name} has no value here; it is read from KOLOSAL_SECRET_{name}"
                raise SecretNotFound(message, expression=self.text, offset=reference.offset)

    def _error(self, message: str) -> ExpressionError:
        return ExpressionError(f"{message} (in `{_short(self.text)}`)", expression=self.text)


def _found(reference: Reference, handed: Mapping[str, Any]) -> tuple[Any] | None:
    """What stands at the path, or None where CEL must say what is missing.

    Without CEL a large result is not converted twice, and its keys keep their order.
    """
    value: Any = handed
    for part in reference.path:
        if not isinstance(value, dict) or part not in value:
            return None
        value = value[part]
    return (value,)


@lru_cache(maxsize=4096)
def compile(text: str) -> Expression:
    """Compile an expression, with or without `${ }` around it; compiled ones are kept.

    Raises `ExpressionError` for what is too long, can't be parsed, calls an unknown function or reads all
    secrets.
    """
    bare = _without_braces(text)
    if len(bare) > MAX_LENGTH:
        raise ExpressionError(f"the expression has {len(bare):,} characters; at most {MAX_LENGTH:,} are allowed")
    if not bare.strip():
        raise ExpressionError("the expression is empty", expression=text, offset=0)
    return _checked(Expression(bare, _program(bare)))


def _without_braces(text: str) -> str:
    stripped = text.strip()
    whole = stripped.startswith("${") and closing_brace(stripped, 2) == len(stripped) - 1
    return stripped[2:-1] if whole else text


def _program(text: str) -> cel.Program:
    try:
        return cel.compile(text)
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # as in evaluate
        message, offset = faults.syntax(text, error)
        raise ExpressionError(f"{message} (in `{_short(text)}`)", expression=text, offset=offset) from None


def _functions(text: str, program: cel.Program) -> list[str]:
    """The functions that it calls, operators left out."""
    known = FUNCTIONS.keys() | NATIVE
    called = [name for name in program.functions() if name.isidentifier() and not name.startswith("_")]
    for name in called:
        if name not in known:
            message = f"there is no function {name}{did_you_mean(name, known | MACROS)}"
            raise ExpressionError(f"{message} (in `{_short(text)}`)", expression=text, offset=text.find(name))
    return called


def _checked(expression: Expression) -> Expression:
    for reference in expression.references:
        if reference.path == ("secrets",):
            message = "a secret is named in full, as in secrets.NAME"
            raise ExpressionError(message, expression=expression.text, offset=reference.offset)
    return expression


def _short(text: str) -> str:
    return text if len(text) <= 120 else text[:119] + "…"
