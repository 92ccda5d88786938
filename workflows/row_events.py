"""Accounts, groups, agents and what the agents' file says: each row made, changed or deleted is an event.

Django's signals tell, whoever changes the row: the admin, a command, code of one's own. ``QuerySet.update()`` sends
none, so nothing here uses it on these rows.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import Group, User
from django.db import models
from django.db.models.signals import post_delete, post_save, pre_save

from agents.models import Agent, ConfiguredFunction, InferenceEngine
from workflows import acting, audit
from workflows.masking import redacted

LONGEST = 2000  # characters of a value that an event has in full
UNWATCHED = {"id", "created_at", "updated_at", "last_login", "date_joined"}
PASSWORD = "password"  # noqa: S105


@dataclass(frozen=True, slots=True)
class Watched:
    """Events are ``<kind>_created``, ``_changed``, ``_deleted``. Of fields in ``private`` only the name is told."""

    kind: str
    private: frozenset[str] = frozenset()


WATCHED: dict[type[models.Model], Watched] = {
    User: Watched("user", private=frozenset({PASSWORD, "email", "first_name", "last_name"})),
    Group: Watched("group"),
    Agent: Watched("agent"),
    InferenceEngine: Watched("engine"),
    ConfiguredFunction: Watched("function"),
}


def connect() -> None:
    """Listen from now on."""
    for model in WATCHED:
        pre_save.connect(_remember, sender=model, dispatch_uid="row_events")
        post_save.connect(_saved, sender=model, dispatch_uid="row_events")
        post_delete.connect(_deleted, sender=model, dispatch_uid="row_events")


def _remember(instance: models.Model, update_fields: frozenset[str] | None = None, **_: Any) -> None:
    names = _fields(type(instance)) & set(update_fields) if update_fields else _fields(type(instance))
    rows = type(instance)._base_manager.filter(pk=instance.pk)
    instance._before = rows.values(*names).first() if names and instance.pk else None  # type: ignore[attr-defined]


def _saved(instance: models.Model, created: bool, update_fields: frozenset[str] | None = None, **_: Any) -> None:
    before = instance.__dict__.pop("_before", None)
    if created:
        _record(instance, "created", _told(instance, _differing(instance, _defaults(type(instance)))))
    elif before is not None and not _is_new_hash(instance, update_fields):
        changed = _differing(instance, before)
        if changed:
            _record(instance, _verb(instance, changed), _told(instance, changed))


def _deleted(instance: models.Model, **_: Any) -> None:
    _record(instance, "deleted", {})


def _record(instance: models.Model, verb: str, data: Mapping[str, Any]) -> None:
    kind = WATCHED[type(instance)].kind
    audit.record(f"{kind}_{verb}", actor=acting.actor(), subject=str(instance), **data)


def _verb(instance: models.Model, changed: Mapping[str, Any]) -> str:
    if isinstance(instance, Agent) and "enabled" in changed:
        return "enabled" if instance.enabled else "disabled"
    return "changed"


def _fields(model: type[models.Model]) -> set[str]:
    return {field.name for field in model._meta.concrete_fields} - UNWATCHED


def _defaults(model: type[models.Model]) -> dict[str, Any]:
    return {name: model._meta.get_field(name).get_default() for name in _fields(model)}  # type: ignore[union-attr]


def _differing(instance: models.Model, before: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {name: (old, getattr(instance, name)) for name, old in before.items() if getattr(instance, name) != old}


def _is_new_hash(instance: models.Model, update_fields: frozenset[str] | None) -> bool:
    """Whether the same password is stored under newer rules, which Django does at a log-in."""
    rehashed = set(update_fields or ()) == {PASSWORD} and getattr(instance, "_password", None) is None
    return isinstance(instance, User) and rehashed


def _told(instance: models.Model, changed: Mapping[str, tuple[Any, Any]]) -> dict[str, Any]:
    """``changed {field: [before, after]}``, and ``private [field]``."""
    private = WATCHED[type(instance)].private
    values = {name: [_shown(name, value) for value in pair] for name, pair in changed.items() if name not in private}
    return {"changed": values, "private": sorted(private & set(changed))}


def _shown(name: str, value: Any) -> Any:
    """A value without secrets, cut where it is long."""
    value = redacted({name: value})[name]
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return value if len(text) <= LONGEST else f"{text[:LONGEST]}…"
