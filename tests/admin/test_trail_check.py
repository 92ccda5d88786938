"""The page *Verify*: in pieces it finds what `verify_audit` finds, and tells how far it is."""

import json
import re
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.admin.factories import signed_in
from tests.tampering import unguarded
from tests.workflows.bulk import ended_runs
from workflows import append_only, audit, retention, seals, trail_check, verification
from workflows.models import Event, Run, SiteChain
from workflows.trail_check import Place

pytestmark = pytest.mark.django_db(transaction=True)
NOW = timezone.now()


def in_pieces(seconds: float = 0) -> tuple[list[str], int, int, int]:
    """What is broken, runs and events that were read, and how many pieces it took; by default the smallest ones."""
    place: Place | None = trail_check.begin()
    broken: list[str] = []
    runs = events = pieces = 0
    while place is not None:
        done = trail_check.piece(place, seconds)
        broken += [str(one) for one in done.broken]
        runs, events, pieces, place = runs + done.runs, events + done.events, pieces + 1, done.next
    return broken, runs, events, pieces


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RUNS_AT_ONCE", "SITE_EVENTS_AT_ONCE"):
        monkeypatch.setattr(trail_check, name, 2)


@pytest.fixture
def trail(small: None, settings) -> list[Run]:
    """Runs, some of them deleted, with seals and other events of the site between."""
    settings.RETENTION_DAYS = 30
    kept = []
    for number in range(4):
        kept += ended_runs(2, NOW)
        ended_runs(2, NOW - timedelta(days=40 + number))
        seals.seal()
        audit.record("logged_in", actor="ann", subject="ann")
    retention.delete_old()
    kept += ended_runs(1, NOW)
    return kept


def test_a_trail_that_holds_is_read_whole_in_several_pieces(trail: list[Run]) -> None:
    broken, runs, events, pieces = in_pieces()
    assert broken == []
    assert (runs, events) == (len(trail), SiteChain.objects.get().seq) == trail_check.total()
    assert pieces > 8
    assert in_pieces(60)[3] == 1
    assert list(verification.verify()) == []


def site_event(type: str) -> Event:
    return Event.objects.filter(run__isnull=True, type=type).order_by("seq")[1]


@pytest.mark.parametrize(
    "harm",
    [
        lambda runs: Event.objects.filter(run=runs[3], seq=2).update(actor="x"),
        lambda runs: Event.objects.filter(run=runs[0], seq=5).delete(),
        lambda runs: Event.objects.filter(pk=site_event("logged_in").pk).update(actor="x"),
        lambda runs: Event.objects.filter(pk=site_event("runs_sealed").pk).delete(),
        lambda runs: SiteChain.objects.update(head="0" * 64),
        lambda runs: SiteChain.objects.update(seq=3),
        lambda runs: retention._erase([runs[2].pk]),
        lambda runs: Event.objects.filter(type="runs_deleted").delete(),
        lambda runs: Event.objects.filter(run=runs[0], seq__gt=4).delete() and Run.objects.filter(pk=runs[0].pk).update(
            event_seq=4, event_head=Event.objects.get(run=runs[0], seq=4).hash
        ),
    ],
)  # fmt: skip
def test_what_the_command_finds_is_found_in_pieces_too(trail: list[Run], harm: Callable[[list[Run]], object]) -> None:
    with unguarded():
        harm(trail)
    whole = {str(broken) for broken in verification.verify()}
    assert whole
    assert whole <= set(in_pieces()[0])
    assert whole == set(in_pieces(60)[0])


def test_a_seal_that_differs_from_the_recorded_deletion_is_found_in_a_later_piece(small: None) -> None:
    (run,) = ended_runs(1, NOW)
    seals.seal()
    for _ in range(6):
        audit.record("logged_in", actor="ann", subject="ann")
    with append_only.deleting():
        retention._erase([run.pk])
    audit.record("runs_deleted", actor="sweep", subject="", runs=[[str(run.pk), run.event_seq, "0" * 64]])
    (told,) = in_pieces()[0]
    assert "was rewritten before the run was deleted" in told


def test_a_store_without_triggers_is_told_once(trail: list[Run]) -> None:
    with unguarded():
        assert len(in_pieces()[0]) == len(append_only.triggers(connection))


def test_runs_that_come_meanwhile_are_for_the_next_time(small: None) -> None:
    ended_runs(3, NOW)
    place: Place | None = trail_check.begin()
    ended_runs(3, NOW)
    read = 0
    while place is not None:
        done = trail_check.piece(place, 0)
        read, place = read + done.runs, done.next
    assert read == 3


def test_an_empty_store_holds(small: None) -> None:
    assert in_pieces()[0] == []


# --- The page --------------------------------------------------------------------------------------------------------


def follow(client: Client) -> list[dict]:
    """What the page's script does: from the place in the page on, until there is no next."""
    page = client.get("/admin/workflows/event/verify/").content.decode()
    (begin,) = re.findall(r'<script id="k-verify-begin" type="application/json">(.*?)</script>', page)
    (address,) = re.findall(r'data-address="([^"]+)"', page)
    place, answers = json.loads(begin), []
    while place:
        answers.append(client.get(address, place).json())
        place = answers[-1]["next"]
    return answers


def test_the_page_leads_from_piece_to_piece_to_what_is_broken(trail: list[Run]) -> None:
    with unguarded():
        Event.objects.filter(run=trail[1], seq=3).update(actor="x")
        retention._erase([trail[0].pk])
    found = [broken for answer in follow(signed_in("workflows.view_event")) for broken in answer["broken"]]
    changed = next(broken for broken in found if broken["run"] == str(trail[1].pk))
    assert changed["what"] == "event 3 (step_start) was changed, or the one before it"
    assert changed["address"] == reverse("admin:workflows_event_changelist") + f"?run={trail[1].pk}"
    assert changed["remedy"]
    missing = next(broken for broken in found if broken["run"] == str(trail[0].pk))
    assert missing["address"] == ""  # there is nothing to see
    assert "sealed it" in missing["what"]


def test_it_is_reached_from_the_trail_by_those_who_may_see_events() -> None:
    client = signed_in("workflows.view_event")
    assert reverse("admin:workflows_event_verify") in client.get("/admin/workflows/event/").content.decode()
    client.logout()
    assert client.get("/admin/workflows/event/verify/").status_code == 302
    assert client.get("/admin/workflows/event/verify/piece/", {"event": 0, "deletion": 0}).status_code == 302


def test_strangers_to_events_verify_none() -> None:
    client = signed_in("workflows.view_run")
    assert client.get("/admin/workflows/event/verify/").status_code == 403
    assert client.get("/admin/workflows/event/verify/piece/", {"event": 0, "deletion": 0}).status_code == 403


@pytest.mark.parametrize("place", [{}, {"event": "x", "deletion": 0}, {"event": 0, "deletion": 0, "run": "x"}])
def test_a_place_that_is_none_is_refused(place: dict) -> None:
    assert signed_in("workflows.view_event").get("/admin/workflows/event/verify/piece/", place).status_code == 400


def test_a_place_that_never_was_harms_nothing() -> None:
    ended_runs(1, NOW)
    place: dict[str, Any] = {"event": 10**6, "deletion": 10**6, "run": str(uuid.uuid4()), "site": "True"}
    answer = signed_in("workflows.view_event").get("/admin/workflows/event/verify/piece/", place).json()
    assert answer["next"] is None
