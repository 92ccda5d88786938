"""`echo`: gives back what it was given."""

from __future__ import annotations

from pydantic import Field

from agents.functions.base import Call, Parameters, Result
from agents.functions.registry import function


class Echo(Parameters):
    """A message, in capitals if wished."""

    message: str = Field(description="The text to give back.")
    uppercase: bool = Field(False, description="Give it back in capitals.")


@function("echo", description="Gives the message back")
async def echo(call: Call, parameters: Echo) -> Result:
    """Returns `{echo, original, processed}`."""
    text = parameters.message.upper() if parameters.uppercase else parameters.message
    return {"echo": text, "original": parameters.message, "processed": True}
