"""`add`: the sum of two numbers."""

from __future__ import annotations

from agents.functions.base import Call, Parameters, Result
from agents.functions.registry import function


class Add(Parameters):
    """Two numbers; whole ones stay whole."""

    a: int | float
    b: int | float


@function("add", description="Adds two numbers")
async def add(call: Call, parameters: Add) -> Result:
    """Returns `{result, operation}`."""
    return {"result": parameters.a + parameters.b, "operation": "addition"}
