"""Results of functions, kept for other steps that ask for the same: their digest, keeping, finding, forgetting.

All times are the database's.
"""

import json
import time
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Value
from django.db.models.functions import Now
from django.utils.crypto import salted_hmac

from agents.functions.base import AgentSpec
from workflows.models import CachedResult
from workflows.outcomes import Reusable

SALT = "workflows.cached_results"
AT_ONCE = 200  # rows of one DELETE
SECONDS = 1.0  # spent on deleting in one sweep; what is left waits for the next


@dataclass(frozen=True, slots=True)
class Found:
    """A result that is still good, and the run and step it comes from; ``run_id`` is None once that was deleted."""

    result: dict[str, Any]
    run_id: uuid.UUID | None
    path: str


def digest(
    agent: AgentSpec, function: str, basis: dict[str, Any], model: str | None, schema: Any, key: str | None
) -> str:
    """64 hex digits over all that a function's result hangs on; ``basis`` is `registry.basis`.

    An HMAC, keyed by the site's ``SECRET_KEY``: parameters may hold secrets, which a plain hash would let be guessed.
    """
    content = [agent.to_json(), function, basis, model, schema, key]
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=asdict)
    return salted_hmac(SALT, text, algorithm="sha256").hexdigest()


def find(digest: str) -> Found | None:
    """The result of this digest, if there is one that has not expired."""
    rows = CachedResult.objects.filter(digest=digest, expires_at__gt=Now())
    row = rows.values_list("result", "run_id", "path").first()
    return None if row is None else Found(*row)


def keep(entries: Iterable[tuple[uuid.UUID, str, Reusable]]) -> None:
    """Store results of (run, path), in the place of older ones of the same digest; part of the caller's transaction."""
    latest = {reusable.digest: (run_id, path, reusable) for run_id, path, reusable in entries}
    if not latest:
        return
    rows = [
        CachedResult(
            digest=reusable.digest,
            result=Value(reusable.result),  # is JSON text already
            created_at=Now(),
            expires_at=Now() + timedelta(seconds=reusable.ttl_seconds),
            run_id=run_id,
            path=path,
        )
        # In one order, so that two transactions that keep the same results do not wait for each other in a circle.
        for _, (run_id, path, reusable) in sorted(latest.items())
    ]
    CachedResult.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["digest"],
        update_fields=["result", "created_at", "expires_at", "run", "path"],
    )


def forget_expired() -> int:
    """Delete what has expired, in batches, for some seconds. Returns how many."""
    until, deleted = time.monotonic() + SECONDS, 0
    expired = CachedResult.objects.filter(expires_at__lte=Now())
    while time.monotonic() < until and (keys := list(expired.values_list("pk", flat=True)[:AT_ONCE])):
        deleted += expired.filter(pk__in=keys).delete()[0]  # but not what was renewed meanwhile
    return deleted
