"""`config/agents.yaml` → rows, in one transaction, writing only what changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.db import models, transaction

from agents import catalog, config
from agents.functions import registry
from agents.inference import endpoint_warning
from agents.models import Agent, ConfiguredFunction, InferenceEngine, agent_uuid
from agents.places import Problem


@dataclass(slots=True)
class SyncReport:
    """What a sync did to the agents, by name, and what it found strange in the file."""

    created: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    disabled: list[str] = field(default_factory=list)
    changes: dict[str, dict[str, tuple[Any, Any]]] = field(default_factory=dict)  # of updated ones: field → old, new
    warnings: list[Problem] = field(default_factory=list)


def sync(path: Path) -> SyncReport:
    """Bring the rows in line with the file; agents gone from it are disabled, not deleted.

    Raises `AgentsFileError` before anything is written. An agent that the admin disabled stays so.
    """
    file = config.load(Path(path))
    report = SyncReport(warnings=[*file.warnings, *_unavailable(file), *_shadowed(file), *_endpoints(file)])
    with transaction.atomic():
        for entry in file.agents:
            _sync_agent(entry, report)
        _retire({entry.name for entry in file.agents}, report)
        _replace(InferenceEngine, file.inference_engines)
        _replace(ConfiguredFunction, file.functions)
    catalog.forget()
    return report


def preview(path: Path) -> SyncReport:
    """What `sync` would do to the agents; nothing is changed. Raises `AgentsFileError`."""
    with transaction.atomic():
        report = sync(path)
        transaction.set_rollback(True)
    catalog.forget()
    return report


def _sync_agent(entry: config.AgentEntry, report: SyncReport) -> None:
    wished = entry.model_dump(mode="json", exclude=set(entry.model_extra or ()))
    if entry.llm_config:
        wished["llm_config"] = entry.llm_config.model_dump(mode="json", exclude_none=True)
    wished |= {"extra": entry.model_extra or {}, "source": Agent.Source.CONFIG}
    agent = Agent.objects.filter(name=entry.name).first()
    if agent is None:
        Agent.objects.create(id=agent_uuid(entry.name), **wished)
        report.created.append(entry.name)
        return
    if agent.retired:
        wished |= {"enabled": True, "retired": False}
    before = {name: getattr(agent, name) for name in wished}
    changed = _update(agent, wished)
    (report.updated if changed else report.unchanged).append(entry.name)
    if changed:
        report.changes[entry.name] = {name: (before[name], wished[name]) for name in changed}


def _retire(kept: set[str], report: SyncReport) -> None:
    # Those that the admin had disabled are left as they are: their coming back must not enable them.
    for agent in Agent.objects.filter(source=Agent.Source.CONFIG, enabled=True).exclude(name__in=kept):
        _update(agent, {"enabled": False, "retired": True})
        report.disabled.append(agent.name)


def _replace(model: type[models.Model], entries: list[Any]) -> None:
    rows = {row.name: row for row in model._default_manager.all()}  # type: ignore[attr-defined]
    for entry in entries:
        wished = entry.model_dump(mode="json", exclude=set(entry.model_extra or ()))
        wished |= {"extra": entry.model_extra or {}}
        if "endpoint" in wished:
            wished["endpoint"] = wished["endpoint"] or ""
        row = rows.pop(entry.name, None)
        if row is None:
            model._default_manager.create(**wished)
        else:
            _update(row, wished)
    if rows:
        model._default_manager.filter(pk__in=[row.pk for row in rows.values()]).delete()


def _update(row: models.Model, wished: dict[str, Any]) -> list[str]:
    """Set the fields that differ; their names."""
    changed = [name for name, value in wished.items() if getattr(row, name) != value]
    for name in changed:
        setattr(row, name, wished[name])
    if changed:
        row.save(update_fields=[*changed, "updated_at"])
    return changed


def _shadowed(file: config.AgentsFile) -> list[Problem]:
    """Functions of the file that code of the same name stands before, where that makes a difference."""
    return [
        Problem(
            f"function {f.name!r}: its endpoint is not called, as a built-in function has that name", severity="warning"
        )
        for f in file.functions
        if f.endpoint and registry.find(f.name)
    ]


def _endpoints(file: config.AgentsFile) -> list[Problem]:
    named: dict[str, list[str]] = {}
    for agent in file.agents:
        if agent.llm_config and agent.llm_config.api_endpoint:
            named.setdefault(agent.llm_config.api_endpoint, []).append(agent.name)
    told = [(endpoint_warning(url), names) for url, names in named.items()]
    return [Problem(f"api_endpoint {text} (of {', '.join(names)})", severity="warning") for text, names in told if text]


def _unavailable(file: config.AgentsFile) -> list[Problem]:
    """Functions that the file names and nothing here carries out."""
    described = {f.name for f in file.functions if f.type == "llm" or (f.type != "builtin" and f.endpoint)}
    missing: dict[str, list[str]] = {}
    for agent in file.agents:
        for name in agent.functions:
            if name not in described and registry.find(name) is None:
                missing.setdefault(name, []).append(agent.name)
    return [
        Problem(f"{registry.unknown_function(name)} (named by {', '.join(names)})", severity="warning")
        for name, names in missing.items()
    ]
