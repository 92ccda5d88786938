"""Steps that a step with ``generate`` made: checked once, when they are made, and read from its result afterwards."""

from collections.abc import Collection, Mapping
from typing import Any

from django.db import connection
from pydantic import TypeAdapter

from workflows.catalog import Catalog
from workflows.definitions import check_generated
from workflows.definitions.models import Definition, Steps
from workflows.errors import GeneratedStepsInvalid

_steps: TypeAdapter[Steps] = TypeAdapter(Steps)

PROBLEMS_TOLD = 5


def check(
    definition: Definition, path: str, result: Mapping[str, Any], visible: Collection[str], items: Collection[str]
) -> None:
    """Raises `GeneratedStepsInvalid` with what is wrong with the ``steps`` of a result, each with its place.

    They stand behind the step whose execution has this ``path``. ``visible`` are the ids of the steps that have a
    record there, its own too, ``items`` the names that loops around it give. Reads the database; to be called in a
    thread without a connection.
    """
    try:
        _, problems = check_generated(
            result.get("steps"), definition=definition, path=path, visible=visible, items=items, catalog=Catalog()
        )
    finally:
        connection.close()
    if problems:
        told = "; ".join(f"{problem.path}: {problem.message}" for problem in problems[:PROBLEMS_TOLD])
        more = f"; and {len(problems) - PROBLEMS_TOLD} more" if len(problems) > PROBLEMS_TOLD else ""
        raise GeneratedStepsInvalid(f"the generated steps can't be run: {told}{more}")


def read(result: Mapping[str, Any]) -> Steps:
    """The steps in the recorded result of a step with ``generate``."""
    return _steps.validate_python(result["steps"], strict=False)
