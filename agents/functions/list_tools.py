"""`list_tools`: what the agent can do."""

from __future__ import annotations

from pydantic import Field

from agents.functions.base import ALWAYS_OFFERED, Call, Parameters, Result
from agents.functions.registry import find, function


class ListTools(Parameters):
    """How much to tell of each function."""

    schemas: bool = Field(False, description="Add the JSON schema of each function's parameters.")


@function("list_tools", description="Lists the functions that the agent offers")
async def list_tools(call: Call, parameters: ListTools) -> Result:
    """Returns `{tools: [{name, description, available, parameters?}], count, agent}`."""
    names = list(dict.fromkeys([*call.agent.functions, *sorted(ALWAYS_OFFERED)]))
    tools = [_described(name, parameters.schemas) for name in names]
    return {"tools": tools, "count": len(tools), "agent": call.agent.name}


def _described(name: str, with_schema: bool) -> Result:
    found = find(name)
    told: Result = {
        "name": name,
        "description": found.description if found else "",
        "available": found is not None,
    }
    if found and with_schema:
        told["parameters"] = found.parameters.model_json_schema()
    return told
