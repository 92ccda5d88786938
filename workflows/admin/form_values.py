"""From a definition to the form's values and back, keeping every key that the form has no field for."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django import forms

from workflows.admin.forms import StepForm, WorkflowForm
from workflows.definitions import Definition, FunctionStep, Problem

WORKFLOW_KEYS = (
    "workflow_id", "workflow_name", "description", "tags", "stop_on_failure", "max_execution_time_seconds",
    "global_context", "parameters",
)  # fmt: skip
STEP_KEYS = (
    "step_id", "step_name", "agent_id", "function_name", "parameters", "precondition", "timeout_seconds",
    "max_retries", "continue_on_failure",
)  # fmt: skip
STEP_PATH = re.compile(r"steps\[(\d+)\]\.?(.*)")
FIRST_KEY = re.compile(r"([A-Za-z_]+)[.\[]?(.*)")

Written = Mapping[str, Any]


def workflow_values(written: Written) -> dict[str, Any]:
    """The initial values of `WorkflowForm`."""
    values = {key: written[key] for key in WORKFLOW_KEYS if key in written}
    other = {key: value for key, value in written.items() if key not in WORKFLOW_KEYS and key != "steps"}
    return values | {"tags": ", ".join(written.get("tags", [])), "other": other}


def step_values(written: Sequence[Written]) -> list[dict[str, Any]]:
    """The initial values of each `StepForm`."""
    return [_step_values(step, index) for index, step in enumerate(written)]


def _step_values(step: Written, index: int) -> dict[str, Any]:
    own = {key: step[key] for key in STEP_KEYS if key in step and not _is_callable(key, step[key])}
    other = {key: value for key, value in step.items() if key not in own}
    return own | {"other": other, "origin": index, "position": index + 1}


def _is_callable(key: str, value: Any) -> bool:
    """A registered callable is no text: it is shown among the other fields."""
    return key == "precondition" and not isinstance(value, str)


def definition_of(written: Written, form: WorkflowForm, rows: Sequence[StepForm]) -> dict[str, Any]:
    """The definition that the forms describe, in the order in which it was written."""
    steps = written.get("steps", [])
    definition = _merged(written, form, WORKFLOW_KEYS, Definition)
    definition.pop("steps", None)
    return definition | {"steps": [_merged(_origin(steps, row), row, STEP_KEYS, FunctionStep) for row in rows]}


def _origin(steps: Sequence[Written], row: StepForm) -> Written:
    index = row.cleaned_data.get("origin", -1)
    return steps[index] if 0 <= index < len(steps) else {}


def _merged(
    written: Written, form: forms.Form, keys: Sequence[str], model: type[Definition] | type[FunctionStep]
) -> dict[str, Any]:
    """What was written, with the form's values in place; a field that can't be read stays as it was."""
    values = dict(written)
    if "other" in form.cleaned_data:
        other = form.cleaned_data["other"]
        for key in [key for key in values if key not in keys and key not in other]:
            del values[key]
        values |= other
    elsewhere = form.cleaned_data.get("other", {})
    for key in keys:
        value = form.cleaned_data.get(key)
        if key in form.cleaned_data and (value or key not in elsewhere):
            _put(values, key, value, model)
    return values


def _put(values: dict[str, Any], key: str, value: Any, model: type[Definition] | type[FunctionStep]) -> None:
    default = model.model_fields[key].get_default()
    empty = value in ("", None) or (value in ({}, []) and default in ({}, [], None))
    if empty or (value == default and key not in values):
        if key in values and not (empty and values[key] == value):
            del values[key]
    else:
        values[key] = value


def place(problems: Sequence[Problem], form: WorkflowForm, rows: Sequence[StepForm]) -> None:
    """Show each problem at the field, or at least the row, that it belongs to."""
    for problem in problems:
        target: forms.Form = form
        path = problem.path
        found = STEP_PATH.match(path)
        if found and int(found[1]) < len(rows):
            target, path = rows[int(found[1])], found[2]
        _show(target, path, problem)


def _show(target: forms.Form, path: str, problem: Problem) -> None:
    found = FIRST_KEY.match(path)
    key, rest = (found[1], found[2]) if found else ("", "")
    if key in target.fields and key not in {"other", "origin", "position", "remove"}:
        message = f"{rest.rstrip(']')}: {problem.message}" if rest else problem.message
        target.add_error(key, message)
    elif key and (key != "steps" or isinstance(target, StepForm)):
        target.add_error("other", f"{path}: {problem.message}")
    else:
        target.add_error(None, problem.message)
