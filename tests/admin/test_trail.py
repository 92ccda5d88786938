"""The audit trail's page: what is found in it, in words, a page at a time; and that it is only read."""

import asyncio
import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group, User
from django.db import connections
from django.db.models import Q
from django.test import AsyncClient, Client
from django.urls import reverse
from django.utils import timezone

from tests.admin.factories import HOSTILE, begin, end, fail, held, run_of, signed_in, succeed, sync_agents, workflow
from tests.tampering import unguarded
from workflows import audit, publishing, runs, trail
from workflows.admin.event_words import WORDS, told
from workflows.definitions import check, read_object
from workflows.models import Event, Run, Workflow

LIST = "/admin/workflows/event/"


def cancelled(workflow: Workflow, actor: str = "ann") -> Run:
    run = run_of(workflow)
    runs.cancel(run.pk, actor=actor)
    return run


def sentences(client: Client, **asked: str) -> list[str]:
    """Who did what, as the page shows it."""
    answer = client.get(LIST, asked)
    assert answer.status_code == 200
    return [f"{row['event'].actor} {row['told']}" for row in answer.context["rows"]]


@pytest.mark.django_db
def test_who_cancelled_what_is_one_click_from_the_trail() -> None:
    stored = workflow()
    run = cancelled(stored)
    run_of(stored)
    client = signed_in("workflows.view_event")
    shown = client.get(LIST).content.decode()
    (address,) = re.findall(r'href="(\?kind=cancelled)">Cancelled runs', shown)
    page = client.get(LIST + address).content.decode()
    assert sentences(client, kind="cancelled") == ["ann cancelled the run"]
    assert reverse("admin:workflows_run_change", args=[run.pk]) in page
    assert "article" in page
    runs.retry(run.pk, actor="bob")  # then it is no cancelled run any more, and still was cancelled
    assert sentences(client, kind="cancelled") == ["ann cancelled the run"]
    assert sentences(client, kind="retried") == ["bob retried the run from write"]


@pytest.mark.django_db
def test_filters_narrow_by_person_workflow_run_kind_and_time_and_together() -> None:
    one, other = workflow(), workflow(workflow_id="other")
    first, second, third = cancelled(one), cancelled(other, "bob"), cancelled(one, "bob")
    client = signed_in("workflows.view_event")
    assert len(sentences(client, kind="cancelled")) == 3
    assert sentences(client, kind="cancelled", person="ann") == ["ann cancelled the run"]
    assert sentences(client, kind="cancelled", workflow="other") == ["bob cancelled the run"]
    assert sentences(client, kind="cancelled", workflow="article", person="bob", run=str(third.pk))
    assert sentences(client, kind="cancelled", workflow="article", run=str(second.pk)) == []
    assert {row["event"].run_id for row in client.get(LIST, {"run": str(first.pk)}).context["rows"]} == {first.pk}
    assert sentences(client, run="ffffffff") == []
    assert "tests made workflow article, version 1" in sentences(client, workflow="article")
    assert not [told for told in sentences(client, workflow="article") if "other" in told]
    assert sentences(client, person="nobody") == []
    today, tomorrow = timezone.now().date(), timezone.now().date() + timedelta(days=1)
    assert len(sentences(client, kind="cancelled", since=str(today), until=str(today))) == 3
    assert sentences(client, since=str(tomorrow)) == []


@pytest.mark.django_db
@pytest.mark.parametrize("asked", [{"run": "xyz"}, {"since": "soon"}, {"kind": "nonsense"}, {"person": "worker:a:1"}])
def test_what_can_t_be_asked_is_told_at_its_field(asked: dict[str, str]) -> None:
    answer = signed_in("workflows.view_event").get(LIST, asked)
    assert answer.context["rows"] == []
    assert "k-field-error" in answer.content.decode()


@pytest.mark.django_db
def test_a_time_is_found_among_many_events_by_halving() -> None:
    chain = [
        Event(run=None, seq=number, type="logged_in", actor="ann", hash="0" * 64, at=datetime(2026, 1, 1, tzinfo=UTC))
        for number in range(1, 301)
    ]
    for number, event in enumerate(chain):
        event.at += timedelta(hours=number)
    Event.objects.bulk_create(chain)
    since, until = chain[100].at, chain[200].at
    found = list(trail.events(trail.Question(since=since, until=until), size=30))
    assert [event.at for event in found] == [event.at for event in reversed(chain[100:200])]
    assert list(trail.events(trail.Question(since=chain[-1].at + timedelta(hours=1)))) == []
    assert len(list(trail.events(trail.Question(until=chain[0].at + timedelta(seconds=1))))) == 1


@pytest.mark.django_db
@pytest.mark.parametrize("kind", ["", "log_ins"])
def test_pages_follow_one_another_in_both_directions_without_gap_or_repeat(kind: str) -> None:
    for number in range(120):
        audit.record("logged_in" if number % 2 else "logged_out", actor="ann", subject="ann")
    client = signed_in("workflows.view_event")
    total = Event.objects.filter(type__in=["logged_in", "logged_out"]).count() if kind else Event.objects.count()
    address, seen, pages = f"?kind={kind}", [], []
    while address:
        context = client.get(LIST + address).context
        pages.append([row["event"].pk for row in context["rows"]])
        seen += pages[-1]
        address = context["older"]
    assert len(seen) == total
    assert seen == sorted(seen, reverse=True)
    last = client.get(LIST + f"?kind={kind}&before={pages[-2][-1]}").context
    back = client.get(LIST + last["newer"]).context
    assert [row["event"].pk for row in back["rows"]] == pages[-2]
    first = client.get(LIST + back["newer"]).context
    assert [row["event"].pk for row in first["rows"]] == pages[-3]
    assert first["newer"] == ""


@pytest.mark.django_db
def test_the_change_of_a_definition_leads_to_the_comparison_of_its_versions() -> None:
    stored = workflow()
    assert stored.current is not None
    changed = check(read_object({**stored.current.definition, "workflow_name": "New"})).definition_or_raise()
    publishing.save(changed, actor="ann", note="a better name")
    client = signed_in("workflows.view_event", "workflows.view_workflow")
    row = client.get(LIST, {"kind": "definitions"}).context["rows"][0]
    assert row["told"] == "changed workflow article, version 2: a better name"
    page = client.get(row["difference"]).content.decode()
    assert "New" in page
    publishing.archive("article", actor="ann")
    workflow(workflow_id="article")  # the id again, of another workflow
    old = client.get(LIST, {"kind": "definitions"}).context["rows"][2]
    assert old["difference"] == row["difference"]


@pytest.mark.django_db
def test_an_event_of_its_own_page_says_whether_its_hash_fits() -> None:
    run = cancelled(workflow())
    event = run.events.get(seq=2)
    client = signed_in("workflows.view_event")
    address = reverse("admin:workflows_event_change", args=[event.pk])
    assert "The hash fits" in client.get(address).content.decode()
    with unguarded():
        Event.objects.filter(pk=event.pk).update(actor="bob")
    assert "was changed" in client.get(address).content.decode()
    with unguarded():
        Event.objects.filter(run=run, seq=1).delete()
    assert "does not fit" in client.get(address).content.decode()
    assert client.get(f"{LIST}999999999/change/").status_code == 404
    assert client.get(f"{LIST}x/change/").status_code == 404


@pytest.mark.django_db
def test_nobody_changes_or_deletes_an_event_not_even_a_superuser() -> None:
    event = cancelled(workflow()).events.get(seq=1)
    before = list(Event.objects.values())
    client = signed_in(superuser=True)
    before += list(Event.objects.filter(pk__gt=before[-1]["id"]).values())
    for address in (LIST, f"{LIST}add/", f"{LIST}{event.pk}/change/", f"{LIST}{event.pk}/delete/"):
        sent = {"post": "yes", "action": "delete_selected", "_selected_action": [event.pk], "actor": "x"}
        assert client.post(address, sent).status_code == 403
    assert list(Event.objects.values()) == before


@pytest.mark.django_db
def test_it_is_for_those_who_may_see_events() -> None:
    event = cancelled(workflow()).events.get(seq=1)
    client = signed_in("workflows.view_run")
    assert [client.get(a).status_code for a in (LIST, f"{LIST}{event.pk}/change/")] == [403, 403]


@pytest.mark.django_db
def test_stored_text_stays_text() -> None:
    audit.record("workflow_revised", actor=HOSTILE, subject=HOSTILE, note=HOSTILE, version=1, checksum=HOSTILE)
    audit.record("unheard_of", actor=HOSTILE, subject=HOSTILE, **{HOSTILE: HOSTILE})
    client = signed_in(superuser=True)
    addresses = [LIST, f"{LIST}?person={HOSTILE}", *(f"{LIST}{event.pk}/change/" for event in Event.objects.all()[:3])]
    for address in addresses:
        shown = client.get(address).content.decode()
        assert "<script>alert" not in shown
        assert "onerror=alert(2)>" not in shown.replace("&gt;", "")


@pytest.mark.django_db
def test_a_page_costs_few_queries_however_long_the_trail_is(django_assert_max_num_queries) -> None:
    stored = workflow()
    for number in range(60):
        cancelled(stored, f"person {number}")
    client = signed_in(superuser=True)
    for asked in ({}, {"kind": "permissions"}, {"workflow": "article"}, {"kind": "definitions"}):
        with django_assert_max_num_queries(20):
            client.get(LIST, asked)


@pytest.mark.django_db
def test_every_kind_of_event_has_words() -> None:
    sync_agents()
    stored = workflow()
    hold = held(run_of(stored))
    begin(hold, "write")
    fail(hold, "write", "a bad moment", retry_in=0)
    begin(hold, "write")
    succeed(hold, "write", {})
    end(hold)
    user = User.objects.create_user("ann")
    user.groups.add(Group.objects.create(name="g"))
    user.delete()
    unknown = {event.type for event in Event.objects.all()} - set(WORDS)
    assert unknown == set()
    assert {type for kind in trail.BY_NAME.values() for type in kind.types} <= set(WORDS)


@pytest.mark.parametrize("type", [*WORDS, "unheard_of"])
@pytest.mark.parametrize(
    "content", [{}, [], None, {"changed": 1, "added": "x", "runs": 3, "attempt": "x"}, {"changed": {"a": 1, "b": [1]}}]
)
def test_words_never_fail_over_strange_content(type: str, content: object) -> None:
    assert isinstance(told(Event(type=type, path="x", data=content)), str)


# --- Export ----------------------------------------------------------------------------------------------------------


def exported(client: Client, ending: str, **asked: str) -> str:
    answer = client.get(f"{LIST}export/{ending}/", asked)
    assert answer.status_code == 200
    assert f'.{ending}"' in answer.headers["Content-Disposition"]
    return b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]


@pytest.mark.django_db
def test_the_export_has_every_event_that_the_filters_let_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trail, "RUNS_OF_A_WORKFLOW", 2)
    one, other = workflow(), workflow(workflow_id="other")
    for stored in (one, one, one, one, one, other):
        cancelled(stored)
    client = signed_in("workflows.view_event")
    lines = [json.loads(line) for line in exported(client, "jsonl").splitlines()]
    assert [line["hash"] for line in lines] == list(Event.objects.order_by("-pk").values_list("hash", flat=True))
    assert {line["workflow"] for line in lines} == {"", "article", "other"}
    of_one = [json.loads(line) for line in exported(client, "jsonl", workflow="article").splitlines()]
    expected = Event.objects.filter(Q(run__workflow=one) | Q(path="article", run__isnull=True)).values_list(
        "hash", flat=True
    )
    assert sorted(line["hash"] for line in of_one) == sorted(expected)
    rows = list(csv.DictReader(exported(client, "csv", kind="cancelled").splitlines()))
    assert [row["told"] for row in rows] == ["cancelled the run"] * 6
    assert json.loads(rows[0]["data"])["status"] == "cancelled"


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\x00=1"])
def test_a_spreadsheet_finds_no_formula_in_the_export(name: str) -> None:
    audit.record("logged_in", actor=name.replace("\x00", ""), subject=name.replace("\x00", ""), note=name)
    text = exported(signed_in("workflows.view_event"), "csv", kind="log_ins")
    for row in csv.reader(io.StringIO(text)):
        assert not [cell for cell in row if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


@pytest.mark.django_db
def test_exports_are_for_those_who_may_see_events_and_of_what_can_be_asked() -> None:
    assert signed_in("workflows.view_run").get(f"{LIST}export/csv/").status_code == 403
    client = client_of_viewer()
    assert client.get(f"{LIST}export/xml/").status_code == 404
    assert client.get(f"{LIST}export/csv/", {"since": "soon"}).status_code == 404


def client_of_viewer() -> Client:
    viewer = User.objects.create(username="viewer", is_staff=True)
    viewer.groups.add(Group.objects.get(name="viewer"))
    client = Client()
    client.force_login(viewer)
    return client


@pytest.mark.django_db(transaction=True)
def test_under_asgi_the_export_is_sent_as_it_is_read() -> None:
    for _ in range(450):
        audit.record("logged_in", actor="ann", subject="ann")
    viewer = User.objects.create(username="viewer", is_staff=True)
    viewer.groups.add(Group.objects.get(name="viewer"))

    async def pieces() -> list[bytes]:
        client = AsyncClient()
        await client.aforce_login(viewer)
        answer = await client.get(f"{LIST}export/jsonl/", {"kind": "log_ins"})
        assert answer.is_async  # type: ignore[attr-defined]
        found = [piece async for piece in answer.streaming_content]  # type: ignore[attr-defined]
        await sync_to_async(connections.close_all)()  # those of the thread that the views ran in
        return found

    found = asyncio.run(pieces())
    assert len(found) == 3
    assert len(b"".join(found).splitlines()) == 451  # the viewer's own log-in, too
