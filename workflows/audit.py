"""Hash chains of events. Each event's hash covers the hash before it, so a changed or missing one is found."""

import hashlib
import hmac
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast
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


def lock() -> SiteChain:
    """The site's chain, locked until the caller's transaction ends; who locks runs as well locks this first."""
    SiteChain.objects.get_or_create(pk=1)
    return SiteChain.objects.select_for_update().get(pk=1)


def record(type: str, *, actor: str, subject: str, **data: Any) -> None:
    """Append an event that belongs to no run, such as the change of a definition; part of the caller's transaction."""
    with transaction.atomic():
        chain = lock()
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


def stored(rows: QuerySet[Event]) -> Iterator[EventRow]:
    """Events as they stand in the store, streamed; ``data`` is the very text that was written."""
    columns = rows.annotate(text=Cast("data", TextField())).values_list(
        "run_id", "seq", "type", "at", "actor", "path", "text", "hash"
    )
    return (EventRow(*row) for row in columns.iterator(chunk_size=1000))


@dataclass(slots=True)
class ChainReader:
    """Reads the events of one chain in order, and keeps the first fault that it finds."""

    run_id: uuid.UUID | None = None
    seq: int = 0
    head: str = ""
    broken_at: int | None = None  # number of the first event that is changed, missing or out of order
    fault: str = ""

    def read(self, event: EventRow) -> None:
        if self.broken_at is not None:
            return
        digest = link(self.head, self.run_id, event.seq, event.type, event.at, event.actor, event.path, event.data)
        if event.seq != self.seq + 1:
            self._break(self.seq + 1, f"event {self.seq + 1} is missing: event {event.seq} ({event.type}) follows")
        elif digest != event.hash:
            self._break(event.seq, f"event {event.seq} ({event.type}) was changed, or the one before it")
        self.seq, self.head = event.seq, event.hash

    def end(self, seq: int, head: str) -> None:
        """Compare the end with number and hash of the newest event, as they are kept outside the chain."""
        if self.broken_at is not None:
            return
        if self.seq < seq:
            self._break(self.seq + 1, f"event {self.seq + 1} is missing: the chain ends before event {seq}")
        elif self.seq > seq:
            self._break(seq + 1, f"event {seq + 1} is one too many: the chain should end with event {seq}")
        elif self.head != head:
            self._break(seq, f"event {seq}, the last one, was exchanged: its hash is not the recorded head")

    def _break(self, seq: int, fault: str) -> None:
        self.broken_at, self.fault = seq, fault


def first_broken(run_id: uuid.UUID | None) -> int | None:
    """The number of the first event of a chain that is changed, missing or out of order; None if the chain holds.

    Whether the chain ends where its head says is for the caller, who has the head.
    """
    reader = ChainReader(run_id)
    chain = Event.objects.filter(run__isnull=True) if run_id is None else Event.objects.filter(run_id=run_id)
    for event in stored(chain.order_by("seq")):
        reader.read(event)
    return reader.broken_at
