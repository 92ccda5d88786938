"""The column type of JSON values."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.db import models

dumps: Callable[[Any], str] = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
"""Compact JSON text. Raises ValueError for NaN and Infinity, TypeError for what JSON has no form for."""


class JSONText(models.TextField):  # type: ignore[type-arg]  # generic for type checkers only
    """JSON kept as text, so that key order, number spelling and ``\\u0000`` survive on both stores.

    PostgreSQL's jsonb changes all three. Nothing here is queried by its inside, and the engine writes the text
    that it has already made, encoding nothing twice.
    """

    description = "JSON text"

    if TYPE_CHECKING:
        _pyi_private_set_type: Any
        _pyi_private_get_type: Any

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        return None if value is None else json.loads(value)

    def get_prep_value(self, value: Any) -> Any:
        return None if value is None else dumps(value)

    def to_python(self, value: Any) -> Any:
        return value

    def value_to_string(self, obj: models.Model) -> str:
        return dumps(self.value_from_object(obj))

    def formfield(self, **kwargs: Any) -> Any:
        from django import forms

        return super(models.TextField, self).formfield(**{"form_class": forms.JSONField, **kwargs})
