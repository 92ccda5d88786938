"""The editor's view of forms: one for the workflow, one for each step, over a definition as it was written."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agents.catalog import agents
from workflows.admin.form_values import definition_of, place, step_values, workflow_values
from workflows.admin.forms import Choices, StepForm, StepForms, WorkflowForm
from workflows.catalog import Catalog
from workflows.definitions import Problem
from workflows.models.fields import dumps

EMPTY: dict[str, Any] = {"steps": [{}]}


@dataclass(slots=True)
class FormView:
    """The forms of one definition, bound to what was sent, if anything was."""

    written: Mapping[str, Any]
    form: WorkflowForm
    steps: Any  # a formset of StepForm

    @classmethod
    def of(cls, written: Mapping[str, Any], sent: Any = None, *, new: bool) -> "FormView":
        """``new``: the id can still be chosen."""
        shown = written if _fits(written) else EMPTY
        form = WorkflowForm(sent, initial=workflow_values(shown))
        form.fields["workflow_id"].disabled = not new
        steps = StepForms(
            sent,
            prefix="steps",
            initial=step_values(shown["steps"]) if shown["steps"] != [{}] else [{"position": 1}],
            form_kwargs={"agents": _agent_choices(), "functions": _function_choices()},
        )
        return cls(shown, form, steps)

    @property
    def written_text(self) -> str:
        """What the forms were made from, as JSON: it is sent back with them."""
        return dumps(dict(self.written))

    def rows(self) -> list[StepForm]:
        """The steps that stay, in the order that their positions give."""
        kept = [row for row in self.steps.forms if not row.cleaned_data.get("remove")]
        return sorted(kept, key=lambda row: row.cleaned_data.get("position") or float("inf"))

    def definition(self) -> dict[str, Any]:
        """What the forms describe, with every key kept that they have no field for."""
        self.form.is_valid(), self.steps.is_valid()  # each cleans what it can read
        return definition_of(self.written, self.form, self.rows())

    def show(self, problems: list[Problem]) -> None:
        """Each problem at the field that it belongs to."""
        rows = self.rows()
        place([problem for problem in problems if not _said_already(problem, self.form, rows)], self.form, rows)

    def unreadable(self) -> list[Problem]:
        """What keeps fields from being read, as problems."""
        forms = [("", self.form), *((f"steps[{index}].", row) for index, row in enumerate(self.rows()))]
        return [
            Problem(f"{start}{field}", str(message), "unreadable_field")
            for start, form in forms
            for field, messages in form.errors.items()
            for message in messages
        ]


def _fits(written: Any) -> bool:
    """Whether forms can show it: an object with a list of objects as steps."""
    if not isinstance(written, Mapping):
        return False
    steps = written.get("steps")
    return isinstance(steps, list) and bool(steps) and all(isinstance(step, dict) for step in steps)


def _said_already(problem: Problem, form: WorkflowForm, rows: list[StepForm]) -> bool:
    """Whether the field could not even be read: then what the checks say of its old value would mislead."""
    forms = {"": form} | {f"steps[{index}].": row for index, row in enumerate(rows)}
    return any(problem.path.startswith(f"{start}{field}") for start, each in forms.items() for field in each.errors)


def _agent_choices() -> Choices:
    return [(spec.name, f"{spec.name}: {spec.role or spec.type}"[:80]) for spec in agents()]


def _function_choices() -> Choices:
    return [(name, name) for name in Catalog().function_names()]
