"""Files on the page of a run, and asking for a profile."""

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from agents.artifacts import Artifact as Made
from tests.admin.factories import HOSTILE, begin, end, held, run_of, signed_in, step, succeed, workflow
from workflows import transitions
from workflows.models import Run
from workflows.outcomes import Footprint, Succeeded

pytestmark = pytest.mark.django_db


def run_with(*files: Made) -> Run:
    hold = held(run_of(workflow(step("a"))))
    begin(hold, "a")
    transitions.complete_step(hold, "a", Succeeded({}, "{}", {}, Footprint(artifacts=files)))
    return end(hold)


def page(client: Client, run: Run) -> str:
    return client.get(reverse("admin:workflows_run_change", args=[run.pk])).content.decode()


def test_pictures_are_shown_by_img_alone_and_the_rest_is_saved() -> None:
    evil = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
    run = run_with(
        Made.of("chart.svg", "image/svg+xml", evil),
        Made.of("page.html", "text/html", b"<script>alert(2)</script>"),
        Made.of("huge.svg", "image/svg+xml", b"x" * (1024 * 1024 + 1)),
    )
    client = signed_in("workflows.view_run")
    shown = page(client, run)
    chart, other, huge = (reverse("runs-artifact", args=[run.pk, row.pk]) for row in run.artifacts.order_by("pk"))
    assert re.findall(r'<img src="([^"]+/artifacts/[^"]+)"', shown) == [chart]
    assert [f'href="{url}" download' in shown for url in (chart, other, huge)] == [True] * 3
    assert "alert(" not in shown
    given = client.get(chart)
    assert (given.status_code, given.content) == (200, evil)
    assert "sandbox" in given["Content-Security-Policy"]
    assert Client().get(chart).status_code == 401


def test_names_stay_text() -> None:
    shown = page(signed_in("workflows.view_run"), run_with(Made.of(HOSTILE[:150], "image/svg+xml", b"<svg/>")))
    assert HOSTILE[:20] not in shown


def test_a_run_without_files_is_asked_for_none() -> None:
    hold = held(run_of(workflow(step("a"))))
    begin(hold, "a")
    succeed(hold, "a", {})
    run, client = end(hold), signed_in("workflows.view_run")
    with CaptureQueriesContext(connection) as captured:
        page(client, run)
    assert not [query for query in captured.captured_queries if "workflows_artifact" in query["sql"]]


@pytest.mark.parametrize(("sent", "profiled"), [({"profile": "on"}, True), ({}, False)])
def test_the_forms_of_start_and_rerun_ask_for_a_profile(sent: dict[str, str], profiled: bool) -> None:
    stored, client = workflow(step("a")), signed_in(superuser=True)
    address = reverse("admin:workflows_workflow_run", args=[stored.pk])
    assert 'name="profile"' in client.get(address).content.decode()
    client.post(address, {"input": "", **sent})
    run = Run.objects.get()
    assert run.profile is profiled
    client.post(reverse("admin:workflows_run_rerun", args=[run.pk]), {"input": "", **sent})
    assert Run.objects.get(rerun_of=run).profile is profiled
    assert ("profiled</span>" in page(client, run)) is profiled
