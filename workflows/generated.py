"""Steps that a step with ``generate`` made: checked once, when they are made, and read from its result afterwards."""

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import TypeAdapter

from workflows.definitions.models import Definition, FunctionStep, Steps
from workflows.errors import GeneratedStepsInvalid

_steps: TypeAdapter[Steps] = TypeAdapter(Steps)

PROBLEMS_TOLD = 5


def check(definition: Definition, step: FunctionStep, result: Mapping[str, Any], visible: Collection[str]) -> None:
    """Raises `GeneratedStepsInvalid` with what is wrong with the ``steps`` of a result, each with its place.

    ``visible`` are the ids of steps that stand before it. Reads the database for agents.
    """
    if "steps" not in result:
        raise GeneratedStepsInvalid("the result has no list `steps`: a step with generate: true gives {steps: [...]}")
    _steps.validate_python(result["steps"], strict=False)


def read(result: Mapping[str, Any]) -> Steps:
    """The steps in the recorded result of a step with ``generate``."""
    return _steps.validate_python(result["steps"], strict=False)
