"""What the editor sent from one of its three views: a definition as it was written, and what is wrong with it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from django.http import QueryDict

from workflows.admin.form_view import FormView
from workflows.catalog import Catalog
from workflows.definitions import (
    Checked,
    Definition,
    Problem,
    Source,
    check,
    read_json,
    read_object,
    read_yaml,
    yaml_text,
)
from workflows.definitions.numbers import as_written
from workflows.errors import DefinitionError


@dataclass(frozen=True, slots=True)
class Submission:
    """``value`` is None where the text can't be read at all; ``text`` is the YAML, of the YAML view as it was typed."""

    view: str
    value: Any
    text: str
    checked: Checked
    forms: FormView | None = None

    @property
    def definition(self) -> Definition | None:
        """What can be stored; None where anything is wrong."""
        return None if self.unreadable else self.checked.definition

    @property
    def unreadable(self) -> list[Problem]:
        return self.forms.unreadable() if self.forms else []

    @property
    def problems(self) -> list[Problem]:
        """Errors, then warnings."""
        return [*self.unreadable, *self.checked.problems, *self.checked.warnings]

    @property
    def source(self) -> str:
        """The text that a version keeps beside its definition: as it was typed, of the YAML view only."""
        return self.text if self.view == "yaml" else ""


def submission(sent: QueryDict, stored_as: str) -> Submission:
    """Read what was sent for the workflow of this id; an empty one is not stored yet.

    Nothing in it raises: what is wrong with it is among the problems.
    """
    found = _read(sent, new=not stored_as)
    given = found.value.get("workflow_id") if isinstance(found.value, dict) else stored_as
    if not stored_as or given == stored_as:
        return found
    message = f'the id of a stored workflow stays: write "{stored_as}" here, or make a new workflow'
    problem = Problem("workflow_id", message, "id_changed")
    return replace(found, checked=Checked(None, [problem, *found.checked.problems], found.checked.warnings))


def _read(sent: QueryDict, *, new: bool) -> Submission:
    match sent.get("view"):
        case "yaml":
            text = sent.get("text", "").replace("\r\n", "\n")
            return _of_text("yaml", text, lambda: read_yaml(text))
        case "designer":
            return _of_text("designer", "", lambda: _drawn(sent))
        case _:
            return _of_forms(sent, new)


def _of_text(view: str, text: str, read: Callable[[], Source]) -> Submission:
    try:
        source = read()
        checked = check(source, Catalog())
    except DefinitionError as error:  # no YAML or JSON, or too deep or too large to be looked at
        return Submission(view, None, text, Checked(None, error.problems, []))
    return Submission(view, source.value, text or yaml_text(source.value), checked)


def _drawn(sent: QueryDict) -> Source:
    source = read_json(sent.get("definition", ""))
    return read_object(as_written(source.value, written_in(sent)))


def _of_forms(sent: QueryDict, new: bool) -> Submission:
    forms = FormView.of(written_in(sent), sent, new=new)
    value = forms.definition()
    try:
        checked = check(read_object(value), Catalog())
    except DefinitionError as error:
        checked = Checked(None, error.problems, [])
    forms.show(checked.problems)
    return Submission("form", value, yaml_text(value), checked, forms)


def written_in(sent: QueryDict) -> Any:
    """The definition that the view was made from; an empty one where none was sent, or no JSON."""
    try:
        return read_json(sent.get("written") or "{}").value
    except DefinitionError:
        return {}
