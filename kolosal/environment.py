"""Reading environment variables: an empty one counts as not set, and a wrong one is told of by its name."""

import os
from collections.abc import Mapping
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured


def given(variables: Mapping[str, str]) -> dict[str, str]:
    """Those that have a value: compose files pass on as empty what nobody has set."""
    return {name: value for name, value in variables.items() if value}


class Environment(environ.Env):  # type: ignore[misc]
    """django-environ's reader; raises ``ImproperlyConfigured`` naming the variable and what was expected."""

    ENVIRON = given(os.environ)

    def get_value(
        self, var: str, cast: Any = None, default: Any = environ.Env.NOTSET, parse_default: bool = False
    ) -> Any:
        try:
            return super().get_value(var, cast, default, parse_default)
        except ValueError:
            kind = "a whole number" if cast is int else "a number"
            raise ImproperlyConfigured(f"{var} is {self.ENVIRON[var]!r}; use {kind}, such as {default}.") from None

    def at_least(self, lowest: float, var: str, default: float) -> Any:
        """A number of the kind of ``default``, not below ``lowest``."""
        value = self.get_value(var, type(default), default)
        if value >= lowest:  # False for NaN
            return value
        raise ImproperlyConfigured(f"{var} is {value:g}; use {lowest:g} or more.")

    def one_of(self, known: list[str], var: str, default: str) -> str:
        """One of these words, in whichever case it was written."""
        value: str = self.get_value(var, str, default)
        for word in known:
            if word.lower() == value.strip().lower():
                return word
        raise ImproperlyConfigured(f"{var} is {value!r}; use {', '.join(known[:-1])} or {known[-1]}.")

    def database(self, var: str, default: str) -> dict[str, Any]:
        """Settings of the database that a URL names: SQLite or PostgreSQL."""
        found: dict[str, Any] = self.db(var, default=default)
        if str(found.get("ENGINE", "")).endswith(("sqlite3", "postgresql")):
            return found
        raise ImproperlyConfigured(
            f"{var} names no store; use sqlite:///path or postgres://user:password@host:5432/name."
        )
