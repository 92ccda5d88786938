"""Hash chains of events. Each event's hash covers the hash before it, so a changed or missing one is found."""

import hashlib
import hmac
import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from workflows.models.event import Event, SiteChain
from workflows.models.fields import dumps


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event ready to be written; ``data`` is JSON text."""

    run_id: uuid.UUID | None
    seq: int
    type: str
    at: datetime
    actor: str
    path: str
    data: str
    hash: str


def link(
    head: str, run_id: uuid.UUID | None, seq: int, type: str, at: datetime, actor: str, path: str, data: str
) -> str:
    """The hash of an event that follows ``head``: SHA-256, or its HMAC with ``KOLOSAL_AUDIT_KEY``; 64 hex digits."""
    moment = at.astimezone(UTC).isoformat(timespec="microseconds")
    content = json.dumps([head, str(run_id or ""), seq, type, moment, actor, path, data]).encode()
    if settings.AUDIT_KEY:
        return hmac.digest(settings.AUDIT_KEY.encode(), content, "sha256").hex()
    return hashlib.sha256(content).hexdigest()


def make_event(
    head: str, run_id: uuid.UUID | None, seq: int, type: str, at: datetime, actor: str, path: str, data: dict[str, Any]
) -> EventRow:
    text = dumps(data)
    return EventRow(run_id, seq, type, at, actor, path, text, link(head, run_id, seq, type, at, actor, path, text))


def record(type: str, *, actor: str, subject: str, **data: Any) -> None:
    """Append an event that belongs to no run, such as the change of a definition; part of the caller's transaction."""
    with transaction.atomic():
        SiteChain.objects.get_or_create(pk=1)
        chain = SiteChain.objects.select_for_update().get(pk=1)
        event = make_event(chain.head, None, chain.seq + 1, type, timezone.now(), actor, subject, data)
        Event.objects.create(
            run=None,
            seq=event.seq,
            type=type,
            at=event.at,
            actor=actor,
            path=subject,
            data=data,
            hash=event.hash,
        )
        chain.seq, chain.head = event.seq, event.hash
        chain.save(update_fields=["seq", "head"])


def first_broken(run_id: uuid.UUID | None) -> int | None:
    """The number of the first event of a chain that is changed, missing or out of order; None if the chain holds.

    Whether the chain ends where its head says is for the caller, who has the head.
    """
    head = ""
    chain = Event.objects.filter(run__isnull=True) if run_id is None else Event.objects.filter(run_id=run_id)
    for expected, event in enumerate(chain.order_by("seq").iterator(), start=1):
        if event.seq != expected:
            return expected
        digest = link(head, run_id, event.seq, event.type, event.at, event.actor, event.path, dumps(event.data))
        if digest != event.hash:
            return event.seq
        head = digest
    return None
