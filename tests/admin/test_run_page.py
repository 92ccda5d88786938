"""The page of one run."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from tests.admin.factories import HOSTILE, begin, end, fail, held, run_of, signed_in, step, succeed, workflow
from workflows.admin.base import duration
from workflows.admin.run_log import lines_of
from workflows.admin.step_context import context_of
from workflows.admin.timeline import Scale, row
from workflows.models import Run, StepResult

pytestmark = pytest.mark.django_db

START = datetime(2026, 1, 1, tzinfo=UTC)


def page(client: Client, run: Run, query: str = "") -> str:
    return client.get(reverse("admin:workflows_run_change", args=[run.pk]) + query).content.decode()


def test_it_tells_what_each_step_did() -> None:
    hold = held(run_of(workflow(step("a"), step("b")), {"topic": "owls"}))
    begin(hold, "a", {"message": "hoo"})
    fail(hold, "a", "a bad moment", retry_in=0.5)
    begin(hold, "a", {"message": "hoo"})
    succeed(hold, "a", {"echo": "HOO"}, {"at": time.time(), "level": "info", "message": "a line"})
    shown = page(signed_in("workflows.view_run"), end(hold))
    for text in ("owls", "hoo", "HOO", "a line", "ValueError: a bad moment", "next after 500 ms"):
        assert text in shown
    assert 'aria-label="pending"' in shown  # b has not begun


def test_stored_text_stays_text() -> None:
    stored = workflow(step("a", step_name=HOSTILE[:200]), workflow_name=HOSTILE)
    hold = held(run_of(stored, {HOSTILE: HOSTILE}))
    begin(hold, "a", {HOSTILE: HOSTILE}, name=HOSTILE)
    fail(hold, "a", HOSTILE, retry_in=0)
    begin(hold, "a", {}, name=HOSTILE)
    succeed(hold, "a", {HOSTILE: [HOSTILE]}, {"at": 1.0, "level": "info", "message": HOSTILE})
    run = end(hold, error=HOSTILE)
    client = signed_in(superuser=True)
    addresses = [
        reverse("admin:index"),
        reverse("admin:workflows_run_change", args=[run.pk]),
        reverse("admin:workflows_run_changelist"),
        reverse("admin:workflows_stepresult_change", args=[StepResult.objects.get().pk]),
        reverse("admin:workflows_event_changelist"),
        reverse("admin:workflows_event_change", args=[run.events.last().pk]),  # type: ignore[union-attr]
        reverse("admin:workflows_workflow_change", args=[stored.pk]),
        reverse("admin:workflows_workflow_changelist"),
        reverse("admin:workflows_workflow_run", args=[stored.pk]),
        reverse("admin:workflows_workflowversion_change", args=[stored.current_id]),
    ]
    for address in addresses:
        shown = client.get(address).content.decode()
        assert "alert(1)" in shown or address == reverse("admin:workflows_event_changelist"), address
        assert "<script>alert" not in shown, address
        assert "<img src=x" not in shown, address


def test_a_thousand_steps_cost_few_queries_and_are_shown_in_parts(django_assert_max_num_queries: Any) -> None:
    steps = [step(f"s{number}") for number in range(1000)]
    run = run_of(workflow(*steps))

    def result(number: int) -> Any:
        return {"n": f"result {number}"}

    StepResult.objects.bulk_create(
        StepResult(run=run, path=f"s{n}", step_id=f"s{n}", status="completed", result=result(n)) for n in range(1000)
    )
    client = signed_in("workflows.view_run")
    with django_assert_max_num_queries(20):
        shown = page(client, run, "?at=s57")
    assert shown.count('id="step-') == 50
    assert "51 to 100 of 1000" in shown
    assert "result 57" in shown
    assert "result 56" not in shown


def test_a_long_result_is_cut_here_and_whole_on_its_own_page() -> None:
    hold = held(run_of(workflow(step("a"))))
    begin(hold, "a")
    succeed(hold, "a", {"text": "x" * 30_000 + "the end"})
    run = end(hold)
    client = signed_in(superuser=True)
    assert "the end" not in page(client, run)
    assert "10,007 more characters" in page(client, run)
    whole = client.get(reverse("admin:workflows_stepresult_change", args=[StepResult.objects.get().pk]))
    assert "the end" in whole.content.decode()


def test_only_an_active_run_can_be_cancelled_and_is_followed() -> None:
    run = run_of(workflow(step("a")))
    client = signed_in(superuser=True)
    assert ">Cancel</button>" in page(client, run)
    assert "data-follow" in page(client, run)
    hold = held(run)
    ended = end(hold)
    assert ">Cancel</button>" not in page(client, ended)
    assert "data-follow" not in page(client, ended)


def test_no_permission_no_page_and_no_such_run() -> None:
    run = run_of(workflow())
    client = signed_in("workflows.view_workflow")
    address = reverse("admin:workflows_run_change", args=[run.pk])
    assert client.get(address).status_code == 403
    assert client.get(address.replace(str(run.pk), "nonsense")).status_code == 403
    for part in ("parts", "stream", "context"):
        assert client.get(reverse(f"admin:workflows_run_{part}", args=[run.pk])).status_code == 403
    User.objects.all().delete()
    allowed = signed_in("workflows.view_run")
    assert allowed.get(address.replace(str(run.pk), "nonsense")).status_code == 404
    assert allowed.get(reverse("admin:workflows_run_context", args=[run.pk]) + "?path=nope").status_code == 404


def attempt(number: int, start: float, end: float, **more: object) -> dict[str, object]:
    moments = [(START + timedelta(seconds=s)).isoformat() for s in (start, end)]
    return {"number": number, "started_at": moments[0], "ended_at": moments[1], **more}


def test_bars_stand_where_the_attempts_were() -> None:
    tried: Any = [
        attempt(1, 0, 2, error_code="X", error="no", retry_in=1),
        attempt(2, 3, 5),
    ]
    result = StepResult(path="a", step_id="a", status="completed", attempts=tried, started_at=START)
    bars = row(result, Scale(START, START + timedelta(seconds=10))).bars
    assert [(bar.kind, bar.x, bar.width) for bar in bars] == [
        ("failed", 0, 20),
        ("completed", 30, 20),
        ("gap", 20, 10),
    ]


def test_a_running_attempt_reaches_to_the_present() -> None:
    began = START + timedelta(seconds=4)
    result = StepResult(path="a", step_id="a", status="running", attempt=1, started_at=began)
    (bar,) = row(result, Scale(START, START + timedelta(seconds=10))).bars
    assert (bar.kind, bar.x, bar.width) == ("running", 40, 60)


@pytest.mark.parametrize("seconds", [0, 0.0004, 0.8, 7, 59, 61, 3600, 90_000, 40_000_000])
def test_a_scale_has_few_ticks_and_bars_stay_inside(seconds: float) -> None:
    scale = Scale(START, START + timedelta(seconds=seconds))
    assert 1 <= len(scale.ticks()) <= 6
    bar = scale.bar("completed", START - timedelta(seconds=5), START + timedelta(seconds=seconds + 5), "")
    assert bar.x >= 0
    assert bar.x + bar.width <= 100


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(None, "–"), (0, "0 ms"), (0.4, "0.4 ms"), (340, "340 ms"), (2400, "2.4 s"), (185_000, "3 min 5 s")],
)
def test_lengths_of_time_are_said_as_people_say_them(milliseconds: float | None, text: str) -> None:
    assert duration(milliseconds) == text


def test_parts_are_given_by_themselves_and_folded_ones_only_when_unfolded() -> None:
    hold = held(run_of(workflow(step("a"))))
    begin(hold, "a", {"message": "hoo"})
    succeed(hold, "a", {"echo": "HOO"})
    run = end(hold)
    client = signed_in("workflows.view_run")

    def parts(query: str) -> str:
        return client.get(reverse("admin:workflows_run_parts", args=[run.pk]) + query).content.decode()

    assert 'data-part="head"' in parts("?part=head")
    assert 'data-part="steps"' not in parts("?part=head")
    assert "HOO" in parts("?part=steps")
    assert "HOO" not in parts("?part=steps&sparing=1")  # it is folded
    assert "HOO" in parts("?part=steps&sparing=1&open=a")
    assert "k-graph" not in parts("?part=graph")
    assert "k-graph" in parts("?part=graph&show=graph")
    assert "run_created" in parts("?part=events&show=events")


def test_a_steps_context_is_compared_before_and_after() -> None:
    hold = held(run_of(workflow(step("a"), step("b")), {"topic": "owls"}))
    for path, result in (("a", {"echo": "one\ntwo"}), ("b", {"echo": "one\nthree", "more": HOSTILE})):
        begin(hold, path)
        succeed(hold, path, result)
    run = end(hold)
    seen = context_of(run, "b")
    assert [(change.key, change.kind) for change in seen.changes] == [("echo", "changed"), ("more", "added")]
    assert [(line.mark, line.text) for line in seen.changes[0].lines] == [(" ", "one"), ("-", "two"), ("+", "three")]
    assert dict(seen.before) == {"topic": "owls", "echo": "one\ntwo"}
    address = reverse("admin:workflows_run_context", args=[run.pk])
    text = signed_in("workflows.view_run").get(address + "?path=b").content.decode()
    assert "alert(1)" in text
    assert "<script>alert" not in text


def test_a_stream_has_nothing_to_tell_of_a_run_whose_end_the_page_shows() -> None:
    run = end(held(run_of(workflow(step("a")))))
    address = reverse("admin:workflows_run_stream", args=[run.pk])
    client = signed_in("workflows.view_run")
    assert client.get(f"{address}?after={run.event_seq}").status_code == 204
    assert client.get(f"{address}?after=nonsense").status_code == 400


def test_a_script_is_told_in_json_what_came_of_a_verb() -> None:
    run = run_of(workflow(step("a")))
    client = signed_in("workflows.view_run", "workflows.change_run")
    answer = client.post(reverse("admin:workflows_run_pause", args=[run.pk]), headers={"X-Fetched": "1"})
    assert answer.json()["level"] == "success"
    assert "pauses" in answer.json()["told"]
    assert Run.objects.get(pk=run.pk).status == "paused"


def test_the_lines_of_all_steps_stand_in_the_order_of_time() -> None:
    hold = held(run_of(workflow(step("a"), step("b"))))
    begin(hold, "a")
    succeed(hold, "a", {}, *({"at": at, "level": "info", "message": f"a at {at:g}"} for at in (1.0, 3.0)))
    begin(hold, "b")
    succeed(hold, "b", {}, {"at": 2.0, "level": "warning", "message": HOSTILE})
    run = end(hold)
    assert [line.at.timestamp() for line in lines_of(run)] == [1.0, 2.0, 3.0]
    shown = page(signed_in("workflows.view_run"), run, "?show=log").partition('id="part-log"')[2]
    assert shown.index("a at 1") < shown.index("&lt;script&gt;") < shown.index("a at 3")
    assert HOSTILE not in shown
    assert "sequential_workflow.log" in shown
