"""A workflow's steps over time, and where the time of a run went."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from tests.admin.factories import HOSTILE, begin, end, held, run_of, signed_in, step, succeed, sync_agents, workflow
from workflows import step_times
from workflows.models import Run, StepResult, Workflow
from workflows.models.run import new_run_id
from workflows.step_times import folded_path, quantile, workflow_times

pytestmark = pytest.mark.django_db


@pytest.fixture
def stored() -> Workflow:
    sync_agents()
    return workflow(step("a"))


def ended(stored: Workflow, hours_ago: float = 1, **columns: Any) -> Run:
    """A run that has ended, with an id of its time."""
    at = timezone.now() - timedelta(hours=hours_ago)
    early = int.from_bytes(new_run_id().bytes) & ((1 << 80) - 1) | int(at.timestamp() * 1000) << 80
    fields = {"status": "completed", "created_at": at, "started_at": at, "ended_at": at, "planned_steps": 1, **columns}
    return Run.objects.create(id=uuid.UUID(int=early), workflow=stored, version_id=stored.current_id or 0, **fields)


def did(run: Run, path: str, milliseconds: float, **columns: Any) -> None:
    fields = {"status": "completed", "attempt": 1, "started_at": run.created_at, "duration_ms": milliseconds, **columns}
    StepResult.objects.create(run=run, path=path, step_id=path, **fields)


def page(stored: Workflow) -> str:
    return reverse("admin:workflows_workflow_times", args=[stored.pk])


def test_iterations_count_as_one_step_and_failures_and_retries_are_counted(stored: Workflow) -> None:
    for hours, factor in ((3, 1), (2, 2), (1, 3)):
        run = ended(stored, hours)
        did(run, "each", 1000, kind="for_each")
        did(run, "each[0].say", 10 * factor)
        did(run, "each[1].say", 20 * factor, attempt=3)
        did(run, "a", 5, status="failed" if factor == 3 else "completed")
        did(run, "b", 0, status="skipped")
    say, a = workflow_times(stored, timezone.now()).steps
    assert (say.path, say.count, say.median, say.p95, say.failures, say.retries) == ("each[].say", 6, 25, 60, 0, 6)
    assert (a.path, a.count, a.failures) == ("a", 3, 1)
    assert say.share + a.share == pytest.approx(1)
    assert say.slowest.run == run.pk
    assert [dot.at for dot in say.dots] == sorted(dot.at for dot in say.dots)


def test_only_the_last_days_and_so_many_steps_count(stored: Workflow, monkeypatch: pytest.MonkeyPatch) -> None:
    for hours in (24 * 8, 5, 4, 3):
        did(ended(stored, hours, planned_steps=4), "a", hours)
    did(ended(stored, 1, ended_at=None, status="running"), "a", 1)
    assert workflow_times(stored, timezone.now()).runs == 3
    monkeypatch.setattr(step_times, "MOST_STEPS", 9)
    times = workflow_times(stored, timezone.now())
    assert (times.runs, times.steps[0].count) == (2, 2)


def test_the_page_leads_to_the_runs_with_few_queries(stored: Workflow, django_assert_max_num_queries: Any) -> None:
    runs = [ended(stored, hours) for hours in range(1, 61)]
    for number, run in enumerate(runs):
        for path in ("a", "b", "c"):
            did(run, path, number)
    client = signed_in("workflows.view_run", "workflows.view_workflow")
    with django_assert_max_num_queries(12):
        shown = client.get(page(stored)).content.decode()
    assert reverse("admin:workflows_run_change", args=[runs[-1].pk]) in shown
    assert 3 * 20 < shown.count("<circle") <= 3 * step_times.MOST_DOTS
    assert page(stored) in client.get(reverse("admin:workflows_workflow_change", args=[stored.pk])).content.decode()


def test_a_workflow_without_runs_says_so_and_text_stays_text(stored: Workflow) -> None:
    client = signed_in("workflows.view_run", "workflows.view_workflow")
    assert "no run has ended" in client.get(page(stored)).content.decode()
    did(ended(stored), HOSTILE, 5)
    shown = client.get(page(stored)).content.decode()
    assert "&lt;script&gt;alert(1)" in shown
    assert "<script>alert" not in shown
    assert client.get(page(stored).replace(str(stored.pk), "999")).status_code == 404


def test_who_may_not_see_runs_sees_no_times(stored: Workflow) -> None:
    assert signed_in("workflows.view_workflow").get(page(stored)).status_code == 403


@given(st.lists(st.floats(0, 1e9), min_size=1), st.floats(0.01, 1))
def test_a_quantile_is_one_of_the_numbers_and_enough_do_not_exceed_it(numbers: list[float], share: float) -> None:
    found = quantile(sorted(numbers), share)
    assert found in numbers
    assert sum(number <= found for number in numbers) >= share * len(numbers) - 1e-6


def test_only_numbers_of_iterations_are_folded() -> None:
    assert folded_path("a[2].b[10].c") == "a[].b[].c"
    assert folded_path("a.b") == "a.b"


def test_the_page_of_a_run_that_has_ended_says_where_its_time_went(stored: Workflow) -> None:
    hold = held(run_of(stored))
    begin(hold, "a")
    viewer = signed_in("workflows.view_run")
    succeed(hold, "a", {})
    run = end(hold)
    shown = viewer.get(reverse("admin:workflows_run_change", args=[run.pk])).content.decode()
    assert "Where the time went" in shown
    assert "in line" in shown
