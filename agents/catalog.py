"""Looking up agents and what they offer, by name or UUID; read from the database at most once a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.db import connection

from agents import configured, tools
from agents.errors import AgentDisabled, AgentNotFound, FunctionNotFound
from agents.functions import registry
from agents.functions.base import ALWAYS_OFFERED, AgentSpec, Function
from agents.functions.inference import Inference
from agents.models import Agent, ConfiguredFunction
from agents.wording import hint

FRESH_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Entry:
    spec: AgentSpec
    enabled: bool


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """The tables as they were at `read_at` (monotonic seconds) in one database."""

    database: str
    read_at: float
    agents: Mapping[str, _Entry]  # by name and by UUID
    configured: Mapping[str, ConfiguredFunction] = field(default_factory=dict)

    def fresh(self) -> bool:
        return time.monotonic() - self.read_at < FRESH_SECONDS and self.database == _database()


_snapshot: _Snapshot | None = None
_reading = threading.Lock()


def agent(name_or_uuid: str) -> AgentSpec:
    """The agent of that name or UUID. Raises `AgentNotFound` naming the nearest, `AgentDisabled`."""
    snapshot = _current()
    entry = snapshot.agents.get(_key(name_or_uuid))
    if entry is None:
        names = [e.spec.name for e in snapshot.agents.values() if e.enabled]
        shown = sorted(set(names)) or ["none; run `manage.py sync_agents`"]
        raise AgentNotFound(f"there is no agent {name_or_uuid!r}; {hint(name_or_uuid, names, shown=shown)}")
    if not entry.enabled:
        raise AgentDisabled(f"agent {entry.spec.name!r} is disabled")
    return entry.spec


def agents() -> list[AgentSpec]:
    """The enabled agents, by name."""
    entries = {entry.spec.name: entry for entry in _current().agents.values()}
    return [entries[name].spec for name in sorted(entries) if entries[name].enabled]


def function(agent: AgentSpec, name: str) -> Function:
    """The agent's function of that name or alias; raises `FunctionNotFound` with what the agent offers.

    Code comes before the file: a built-in that the file calls `external_api` stays the built-in. Asks no
    database once the agent was looked up, so that an event loop may call it.
    """
    snapshot = _known()
    if name not in functions_of(agent):
        offered = ", ".join(sorted({*agent.functions, *ALWAYS_OFFERED}))
        if name in registry.PLANNED:
            raise FunctionNotFound(registry.unknown_function(name))
        raise FunctionNotFound(f"agent {agent.name!r} does not offer {name!r}; it offers {offered}")
    found = registry.find(name)
    return found or configured.build(snapshot.configured[name])


def functions_of(agent: AgentSpec) -> set[str]:
    """Every name by which the agent's functions can be called, aliases included."""
    snapshot = _known()
    names: set[str] = set()
    for name in {*agent.functions, *ALWAYS_OFFERED}:
        found = registry.find(name)
        if found:
            names |= {found.name, *found.aliases}
        elif name in snapshot.configured and configured.can_build(snapshot.configured[name]):
            names.add(name)
    return names


def timeout_seconds(name: str) -> float | None:
    """The timeout that the file gives a function, for steps that say none."""
    row = _current().configured.get(name)
    return row.timeout_ms / 1000 if row and row.timeout_ms else None


def forget() -> None:
    """Read the tables anew at the next look-up."""
    global _snapshot
    _snapshot = None


class Catalog:
    """What a definition may name: the view of agents and functions that its checks take."""

    def has_agent(self, name_or_uuid: str) -> bool:
        entry = _current().agents.get(_key(name_or_uuid))
        return entry is not None and entry.enabled

    def agent_names(self) -> list[str]:
        return [spec.name for spec in agents()]

    def agent_functions(self, name_or_uuid: str) -> set[str]:
        """Every name by which the agent's functions can be called; raises `AgentNotFound`."""
        return functions_of(agent(name_or_uuid))

    def function_names(self) -> list[str]:
        known = {name for f in registry.all_functions() for name in (f.name, *f.aliases)}
        rows = _current().configured.values()
        return sorted(known | {row.name for row in rows if configured.can_build(row)})

    def parameter_problems(
        self, function_name: str, parameters: Mapping[str, Any], agent_name: str = ""
    ) -> list[dict[str, Any]]:
        """What is wrong with literal parameters; `[]` for a function without a schema."""
        found = registry.find(function_name)
        if found is None:
            return []
        problems = registry.literal_problems(found, parameters)
        named = parameters.get("tools")
        if found.parameters is Inference and isinstance(named, list) and self.has_agent(agent_name):
            problems += _tool_problems(agent(agent_name), named)
        return problems


def _tool_problems(agent: AgentSpec, named: list[Any]) -> list[dict[str, Any]]:
    """What is wrong with names of tools, as far as they are literal."""
    literal = [(at, name) for at, name in enumerate(named) if isinstance(name, str) and "${" not in name]
    found = [(at, tools.problem(name, partial(function, agent))) for at, name in literal]
    return [
        {"path": f"tools[{at}]", "message": message, "severity": "error", "code": "invalid_parameter"}
        for at, message in found
        if message
    ]


def _known() -> _Snapshot:
    """The last snapshot, however old: whoever looked up an agent has just made it fresh."""
    snapshot = _snapshot
    return snapshot if snapshot is not None and snapshot.database == _database() else _current()


def _current() -> _Snapshot:
    global _snapshot
    snapshot = _snapshot
    if snapshot is not None and snapshot.fresh():
        return snapshot
    with _reading:
        if _snapshot is None or not _snapshot.fresh():
            _snapshot = _read()
        return _snapshot


def _read() -> _Snapshot:
    read_at = time.monotonic()
    entries = {}
    for row in Agent.objects.all():
        entry = _Entry(row.spec(), row.enabled)
        entries[row.name] = entries[str(row.id)] = entry
    configured_rows = {row.name: row for row in ConfiguredFunction.objects.all()}
    return _Snapshot(_database(), read_at, entries, configured_rows)


def _database() -> str:
    return str(connection.settings_dict["NAME"])


def _key(name_or_uuid: str) -> str:
    return name_or_uuid.lower() if len(name_or_uuid) == 36 and name_or_uuid.count("-") == 4 else name_or_uuid
