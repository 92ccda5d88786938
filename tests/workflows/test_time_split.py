"""Where the time of a run went, told from what the engine has written."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from tests.admin.factories import begin, end, fail, held, run_of, step, succeed, sync_agents, workflow
from tests.factories import run_to_end
from tests.factories import step as scripted_step
from workflows import runs, transitions
from workflows.held import HeldRun, write
from workflows.models import Run, Worker
from workflows.outcomes import Succeeded
from workflows.time_split import time_split

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
Tell = Callable[[float], None]


def seconds(run: Run) -> dict[str, float]:
    """The parts that have any, and that they add up."""
    found = time_split(run, timezone.now())
    assert sum(found.parts.values()) == pytest.approx(found.total_ms)
    return {part.value: round(ms / 1000, 3) for part, ms in found.parts.items() if ms}


def columns(path: str, kind: str = "function") -> dict[str, Any]:
    return {"step_id": path, "name": path, "kind": kind, "agent": "x", "function": "echo", "parameters": None}


@pytest.fixture
def clock() -> Any:
    sync_agents()
    with time_machine.travel(BEGIN, tick=False) as traveller:
        yield lambda offset: traveller.move_to(BEGIN + timedelta(seconds=offset))


def claimed_at_two(clock: Tell) -> HeldRun:
    run = run_of(workflow(step("a"), step("b")))
    clock(2)
    return held(run)


def again(hold: HeldRun) -> None:
    transitions.claim(hold, Worker.objects.get().pk, timezone.now(), 600)


def test_line_attempts_waits_and_what_is_left(clock: Tell) -> None:
    hold = claimed_at_two(clock)
    clock(4)
    transitions.start_step(hold, "a", columns("a"), 1.0)  # a second in line for its agent, one of overhead
    clock(7)
    fail(hold, "a", "no", retry_in=5)
    clock(14)
    transitions.start_step(hold, "a", columns("a"), 1.5)  # 5 s until the retry, 1.5 s in line, 0.5 s of overhead
    clock(15)
    succeed(hold, "a", {})
    clock(16)
    run = end(hold)
    assert seconds(run) == {"line": 4.5, "functions": 1, "retries": 8, "overhead": 2.5}


def test_waiting_for_people_counts_as_that_but_in_line_again_as_line(clock: Tell) -> None:
    hold = claimed_at_two(clock)
    transitions.wait_step(hold, "ask", columns("ask", "approval"), None)
    transitions.park(hold, None, "a person")
    clock(10)
    transitions.wake(hold)
    clock(13)
    again(hold)
    hold.steps["ask"].kind = "approval"
    transitions.finish_step(hold, "ask", Succeeded({}, "{}", {}))
    assert seconds(end(hold)) == {"line": 5, "people": 8}


def test_a_pause_counts_as_a_pause_and_a_retry_begins_anew(clock: Tell) -> None:
    hold = claimed_at_two(clock)
    begin(hold, "a")
    clock(3)
    transitions.pause(hold, "ann")
    clock(9)
    transitions.resume(hold, "ann")
    clock(10)
    again(hold)
    begin(hold, "a")
    clock(12)
    succeed(hold, "a", {})
    run = end(hold, error="no")
    assert seconds(run) == {"line": 3, "retries": 1, "paused": 6, "functions": 2}
    clock(100)
    hold = HeldRun.of(run, "ann")
    transitions.retry(hold, "ann", [], [], [], "b")
    clock(103)
    again(hold)
    clock(104)
    assert seconds(end(hold)) == {"line": 3, "overhead": 1}


def test_a_run_that_was_put_off_waited_for_its_time(clock: Tell) -> None:
    due = BEGIN + timedelta(seconds=60)
    run = runs.start(workflow(step("a")), {}, trigger="api", actor="tests", wake=False, run_at=due)
    clock(61)
    hold = held(run)
    assert seconds(end(hold)) == {"time": 60, "line": 1}


def test_a_run_that_goes_on_is_told_so_far(clock: Tell) -> None:
    hold = claimed_at_two(clock)
    begin(hold, "a")
    write(hold)
    clock(5)
    assert seconds(Run.objects.get(pk=hold.id)) == {"line": 2, "functions": 3}


def test_what_the_engine_wrote_adds_up_whatever_the_blocks(tmp_path: Path) -> None:
    nap = {"step_id": "nap", "wait": {"seconds": 0.01}}
    each = {"step_id": "each", "for_each": "[1, 2, 3]", "steps": [scripted_step("say"), nap]}
    both = {"step_id": "both", "parallel": {"x": [scripted_step("b")], "y": [{**nap, "step_id": "nap2"}]}}
    flaky = scripted_step(
        "c", "flaky", {"file": str(tmp_path / "c"), "failures": 1}, retry={"initial_delay_seconds": 0.01}
    )
    run = run_to_end(each, both, flaky)
    assert run.status == "completed"
    assert {"functions", "retries", "time"} <= set(seconds(run))
