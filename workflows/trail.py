"""Questions to the audit trail: which events, newest first, a page at a time, however many there are.

Nothing is counted, and no page is reached by skipping rows: the next one begins below the last event's number.
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from django.db.models import F, Max, Q, QuerySet

from workflows.models import Event, Run
from workflows.models.event import BY_PEOPLE, CANCELLATION, MACHINES

ON_A_PAGE = 50
RUNS_OF_A_WORKFLOW = 500
"""Of a workflow's runs, whose events are shown: the newest that began before ``until``."""

SKEW = timedelta(minutes=10)
"""How far the order of the events' keys may be off that of their times: clocks differ, and writing takes a moment."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A group of events that people ask for. ``condition`` narrows the types further."""

    label: str
    types: tuple[str, ...]
    condition: Q = field(default_factory=Q)


DEFINITIONS = ("workflow_created", "workflow_revised", "workflow_archived")
KINDS: dict[str, dict[str, Kind]] = {
    "Runs": {
        "started": Kind("Started runs", ("run_created",)),
        "cancelled": Kind("Cancelled runs", ("workflow_complete",), CANCELLATION),
        "retried": Kind("Retried runs", ("run_retried",)),
        "paused": Kind("Paused and resumed runs", ("run_paused", "run_resumed")),
        "answered": Kind("Answers and events for runs", ("approval_answered", "event_received")),
        "ended": Kind("Ends of runs", ("workflow_complete",)),
        "lost": Kind("Runs taken over from lost workers", ("run_taken_over",)),
    },
    "Steps": {
        "steps": Kind("Steps begun and ended", ("step_start", "step_complete")),
        "step_retries": Kind("Steps tried again", ("step_retry",)),
        "skipped": Kind("Steps skipped", ("step_skipped",)),
    },
    "Definitions": {
        "definitions": Kind("Changes of workflows", DEFINITIONS),
        "templates": Kind(
            "Changes of templates",
            ("template_created", "template_changed", "template_deleted", "template_batch_started"),
        ),
    },
    "Accounts": {
        "log_ins": Kind("Log-ins and log-outs", ("logged_in", "logged_out")),
        "failed_log_ins": Kind("Failed log-ins", ("login_failed",)),
        "accounts": Kind("Accounts", ("user_created", "user_changed", "user_deleted")),
        "permissions": Kind(
            "Groups and permissions",
            (
                "user_groups_changed",
                "user_permissions_changed",
                "group_permissions_changed",
                "group_created",
                "group_changed",
                "group_deleted",
            ),
        ),
        "tokens": Kind("API tokens", ("token_created", "token_revoked", "token_expired")),
    },
    "Agents and upkeep": {
        "agents": Kind(
            "Changes of agents", ("agent_created", "agent_changed", "agent_enabled", "agent_disabled", "agent_deleted")
        ),
        "configuration": Kind(
            "Changes of functions and engines",
            tuple(f"{kind}_{verb}" for kind in ("function", "engine") for verb in ("created", "changed", "deleted")),
        ),
        "upkeep": Kind("Seals and deletions", ("runs_sealed", "runs_deleted")),
    },
}
"""Heading → name in addresses → kind."""

BY_NAME = {name: kind for kinds in KINDS.values() for name, kind in kinds.items()}


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for. Empty fields ask for nothing; ``since`` is included, ``until`` is not."""

    kind: str = ""
    run_ids: tuple[uuid.UUID, ...] | None = None
    workflow: str = ""
    person: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Events, newest first, and whether there are newer and older ones."""

    events: list[Event]
    has_newer: bool
    has_older: bool


def page(question: Question, before: int | None = None, after: int | None = None, size: int = ON_A_PAGE) -> Page:
    """The newest events; those next below the key ``before``; or those next above the key ``after``."""
    if after is not None:
        events = _nearest(question, Q(pk__gt=after), size + 1, newest=False)
        return Page(events[:size][::-1], has_newer=len(events) > size, has_older=True)
    events = _nearest(question, Q() if before is None else Q(pk__lt=before), size + 1)
    return Page(events[:size], has_newer=before is not None, has_older=len(events) > size)


def events(question: Question, size: int = 1000) -> Iterator[Event]:
    """All of them, read in pages, so that an export holds neither memory nor a transaction.

    Newest first; of a workflow those of its definition first, then those of its runs, some hundreds at a time.
    """
    for part in _parts(question):
        place = Q()
        while found := _nearest(part, place, size):
            yield from found
            place = Q(pk__lt=found[-1].pk)


def _parts(question: Question) -> Iterator[Question]:
    if not question.workflow or question.run_ids is not None:
        yield question
        return
    yield replace(question, run_ids=())
    runs = _runs(question).values_list("pk", flat=True)
    ids = tuple(runs[:RUNS_OF_A_WORKFLOW])
    while ids:
        yield replace(question, workflow="", run_ids=ids)
        ids = tuple(runs.filter(pk__lt=ids[-1])[:RUNS_OF_A_WORKFLOW])


def _nearest(question: Question, place: Q, number: int, *, newest: bool = True) -> list[Event]:
    rows = _found(question).filter(place)
    order = "-id" if newest else "id"
    if question.run_ids is not None or question.workflow:
        # Few rows of few runs. The sum keeps PostgreSQL from walking down all events until it has met enough of them.
        rows = rows.annotate(place=F("id") + 0)
        return list(with_names(rows).order_by(order.replace("id", "place"))[:number])
    kind = BY_NAME.get(question.kind)
    if kind is None or len(kind.types) == 1:
        return list(with_names(rows).order_by(order)[:number])
    # Each type has an index in the order that is asked for; all together have none.
    keys = [
        key
        for type in kind.types
        for key in rows.filter(type=type).order_by(order).values_list("pk", flat=True)[:number]
    ]
    chosen = sorted(keys, reverse=newest)[:number]
    return list(with_names(Event.objects.filter(pk__in=chosen)).order_by(order))


def with_names(rows: QuerySet[Event]) -> QuerySet[Event]:
    """With the id of the run's workflow, and nothing else of the two."""
    return rows.select_related("run__workflow").only(
        "id", "run_id", "seq", "type", "at", "actor", "path", "data", "hash", "run__workflow__workflow_id"
    )


def _found(question: Question) -> QuerySet[Event]:
    rows = Event.objects.all()
    if question.kind:
        rows = rows.filter(_of_kind(question.kind))
    if question.person:
        rows = rows.filter(actor=question.person)
        if not question.person.startswith(tuple(MACHINES)):
            rows = rows.filter(BY_PEOPLE)  # says nothing new, but names the index
    if question.workflow:
        of_definition = Q(run__isnull=True, path=question.workflow, type__in=DEFINITIONS)
        rows = rows.filter(of_definition | Q(run__in=_run_ids(question) or ()))
    elif question.run_ids is not None:
        rows = rows.filter(run__in=question.run_ids)
    return rows.filter(_in_time(question))


def _of_kind(name: str) -> Q:
    kind = BY_NAME.get(name)
    return Q(type=name) if kind is None else Q(type__in=kind.types) & kind.condition


def _run_ids(question: Question) -> tuple[uuid.UUID, ...] | None:
    """Of which runs, as far as the question says; of a workflow's, the newest."""
    if not question.workflow:
        return question.run_ids
    return tuple(_runs(question).values_list("pk", flat=True)[:RUNS_OF_A_WORKFLOW])


def _runs(question: Question) -> QuerySet[Run]:
    """Of the workflow, newest first."""
    runs = Run.objects.filter(workflow__workflow_id=question.workflow).order_by("-pk")
    if question.run_ids is not None:
        runs = runs.filter(pk__in=question.run_ids)
    return runs if question.until is None else runs.filter(created_at__lt=question.until)


def _in_time(question: Question) -> Q:
    """By time, and by a range of keys around it: keys grow with time and have an index, times have none."""
    found = Q()
    if question.since is not None:
        found &= Q(at__gte=question.since, pk__gte=_first_key(question.since - SKEW))
    if question.until is not None:
        found &= Q(at__lt=question.until, pk__lt=_first_key(question.until + SKEW))
    return found


def _first_key(moment: datetime) -> int:
    """The key below which all events are older, found by halving: some 24 short look-ups for 10,000,000 events."""
    low, high = 1, (Event.objects.aggregate(newest=Max("pk"))["newest"] or 0) + 1
    while low < high:
        middle = (low + high) // 2
        at = Event.objects.filter(pk__gte=middle).order_by("pk").values_list("at", flat=True).first()
        if at is None or at >= moment:
            high = middle
        else:
            low = middle + 1
    return low
