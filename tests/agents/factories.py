"""Plain factories of what functions are called with."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agents.errors import AgentError, FunctionNotFound
from agents.functions import registry
from agents.functions.base import AgentSpec, Call, Function, LLMConfig, Result


def make_agent(**fields: Any) -> AgentSpec:
    return AgentSpec(**{"id": "00000000-0000-0000-0000-000000000001", "name": "tester", **fields})


def make_call(**fields: Any) -> Call:
    return Call(**{"agent": make_agent(), **fields})


def agent_at(url: str, **llm: Any) -> AgentSpec:
    """An agent whose model is served at `url`."""
    return make_agent(llm=LLMConfig(**{"model_name": "scripted", "api_endpoint": url, **llm}))


def call_function(name: str, parameters: dict[str, Any], call: Call | None = None) -> dict[str, Any]:
    """Run a function to its end in a loop of its own."""
    return asyncio.run(registry.arun(registry.get(name), call or make_call(), parameters))


@dataclass
class Offered:
    """Functions of an agent, called in the loop, whatever their kind; `calls` are those that were made."""

    functions: dict[str, Function]
    calls: list[Call] = field(default_factory=list)

    @classmethod
    def named(cls, *names: str) -> Offered:
        return cls({name: registry.get(name) for name in names})

    def find(self, name: str) -> Function:
        if name not in self.functions:
            raise FunctionNotFound(f"the agent does not offer {name!r}")
        return self.functions[name]

    async def call(self, function: Function, call: Call, parameters: Mapping[str, Any]) -> Result | AgentError:
        self.calls.append(call)
        try:
            return await registry.arun(function, call, parameters)
        except AgentError as error:
            return error
