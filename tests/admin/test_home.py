"""The first page: each figure against rows that are known, and queries whose number hangs on none."""

import itertools
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests.admin import factories
from workflows import loads
from workflows.admin import failures, home_figures, stuck, window
from workflows.admin.bars import HEIGHT, bars
from workflows.models import Run, StepResult, Worker, Workflow

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 28, 12, 30, tzinfo=UTC)
_numbers = itertools.count()


@pytest.fixture
def article() -> Workflow:
    factories.sync_agents()
    return factories.workflow()


def _run(workflow: Workflow, status: str, ago: timedelta, seconds: float = 0, **columns: Any) -> Run:
    """A run created so long ago; if it has ended, it took so many seconds."""
    at = NOW - ago
    assert workflow.current is not None
    if seconds:
        columns = {"started_at": at, "ended_at": at + timedelta(seconds=seconds), **columns}
    identity = window.first_id(at).int | 7 << 76 | 2 << 62 | next(_numbers)
    columns = {"id": type(window.first_id(at))(int=identity), "created_at": at, **columns}
    return Run.objects.create(workflow=workflow, version=workflow.current, status=status, **columns)


def _step(run: Run, step_id: str, status: str, milliseconds: float) -> StepResult:
    return StepResult.objects.create(
        run=run, path=step_id, step_id=step_id, status=status, duration_ms=milliseconds, ended_at=NOW
    )


HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def test_the_line_has_runs_that_are_due_and_that_nobody_holds(article: Workflow) -> None:
    _run(article, "queued", HOUR, due_at=NOW - 5 * MINUTE)
    _run(article, "queued", HOUR, due_at=NOW - 90 * MINUTE)
    _run(article, "queued", HOUR, due_at=NOW + MINUTE)
    assert home_figures.line(NOW) == home_figures.Line("2", "1 h 30 min")


def test_an_empty_line_has_no_oldest(article: Workflow) -> None:
    assert home_figures.line(NOW) == home_figures.Line("0", "")


def test_runs_that_have_begun_are_counted_by_status(article: Workflow) -> None:
    for status in ("running", "running", "waiting", "completed"):
        _run(article, status, HOUR)
    assert home_figures.standing() == [("running", "2"), ("waiting", "1"), ("paused", "0")]


def test_a_count_ends_somewhere(article: Workflow) -> None:
    for _ in range(4):
        _run(article, "paused", HOUR)
    paused = Run.objects.filter(status="paused")
    assert [window.bounded(paused, most) for most in (3, 4)] == ["3+", "4"]


def test_a_day_has_runs_by_hour_and_outcome(article: Workflow) -> None:
    for status, ago in (
        ("completed", 10 * MINUTE), ("failed", 20 * MINUTE), ("timed_out", 20 * MINUTE), ("queued", 20 * MINUTE),
        ("completed", 2 * HOUR), ("completed", 30 * HOUR),
    ):  # fmt: skip
        _run(article, status, ago)
    day = home_figures.day(NOW)
    by_hour = {hour.begins.hour: (hour.completed, hour.failed, hour.others) for hour in day.hours if hour.total}
    assert by_hour == {12: (1, 2, 1), 10: (1, 0, 0)}
    assert (len(day.hours), day.total, day.failed, day.success) == (24, 5, 2, 50)


def test_a_day_without_an_end_has_no_share_of_success(article: Workflow) -> None:
    _run(article, "cancelled", MINUTE)
    assert home_figures.day(NOW).success is None


def test_of_a_busy_day_the_newest_runs_are_told(article: Workflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "RUNS", 3)
    for ago in range(5):
        _run(article, "completed", ago * HOUR)
    day = home_figures.day(NOW)
    assert (day.total, day.is_cut) == (3, True)
    assert [hour.total for hour in day.hours[-4:]] == [0, 1, 1, 1]


def test_bars_stand_on_the_ground_and_the_highest_fills_the_image(article: Workflow) -> None:
    for status in ("completed", "completed", "failed", "running"):
        _run(article, status, MINUTE)
    shown = bars(home_figures.day(NOW))
    parts = [(part.status, part.y, part.height) for part in shown[-1].parts]
    assert parts == [("completed", 40, 40), ("cancelled", 20, 20), ("failed", 0, 20)]
    assert shown[-1].told == "12:00 UTC: 2 completed, 1 failed, 1 other"
    assert shown[0].told == "13:00 UTC: no runs"
    assert sum(part.height for part in shown[-1].parts) == HEIGHT


def test_times_by_workflow_are_of_runs_that_ended_within_a_day(article: Workflow) -> None:
    for seconds in range(1, 21):
        _run(article, "completed", HOUR, seconds)
    _run(article, "completed", 25 * HOUR, 1000)
    _run(article, "running", HOUR, started_at=NOW)
    (times,) = home_figures.workflow_times(NOW)
    assert (times.workflow, times.number, times.told) == (article, 20, ("10 s", "19 s"))


def test_steps_are_told_by_their_time_and_by_their_failures(article: Workflow) -> None:
    run = _run(article, "failed", HOUR, 1)
    _step(run, "slow", "completed", 9000)
    _step(run, "fast", "completed", 10)
    for _ in range(3):
        _step(_run(article, "completed", HOUR, 1), "bad", "completed", 100)
    _step(run, "bad", "failed", 200)
    times = home_figures.step_times()
    assert [step.step for step in home_figures.slowest(times)] == ["slow", "bad", "fast"]
    (bad,) = failures.most_failing(times)
    assert (bad.step, bad.number, bad.failed, bad.failed_percent) == ("bad", 4, 1, 25)


def test_the_newest_failures_come_with_the_step_that_failed(article: Workflow) -> None:
    older = _run(article, "timed_out", 2 * HOUR)
    newer = _run(article, "failed", HOUR)
    _run(article, "completed", MINUTE)
    _step(newer, "write", "failed", 5)
    assert failures.newest() == [failures.Failure(newer, "write"), failures.Failure(older, "")]


def _worker(expires_in: timedelta, **columns: Any) -> Worker:
    return Worker.objects.create(
        **{"kind": "worker", "host": "here", "pid": 7, "started_at": NOW, "expires_at": NOW + expires_in, **columns}
    )


def test_workers_are_told_with_what_they_hold(article: Workflow) -> None:
    _worker(MINUTE, kind="pacemaker")
    _worker(MINUTE, kind="pacemaker", host="idle")  # its loops have no lease while they hold nothing
    loops = [_worker(MINUTE, pid=1), _worker(MINUTE, pid=2)]
    _worker(-MINUTE, host="gone")
    _worker(MINUTE, kind="web", host="web")
    for at in range(5):
        _run(article, "running", HOUR, worker=loops[at % 2])
    assert [(load.host, load.workers, load.held) for load in loads.loads(NOW)] == [
        ("here", 1, 5),
        ("idle", 1, 0),
    ]


def test_what_may_be_stuck_is_told_with_the_reason_the_worst_first(article: Workflow) -> None:
    waiting = _run(article, "waiting", 9 * HOUR)
    StepResult.objects.create(
        run=waiting, path="hear", step_id="hear", kind="wait_for", status="waiting", parameters={"event": "paid"}
    )
    queued = _run(article, "queued", HOUR, due_at=NOW - MINUTE)
    _run(article, "queued", HOUR, due_at=NOW - MINUTE / 10)
    lost = _run(article, "running", HOUR, worker=_worker(-MINUTE))
    found = stuck.stuck(NOW)
    assert [(entry.run, entry.told) for entry in found] == [
        (lost, "worker gone"), (queued, "in line"), (waiting, "waiting"),
    ]  # fmt: skip
    said = [entry.why for entry in found]
    assert "has not been heard of" in said[0]
    assert "no worker runs" in said[1]
    assert "waits for the event 'paid'" in said[2]


def test_a_run_between_two_attempts_is_told(article: Workflow) -> None:
    run = _run(article, "running", HOUR, worker=_worker(MINUTE))
    attempt = {"ended_at": NOW.isoformat(), "retry_in": 60, "error_code": "RateLimited", "error": "429"}
    StepResult.objects.create(run=run, path="write", step_id="write", status="retrying", attempts=[attempt])
    (entry,) = stuck.stuck(NOW)
    assert (entry.run, entry.told) == (run, "tried again")
    assert "in 60 s after RateLimited" in entry.why


def _queries(client: Any, address: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert client.get(address).status_code == 200
    return len(queries)


@pytest.mark.parametrize("address", ["/admin/", "/admin/figures/"])
def test_the_number_of_queries_hangs_on_no_number_of_rows(article: Workflow, address: str) -> None:
    client = factories.signed_in(superuser=True)

    def more() -> None:
        for status in ("queued", "completed", "failed", "timed_out") * 10:
            run = _run(article, status, HOUR, 1 if status != "queued" else 0)
            _step(run, "write", "failed" if status == "failed" else "completed", 5)
        Run.objects.filter(status="queued").update(due_at=timezone.now() - HOUR)

    more()
    _queries(client, address)  # content types and the like are read once
    few = _queries(client, address)
    more()
    assert _queries(client, address) == few <= 45


def test_an_empty_system_shows_what_to_do_first(article: Workflow) -> None:
    shown = factories.signed_in(superuser=True).get("/admin/").content.decode()
    assert "No worker is alive" in shown
    assert "Run an example" in shown
    assert "Newest failures" not in shown


def test_who_sees_no_runs_sees_no_figures_of_them(article: Workflow) -> None:
    _run(article, "failed", MINUTE)
    client = factories.signed_in("workflows.view_workflow")
    for address in ("/admin/", "/admin/figures/"):
        shown = client.get(address).content.decode()
        assert "home-failures" not in shown
        assert "home-now" not in shown


def test_figures_by_themselves_are_a_part_of_the_page(article: Workflow) -> None:
    _run(article, "failed", MINUTE, error_message=factories.HOSTILE)
    client = factories.signed_in(superuser=True)
    part = client.get("/admin/figures/").content.decode()
    assert "<html" not in part
    assert factories.HOSTILE not in part
    parts = re.findall(r'id="(home-[a-z]+)"', part)
    assert parts == re.findall(r'id="(home-[a-z]+)"', client.get("/admin/").content.decode())


def test_strangers_get_no_figures() -> None:
    assert factories.signed_in().get("/admin/figures/").status_code == 200
    assert Client(headers={"host": "localhost"}).get("/admin/figures/").status_code == 302
