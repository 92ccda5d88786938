"""`add`: the sum of two numbers."""

from __future__ import annotations

from pydantic import Field

from agents.functions.base import Call, Parameters, Result
from agents.functions.registry import function


class Add(Parameters):
    """Two numbers; whole ones stay whole."""

    a: int | float = Field(description="The first number.")
    b: int | float = Field(description="The number to add to it.")


@function("add", description="Adds two numbers")
async def add(call: Call, parameters: Add) -> Result:
    """Returns `{result, operation}`."""
    return {"result": parameters.a + parameters.b, "operation": "addition"}
