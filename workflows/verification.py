"""Proving the audit trail: every chain from its first event to its head, and every seal against the run it sealed.

Who can write to the store can rewrite a run's events and their hashes to the end. The seals in the site's chain, made
within a minute or so of a run's end, don't fit then; and rewriting those breaks the site's chain.
"""

import json
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence

from django.db import transaction

from workflows import append_only, audit
from workflows.artifact_proof import ArtifactProof
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
    yield from verify_runs(on_runs=on_runs)
    yield from Site(on_events).verify()


def verify_runs(
    run_ids: Collection[uuid.UUID] | None = None, on_runs: Callable[[int], None] = lambda _: None
) -> Iterator[Broken]:
    """What is broken in the chains of these runs, or of all, and in the files that their events name."""
    rows = Run.objects.only("pk", "event_seq", "event_head")
    yield from examined(rows, _run_chains, run_ids, on_checked=on_runs)


def _run_chains(rows: Sequence[Run]) -> Iterator[Broken]:
    readers = {run.pk: ChainReader(run.pk) for run in rows}
    artifacts = ArtifactProof(readers)
    for event in audit.stored(Event.objects.filter(run__in=readers).order_by("run", "seq")):
        assert event.run_id is not None
        readers[event.run_id].read(event)
        artifacts.read(event)
    yield from artifacts.differing()
    for run in rows:
        reader = readers[run.pk]
        reader.end(run.event_seq, run.event_head)
        if reader.fault:
            yield Broken(run.pk, Rule.CHAIN, reader.fault)


class Site:
    """Reads the site's chain in order, from its beginning or from after an event that was read before."""

    def __init__(self, on_events: Callable[[int], None] = lambda _: None, after: int = 0) -> None:
        head = Event.objects.filter(run__isnull=True, seq=after).values_list("hash", flat=True).first() or ""
        self._chain = ChainReader(seq=after, head=head)
        self._on_events = on_events
        self.read = after  # number of the last event that was read
        self._gone: dict[str, tuple[int, int, str]] = {}  # sealed, and not there: the seal's number, and what it says

    def verify(self) -> Iterator[Broken]:
        """All of it."""
        yield from self.read_on()
        yield from self.read_to_the_end()
        yield from self._missing()

    def read_on(self, at_most: int | None = None) -> Iterator[Broken]:
        """The next events."""
        rows = Event.objects.filter(run__isnull=True, seq__gt=self.read).order_by("seq")
        for event in audit.stored(rows if at_most is None else rows[:at_most]):
            self.read = event.seq
            self._chain.read(event)
            if event.type in {"runs_sealed", "runs_deleted"}:
                yield from self._compare(event)
            self._on_events(1)

    def read_to_the_end(self) -> Iterator[Broken]:
        """What is left, and whether it ends where its head says."""
        with transaction.atomic():  # nothing is added or deleted under this lock: here is the end
            site = audit.lock()
            rest = list(self.read_on())
        yield from rest
        self._chain.end(site.seq, site.head)
        yield from self.fault()

    def fault(self) -> Iterator[Broken]:
        """The first fault in what was read."""
        if self._chain.fault:
            yield Broken(None, Rule.CHAIN, f"the site's chain: {self._chain.fault}")

    def look_ahead(self, place: int) -> tuple[list[Broken], int]:
        """Find the deletions of runs that were sealed and are not there, among events that are not read yet.

        Deletions follow one another as the seals do, so the search begins after event ``place``, where the last one
        ended, and only then anew. Returns what is broken, and where this search ended.
        """
        broken: list[Broken] = []
        for start in dict.fromkeys((max(place, self.read), self.read)):
            later = Event.objects.filter(run__isnull=True, type="runs_deleted", seq__gt=start).order_by("seq")
            for event in audit.stored(later) if self._gone else ():
                heads = [head for head in _heads(event) or () if head[0] in self._gone]
                broken += self._deleted(event.seq, heads, set())
                place = event.seq - 1 if heads else place
                if not self._gone:
                    break
        return [*broken, *self._missing()], place

    def _missing(self) -> Iterator[Broken]:
        for key, (seal, _, _) in self._gone.items():
            told = f"is missing: event {seal} of the site's chain sealed it, and none records its deletion"
            yield Broken(uuid.UUID(key), Rule.SEAL, told)

    def _compare(self, event: EventRow) -> Iterator[Broken]:
        heads = _heads(event)
        if heads is None:
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


def _heads(event: EventRow) -> list[Head] | None:
    """What a seal or a deletion recorded; None if it can't be read."""
    try:
        return [(str(uuid.UUID(key)), int(seq), str(head)) for key, seq, head in json.loads(event.data)["runs"]]
    except (ValueError, TypeError, KeyError):
        return None


def _present(heads: list[Head]) -> set[str]:
    return {str(pk) for pk in Run.objects.filter(pk__in=[key for key, _, _ in heads]).values_list("pk", flat=True)}


def _as_stored(heads: list[Head]) -> set[Head]:
    """Those of the heads that the runs' chains have."""
    keys, numbers, hashes = zip(*heads, strict=True) if heads else ((), (), ())
    rows = Event.objects.filter(run__in=keys, seq__in=set(numbers), hash__in=hashes)
    return {(str(run_id), seq, head) for run_id, seq, head in rows.values_list("run_id", "seq", "hash")}
