"""Waiting for a run from a thread."""

import threading

from tests.factories import make_workflow, step
from workflows import follow, runs


def following_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "follow"]


def test_a_run_that_ends_settles_its_waiter() -> None:
    run = runs.execute(make_workflow(step("a")), {}, actor="tester")
    assert follow.wait_until_settled(run.pk) == "completed"
    assert follow.wait_until_settled(run.pk) == "completed"


def test_a_run_that_stays_queued_is_not_waited_for_any_longer() -> None:
    run = runs.start(make_workflow(step("a")), {}, trigger="api", actor="tester", wake=False)
    assert follow.wait_until_settled(run.pk, queued_for=0.1) == "queued"


def test_a_run_that_is_under_way_is_waited_for_however_long_it_takes() -> None:
    run = runs.execute(make_workflow(step("a", "nap", {"seconds": 0.6})), {}, actor="tester")
    assert follow.wait_until_settled(run.pk, queued_for=0.3) == "completed"


def test_stopping_lets_waiters_go_and_ends_the_thread() -> None:
    run = runs.start(make_workflow(step("a")), {}, trigger="api", actor="tester", wake=False)
    statuses: list[str] = []
    waiting = threading.Thread(target=lambda: statuses.append(follow.wait_until_settled(run.pk)))
    waiting.start()
    while not following_threads():
        pass
    follow.stop()
    waiting.join(5)
    assert statuses == ["queued"]
    assert not following_threads()
