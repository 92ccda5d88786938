"""`delay`: waits."""

from __future__ import annotations

import asyncio

from pydantic import Field

from agents.functions.base import Call, Parameters, Result
from agents.functions.registry import function


class Delay(Parameters):
    """How long to wait: at most a day."""

    ms: float = Field(ge=0, le=86_400_000, description="How long to wait, in milliseconds.")


@function("delay", description="Waits a number of milliseconds")
async def delay(call: Call, parameters: Delay) -> Result:
    """Returns `{waited_ms, status}`."""
    await asyncio.sleep(parameters.ms / 1000)
    whole = parameters.ms.is_integer()
    return {"waited_ms": int(parameters.ms) if whole else parameters.ms, "status": "completed"}
