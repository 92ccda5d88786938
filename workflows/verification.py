"""Proving the audit trail: every chain from its first event to its head, and every seal against the run it sealed.

Who can write to the store can rewrite a run's events and their hashes to the end. The seals in the site's chain, made
within a minute or so of a run's end, don't fit then; and rewriting those breaks the site's chain.
"""

import json
import uuid
from collections.abc import Callable, Iterator, Sequence

from django.db import transaction

from workflows import append_only, audit
from workflows.audit import ChainReader, EventRow
from workflows.examination import Broken, Rule, examined
from workflows.models import Event, Run

Head = tuple[str, int, str]
"""A run's id, and number and hash of its newest event, as an event of the site's chain recorded it."""


def verify(
    on_runs: Callable[[int], None] = lambda _: None, on_events: Callable[[int], None] = lambda _: None
) -> Iterator[Broken]:
    """What is changed, missing or exchanged in the chains of all runs and in the site's; beside the workers.

    The callables are told how many runs, and how many of the site's events, were read. Memory grows with the number of
    runs that were deleted after they had been sealed, 400 bytes for each, and with nothing else.
    """
    yield from (Broken(None, Rule.GUARD, fault) for fault in append_only.lacking())
    rows = Run.objects.only("pk", "event_seq", "event_head")
    yield from examined(rows, _run_chains, on_checked=on_runs)
    yield from _Site(on_events).verify()


def _run_chains(rows: Sequence[Run]) -> Iterator[Broken]:
    readers = {run.pk: ChainReader(run.pk) for run in rows}
    for event in audit.stored(Event.objects.filter(run__in=readers).order_by("run", "seq")):
        assert event.run_id is not None
        readers[event.run_id].read(event)
    for run in rows:
        reader = readers[run.pk]
        reader.end(run.event_seq, run.event_head)
        if reader.fault:
            yield Broken(run.pk, Rule.CHAIN, reader.fault)


class _Site:
    """Reads the site's chain once, in order."""

    def __init__(self, on_events: Callable[[int], None]) -> None:
        self._chain = ChainReader()
        self._on_events = on_events
        self._read = 0  # number of the last event that was read
        self._gone: dict[str, tuple[int, int, str]] = {}  # sealed, and not there: the seal's number, and what it says

    def verify(self) -> Iterator[Broken]:
        yield from self._read_on()
        with transaction.atomic():  # nothing is added or deleted under this lock: here is the end
            site = audit.lock()
            rest = list(self._read_on())
        yield from rest
        self._chain.end(site.seq, site.head)
        if self._chain.fault:
            yield Broken(None, Rule.CHAIN, f"the site's chain: {self._chain.fault}")
        for key, (seal, _, _) in self._gone.items():
            told = f"is missing: event {seal} of the site's chain sealed it, and none records its deletion"
            yield Broken(uuid.UUID(key), Rule.SEAL, told)

    def _read_on(self) -> Iterator[Broken]:
        for event in audit.stored(Event.objects.filter(run__isnull=True, seq__gt=self._read).order_by("seq")):
            self._read = event.seq
            self._chain.read(event)
            if event.type in {"runs_sealed", "runs_deleted"}:
                yield from self._compare(event)
            self._on_events(1)

    def _compare(self, event: EventRow) -> Iterator[Broken]:
        try:
            heads = [(str(uuid.UUID(key)), int(seq), str(head)) for key, seq, head in json.loads(event.data)["runs"]]
        except (ValueError, TypeError, KeyError):
            yield Broken(None, Rule.SEAL, f"the site's chain: event {event.seq} ({event.type}) can't be read")
            return
        compare = self._sealed if event.type == "runs_sealed" else self._deleted
        yield from compare(event.seq, heads, _present(heads))

    def _sealed(self, number: int, heads: list[Head], present: set[str]) -> Iterator[Broken]:
        found = _as_stored(heads)
        for key, seq, head in heads:
            if key not in present:
                self._gone[key] = (number, seq, head)
            elif (key, seq, head) not in found:
                told = f"event {seq} is not the one that event {number} of the site's chain sealed: it was rewritten"
                yield Broken(uuid.UUID(key), Rule.SEAL, told)

    def _deleted(self, number: int, heads: list[Head], present: set[str]) -> Iterator[Broken]:
        for key, seq, head in heads:
            seal, sealed_seq, sealed_head = self._gone.pop(key, (0, 0, ""))
            if key in present:
                told = f"is there, and event {number} of the site's chain records its deletion"
                yield Broken(uuid.UUID(key), Rule.SEAL, told)
            elif sealed_seq > seq or (sealed_seq == seq and sealed_head != head):
                told = f"event {sealed_seq}, sealed by event {seal} of the site's chain, was rewritten before the run"
                yield Broken(uuid.UUID(key), Rule.SEAL, f"{told} was deleted (event {number})")


def _present(heads: list[Head]) -> set[str]:
    return {str(pk) for pk in Run.objects.filter(pk__in=[key for key, _, _ in heads]).values_list("pk", flat=True)}


def _as_stored(heads: list[Head]) -> set[Head]:
    """Those of the heads that the runs' chains have."""
    keys, numbers, hashes = zip(*heads, strict=True) if heads else ((), (), ())
    rows = Event.objects.filter(run__in=keys, seq__in=set(numbers), hash__in=hashes)
    return {(str(run_id), seq, head) for run_id, seq, head in rows.values_list("run_id", "seq", "hash")}
