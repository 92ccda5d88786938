"""The input of a run, and the parameters of a template, against a JSON Schema: defaults filled in, then checked."""

from typing import Any

from workflows.definitions.defaults import EndlessDefaults, filled
from workflows.definitions.models import Definition
from workflows.definitions.problems import Problem, written
from workflows.definitions.schemas import mismatches
from workflows.errors import InputInvalid, ParametersInvalid


def accepted_input(definition: Definition, input: dict[str, Any]) -> dict[str, Any]:
    """The input with defaults where it leaves something out. Raises `InputInvalid` with every place that is wrong."""
    if definition.parameters is None:
        return input
    whole, problems = _accepted("input_context", input, definition.parameters, "input_invalid")
    if problems:
        raise InputInvalid(f"input_context does not match the workflow's parameters: {_told(problems)}", problems)
    return whole


def check_parameters(parameters: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """The parameters of a template with its defaults in place; ``schema`` has passed `schema_faults`.

    Raises `ParametersInvalid` with every place where they do not match.
    """
    whole, problems = _accepted("parameters", parameters, schema, "parameter_invalid")
    if problems:
        raise ParametersInvalid(f"parameters do not match the template's schema: {_told(problems)}", problems)
    return whole


def _accepted(
    name: str, value: dict[str, Any], schema: dict[str, Any], code: str
) -> tuple[dict[str, Any], list[Problem]]:
    try:
        whole: dict[str, Any] = filled(value, schema)
    except EndlessDefaults as error:
        return value, [Problem(name, str(error), code)]
    found = mismatches(whole, schema)
    return whole, [Problem(path=written((name, *path)), message=message, code=code) for path, message in found]


def _told(problems: list[Problem]) -> str:
    return "; ".join(f"{problem.path}: {problem.message}" for problem in problems[:5])
