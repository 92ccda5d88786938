"""Plain factories of what functions are called with."""

from __future__ import annotations

import asyncio
from typing import Any

from agents.functions import registry
from agents.functions.base import AgentSpec, Call, LLMConfig


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
