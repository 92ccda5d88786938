"""Whether an agent and its function are there, and the function takes these parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from workflows.definitions.catalog import Catalog
from workflows.definitions.problems import Path, Problem
from workflows.definitions.reading import Source
from workflows.nearest import did_you_mean


def offer_problems(
    source: Source, path: Path, part: Mapping[str, Any], parameters: Any, catalog: Catalog
) -> Iterator[Problem]:
    """What is wrong with the agent and the function that a step, or a fallback, names."""
    agent, function = part.get("agent_id"), part.get("function_name")
    if not isinstance(agent, str) or not agent:
        return
    if not catalog.has_agent(agent):
        names = sorted(catalog.agent_names())
        hint = did_you_mean(agent, names) or f"; there are {', '.join(names[:10]) or 'none'}"
        yield source.problem((*path, "agent_id"), f'there is no agent "{agent}"{hint}', "agent_not_found")
    if isinstance(function, str) and function:
        if fault := _function_fault(agent, function, catalog):
            yield source.problem((*path, "function_name"), fault, "function_not_found")
        yield from _parameter_problems(source, (*path, "parameters"), agent, function, parameters, catalog)


def _function_fault(agent: str, function: str, catalog: Catalog) -> str:
    known = sorted(catalog.function_names())
    if function not in known:
        hint = did_you_mean(function, known) or f"; there are {', '.join(known[:20]) or 'none'}"
        return f'there is no function "{function}"{hint}'
    offered = sorted(catalog.agent_functions(agent)) if catalog.has_agent(agent) else known
    if function not in offered:
        return f'agent "{agent}" does not offer "{function}"; it offers {", ".join(offered)}'
    return ""


def _parameter_problems(
    source: Source, path: Path, agent: str, function: str, parameters: Any, catalog: Catalog
) -> Iterator[Problem]:
    if not isinstance(parameters, dict) or function not in catalog.function_names():
        return
    for found in catalog.parameter_problems(function, parameters, agent):
        below = _parts(str(found["path"]))
        warning = found.get("severity") == "warning"
        yield source.problem((*path, *below), found["message"], found["code"], of_key=warning, warning=warning)


def _parts(path: str) -> Path:
    """`"stop[0].x"` as a path."""
    words = path.replace("]", "").replace("[", ".").split(".")
    return tuple(int(word) if word.isdecimal() else word for word in words if word)
