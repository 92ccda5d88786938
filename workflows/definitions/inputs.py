"""Checking the input of a run against the workflow's ``parameters`` (a JSON Schema)."""

from typing import Any

from workflows.definitions.models import Definition
from workflows.definitions.problems import Problem, written
from workflows.definitions.schemas import mismatches
from workflows.errors import InputInvalid


def check_input(definition: Definition, input: dict[str, Any]) -> None:
    """Raises `InputInvalid` with every place where ``input`` does not match."""
    if definition.parameters is None:
        return
    problems = [
        Problem(path=written(("input_context", *path)), message=message, code="input_invalid")
        for path, message in mismatches(input, definition.parameters)
    ]
    if problems:
        told = "; ".join(f"{problem.path}: {problem.message}" for problem in problems[:5])
        raise InputInvalid(f"input_context does not match the workflow's parameters: {told}", problems)
