"""Form fields of definitions: structures written as YAML or JSON, and choices that take any text."""

import json
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from workflows.definitions import Source, read_json, read_yaml, yaml_text
from workflows.errors import DefinitionError


def as_yaml(value: dict[str, Any]) -> str:
    """The object as YAML for a text area; text of several lines as a block. Empty for an empty object."""
    return yaml_text(value) if value else ""


class StructureField(forms.CharField):
    """A text area for an object in YAML or JSON; cleans to a dict. Errors name line and column."""

    widget = forms.Textarea

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, strip=False, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        return as_yaml(value) if isinstance(value, dict) else value

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        if not text or not text.strip():
            return {}
        source = _read(text)
        if source.problems:
            raise ValidationError([_said(p.message, p.line, p.column) for p in source.problems])
        if not isinstance(source.value, dict):
            raise ValidationError("This must be an object: lines of the form `name: value`, or JSON in { }.")
        return source.value

    def has_changed(self, initial: Any, data: Any) -> bool:
        return True


class OpenChoice(forms.CharField):
    """A choice that takes any text: the definition's checks say whether it exists, with the nearest name."""

    def __init__(self, *, choices: list[tuple[str, str]] | None = None, **kwargs: Any) -> None:
        super().__init__(required=False, widget=forms.Select, **kwargs)
        self.choices = choices or []

    def offer(self, choices: list[tuple[str, str]], current: str) -> None:
        """The choices, and the current value where it is none of them."""
        known = {value for value, _ in choices}
        extra = [(current, f"{current} (not known)")] if current and current not in known else []
        self.widget.choices = [("", "choose …"), *extra, *choices]


def _read(text: str) -> Source:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        reader = read_yaml
    else:
        reader = read_json  # JSON's escapes are not all YAML's
    try:
        return reader(text)
    except DefinitionError as error:
        raise ValidationError([_said(p.message, p.line, p.column) for p in error.problems]) from None


def _said(message: str, line: int | None, column: int | None) -> str:
    return f"line {line}, column {column}: {message}" if line else message
