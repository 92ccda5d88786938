"""Idempotency keys of starts: for a day, a key of an actor means one run, also when it comes several times at once."""

import hashlib
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from workflows import runs
from workflows.errors import IdempotencyKeyReused
from workflows.models import Run, StartKey, new_run_id

KEPT = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a start asks for. ``version`` is None for the current one, ``run_at`` for now."""

    workflow_id: str
    input: Mapping[str, Any]
    version: int | None = None
    priority: int = 0
    run_at: datetime | None = None
    profile: bool = False

    @property
    def digest(self) -> str:
        """SHA-256 of all of it, 64 hex digits; the order of keys makes no difference."""
        moment = self.run_at.astimezone(UTC).isoformat() if self.run_at else None
        content = [self.workflow_id, self.input, self.version, self.priority, moment]
        content += [True] if self.profile else []  # keys of releases without this option go on
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def once(key: str, actor: str, asked: Asked, begin: Callable[[uuid.UUID], Run]) -> tuple[Run, bool]:
    """The run of this key, and whether it was started earlier. ``begin`` starts a new one, of the id that it is given.

    Raises `IdempotencyKeyReused`, and what ``begin`` raises; then nothing is remembered.
    """
    own = StartKey(actor=actor, key=key, digest=asked.digest, run_id=new_run_id())
    with transaction.atomic():
        StartKey.objects.filter(actor=actor, key=key, created_at__lte=_forgotten_until()).delete()
        # The key comes first, the run after it: whoever brings the same key at the same time waits here for the
        # commit, and has started nothing. The constraint on `run` is deferred until then.
        StartKey.objects.bulk_create([own], ignore_conflicts=True)
        kept = StartKey.objects.get(actor=actor, key=key)
        if kept.run_id == own.run_id:
            return begin(own.run_id), False
    if kept.digest != own.digest:
        raise IdempotencyKeyReused(_reused(kept))
    return runs.get(kept.run_id), True


def forget_old() -> None:
    """Delete the keys that mean nothing any more."""
    StartKey.objects.filter(created_at__lte=_forgotten_until()).delete()


def _forgotten_until() -> datetime:
    return timezone.now() - KEPT


def _reused(kept: StartKey) -> str:
    return (
        f"Idempotency-Key {kept.key!r} started run {str(kept.run_id)!r} with another workflow, input_context, version, "
        "priority, run_at or profile: send the same again, or use a new key"
    )
