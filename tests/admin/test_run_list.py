"""The list of runs: filters, search, export, and verbs for all of them."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.http import StreamingHttpResponse
from django.test import Client
from django.utils import timezone

from tests.admin.factories import (
    HOSTILE,
    begin,
    end,
    fail,
    held,
    run_of,
    signed_in,
    step,
    succeed,
    sync_agents,
    workflow,
)
from workflows.models import Event, Run, Workflow

pytestmark = pytest.mark.django_db
LIST = "/admin/workflows/run/"


@pytest.fixture
def client() -> Client:
    return signed_in(superuser=True)


def completed(of: Workflow, **input: Any) -> Run:
    hold = held(run_of(of, input))
    begin(hold, "write")
    succeed(hold, "write", {"x": 1})
    return end(hold)


def failed(of: Workflow, message: str = "it broke", **input: Any) -> Run:
    hold = held(run_of(of, input))
    begin(hold, "write")
    fail(hold, "write", message)
    return end(hold, message)


@pytest.fixture
def stored() -> Workflow:
    return workflow(tags=["books", "weekly"])


def shown(client: Client, **asked: Any) -> set[Any]:
    answer = client.get(LIST, asked)
    assert answer.status_code == 200
    return {run.pk for run in answer.context["cl"].result_list}


def test_runs_are_filtered_by_what_an_address_says(client: Client, stored: Workflow) -> None:
    other = workflow(workflow_id="other")
    good, bad, waiting = completed(stored), failed(stored, name="Ada"), run_of(other)
    Run.objects.filter(pk=waiting.pk).update(actor="ada", trigger="schedule")
    Run.objects.filter(pk=good.pk).update(ended_at=good.ended_at + timedelta(minutes=5))  # type: ignore[operator]
    assert shown(client) == {good.pk, bad.pk, waiting.pk}
    assert shown(client, status="failed") == {bad.pk}
    assert shown(client, status=["failed", "queued"]) == {bad.pk, waiting.pk}
    assert shown(client, workflow="other") == {waiting.pk}
    assert shown(client, trigger="schedule") == {waiting.pk}
    assert shown(client, person="ada") == {waiting.pk}
    assert shown(client, tag="books") == {good.pk, bad.pk}
    assert shown(client, error_code="FunctionFailed") == {bad.pk}
    assert shown(client, longer_than="60") == {good.pk}
    assert shown(client, shorter_than="60") == {bad.pk}
    soon = (timezone.now() + timedelta(minutes=1)).isoformat()
    assert shown(client, created_after=soon) == set()
    assert shown(client, created_before=soon) == {good.pk, bad.pk, waiting.pk}


def test_a_filter_that_can_not_be_read_shows_nothing_and_says_so(client: Client, stored: Workflow) -> None:
    completed(stored)
    answer = client.get(LIST, {"longer_than": "long", "status": "nonsense"})
    assert not answer.context["cl"].result_list
    assert {"longer_than", "status"} == set(answer.context["cl"].asked.form.errors)


def test_runs_are_found_by_words(client: Client, stored: Workflow) -> None:
    good = completed(stored, title="The lighthouse keeper")
    bad = failed(stored, "the harbour is closed")
    assert shown(client, q="lighthouse") == {good.pk}
    assert shown(client, q="harbour") == {bad.pk}
    assert shown(client, q="article") == {good.pk, bad.pk}
    assert shown(client, q=str(bad.pk)[:18]) == {bad.pk}
    assert shown(client, q="nowhere") == set()
    for odd in ("'", "& | !", "\\", "%", "\x00", "a" * 3000):
        assert client.get(LIST, {"q": odd}).status_code == 200


@pytest.mark.skipif(connection.vendor != "postgresql", reason="needs PostgreSQL: an index of words")
def test_words_are_found_by_their_beginnings_and_by_an_index(client: Client, stored: Workflow) -> None:
    run = completed(stored, title="The lighthouse keeper")
    assert shown(client, q="keep light") == {run.pk}
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexname FROM pg_indexes WHERE tablename = 'workflows_run'")
        assert {"run_words", "run_length"} <= {name for (name,) in cursor.fetchall()}


def exported(client: Client, ending: str, **asked: Any) -> str:
    answer = client.get(f"{LIST}export/{ending}/", asked)
    assert isinstance(answer, StreamingHttpResponse)
    content = answer.streaming_content
    assert isinstance(content, Iterator)
    return b"".join(content).decode()


def test_what_a_list_shows_is_exported(client: Client, stored: Workflow) -> None:
    good, bad = completed(stored, text="x"), failed(stored, f"=1+1 {HOSTILE}\x1b")
    rows = [json.loads(line) for line in exported(client, "jsonl").splitlines()]
    assert [row["id"] for row in rows] == [str(bad.pk), str(good.pk)]
    assert rows[1]["input"] == {"text": "x"}
    [row] = csv.DictReader(io.StringIO(exported(client, "csv", status="failed")))
    assert row["error_message"] == f"'=1+1 {HOSTILE}"
    assert client.get(f"{LIST}export/xls/").status_code == 404


def piece(client: Client, verb: str, before: str = "", **asked: Any) -> Any:
    answer = client.post(f"{LIST}bulk/piece/?{urlencode(asked)}", {"verb": verb, "before": before})
    return answer.json()


def test_all_runs_of_a_list_are_cancelled_in_pieces(client: Client, stored: Workflow, settings: Any) -> None:
    ids = [run_of(stored).pk for _ in range(60)]
    ended = completed(stored)
    assert "Cancel 60 runs" in client.get(f"{LIST}bulk/").content.decode()
    first = piece(client, "cancel")
    assert (first["done"], first["refused"]) == (50, [])
    assert piece(client, "cancel", first["next"]) == {"done": 10, "refused": [], "next": None}
    assert set(Run.objects.filter(status="cancelled").values_list("pk", flat=True)) == set(ids)
    assert Event.objects.filter(type="workflow_complete", actor="person").count() == 60
    ended.refresh_from_db()
    assert ended.status == "completed"


def test_all_failed_runs_of_a_list_are_retried(client: Client, stored: Workflow) -> None:
    bad, other = failed(stored), failed(stored, "other")
    Run.objects.filter(pk=other.pk).update(actor="ada")
    assert piece(client, "retry", person="ada") == {"done": 1, "refused": [], "next": None}
    assert Run.objects.get(pk=other.pk).status == "queued"
    assert Run.objects.get(pk=bad.pk).status == "failed"


def test_an_address_with_an_unknown_key_is_for_no_run(client: Client, stored: Workflow) -> None:
    run = run_of(stored)
    assert piece(client, "cancel", persn="ada") == {"error": "no list, or no verb of it"}
    assert client.get(f"{LIST}bulk/?persn=ada").status_code == 404
    assert Run.objects.get(pk=run.pk).status == "queued"


def test_who_may_only_look_steers_nothing() -> None:
    sync_agents()
    client = signed_in("workflows.view_run")
    run = run_of(workflow(step()))
    assert client.get(LIST).status_code == 200
    assert client.get(f"{LIST}bulk/").status_code == 403
    assert client.post(f"{LIST}bulk/piece/", {"verb": "cancel"}).status_code == 403
    assert client.get(f"{LIST}export/csv/").status_code == 200
    assert Run.objects.get(pk=run.pk).status == "queued"
