"""The input of a run against the workflow's ``parameters`` (a JSON Schema): its defaults filled in, then checked."""

from typing import Any

from workflows.definitions.defaults import EndlessDefaults, filled
from workflows.definitions.models import Definition
from workflows.definitions.problems import Problem, written
from workflows.definitions.schemas import mismatches
from workflows.errors import InputInvalid


def accepted_input(definition: Definition, input: dict[str, Any]) -> dict[str, Any]:
    """The input with defaults where it leaves something out. Raises `InputInvalid` with every place that is wrong."""
    if definition.parameters is None:
        return input
    try:
        whole: dict[str, Any] = filled(input, definition.parameters)
    except EndlessDefaults as error:
        raise _invalid([Problem("input_context", str(error), "input_invalid")]) from None
    problems = [
        Problem(path=written(("input_context", *path)), message=message, code="input_invalid")
        for path, message in mismatches(whole, definition.parameters)
    ]
    if problems:
        raise _invalid(problems)
    return whole


def _invalid(problems: list[Problem]) -> InputInvalid:
    told = "; ".join(f"{problem.path}: {problem.message}" for problem in problems[:5])
    return InputInvalid(f"input_context does not match the workflow's parameters: {told}", problems)
