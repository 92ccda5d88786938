"""What a recording holds: the rows of these models by column, and the files that the steps had written."""

import datetime
import json
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.apps.registry import Apps
from django.db.models import Model

MODELS = (
    "agents.Agent",
    "workflows.Workflow",
    "workflows.WorkflowVersion",
    "workflows.Step",
    "workflows.Worker",
    "workflows.Run",
    "workflows.StepResult",
    "workflows.RunRequest",
    "workflows.StreamText",
    "workflows.Event",
    "workflows.SiteChain",
)


Rows = list[dict[str, Any]]


def read(file: Path, witness: Path) -> dict[str, Any]:
    """``release``, ``migrations`` (app → newest), ``files`` (name → text), and model → rows; the steps' files are to
    be in the folder ``witness``.
    """
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8").replace("@WITNESS@", str(witness)))
    return content


def columns(model: type[Model]) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields]


def rows(model: type[Model], names: Iterable[str]) -> Rows:
    """All rows in the order of their keys, with values that JSON has a form for."""
    found = model._default_manager.order_by("pk").values(*names)
    return [{name: _plain(value) for name, value in row.items()} for row in found]


def models(apps: Apps) -> dict[str, type[Model]]:
    """Name → model, as the given apps (of now, or of a migration) have it."""
    return {name: apps.get_model(name) for name in MODELS}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    return str(value) if isinstance(value, uuid.UUID) else value
