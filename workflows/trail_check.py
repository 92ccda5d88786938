"""Verifying the audit trail a piece at a time, for a page that shows how far it is.

A piece takes a second or so and keeps nothing: where the next one begins is told to whoever asks.
"""

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace

from workflows import append_only, verification
from workflows.examination import Broken, Rule
from workflows.models import Event, Run, SiteChain

SECONDS = 1.0
EVENTS_AT_ONCE = 20_000  # of the runs of one step; a longer run is a step by itself
RUNS_AT_ONCE = 200
SITE_EVENTS_AT_ONCE = 50  # each of which may seal 500 runs


@dataclass(frozen=True, slots=True)
class Place:
    """How far a verification is: the last run and the last event of the site that were read."""

    run: uuid.UUID | None = None
    last_run: uuid.UUID | None = None  # runs that come later are for the next time
    site: bool = False  # the runs are done
    event: int = 0
    deletion: int = 0  # where the search for deletions goes on


@dataclass(slots=True)
class Piece:
    """What was read, what is broken in it, and where to go on; None at the end."""

    runs: int
    events: int
    broken: list[Broken]
    next: Place | None


def begin() -> Place:
    """Before the first piece."""
    return Place(last_run=Run.objects.order_by("-pk").values_list("pk", flat=True).first())


def total() -> tuple[int, int]:
    """How many runs there are, and events of the site."""
    site = SiteChain.objects.filter(pk=1).first()
    return Run.objects.count(), site.seq if site else 0


def piece(place: Place, seconds: float = SECONDS) -> Piece:
    """Read on from there, for about so long."""
    until, done = time.monotonic() + seconds, Piece(0, 0, [], place)
    if place.run is None and not place.site:
        done.broken += [Broken(None, Rule.GUARD, fault) for fault in append_only.lacking()]
    while done.next is not None:
        done.next = _read_site(done, done.next) if done.next.site else _read_runs(done, done.next)
        if time.monotonic() >= until:
            break
    return done


def _read_runs(done: Piece, place: Place) -> Place:
    ids = list(_next_runs(place))
    done.broken += verification.verify_runs(ids) if ids else ()
    done.runs += len(ids)
    return replace(place, run=ids[-1]) if ids else replace(place, site=True)


def _next_runs(place: Place) -> Iterator[uuid.UUID]:
    rows = Run.objects.filter(pk__lte=place.last_run).order_by("pk") if place.last_run else Run.objects.none()
    rows = rows.filter(pk__gt=place.run) if place.run else rows
    events = 0
    for key, number in rows.values_list("pk", "event_seq")[:RUNS_AT_ONCE]:
        events += number
        if events > EVENTS_AT_ONCE and events > number:
            return
        yield key


def _read_site(done: Piece, place: Place) -> Place | None:
    site = verification.Site(after=place.event)
    done.broken += site.read_on(SITE_EVENTS_AT_ONCE)
    at_end = not Event.objects.filter(run__isnull=True, seq__gt=site.read).exists()
    done.broken += site.read_to_the_end() if at_end else site.fault()
    missing, deletion = site.look_ahead(place.deletion)
    done.broken += missing
    done.events += site.read - place.event
    return None if at_end else replace(place, event=site.read, deletion=deletion)
