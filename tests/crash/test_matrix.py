"""Runs in each state × each disturbance, with real worker processes: 45 cells on each store.

For each disturbance all states are prepared at once, disturbed at once, and each is looked at when all has settled.
"""

import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg
import pytest

from tests.crash import oracle, states, witness
from tests.crash.checks import broken_invariants
from tests.crash.conftest import StartSite
from tests.crash.hosts import Host
from tests.crash.services import PostgreSQL
from tests.crash.site import Site
from tests.crash.states import STATES, Became, Prepared
from tests.workers.conftest import wait_for
from workflows import runs
from workflows.models import Run

DISTURBANCES = ("cancel", "deadline", "worker kill", "machine cut off", "database locked")
LEASE = {"database locked": 12.0}  # else 6 s; longer than the lock, with what a loop keeps in reserve
LOCKED = 3.0  # seconds
DEADLINE = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class Expected:
    """How the run ends, how often its step ``a`` had its effect, how many of its attempts were cut short."""

    status: str
    effects: int
    cut_short: int = 0
    why: str = ""


DONE = "completed"
EXPECTED: dict[tuple[str, str], Expected] = {
    ("queued", "cancel"): Expected("cancelled", 0, why="nobody holds it: the verb ends it itself"),
    ("running", "cancel"): Expected("cancelled", 1, why="its holder stops the attempt within 2 s"),
    ("between attempts", "cancel"): Expected("cancelled", 1, why="its holder waits for the retry, and stops waiting"),
    ("waiting", "cancel"): Expected("cancelled", 1, why="parked: the verb ends it itself"),
    ("paused", "cancel"): Expected("cancelled", 0, why="the verb ends it itself"),
    ("in a helper", "cancel"): Expected("cancelled", 1, why="the helper process is killed"),
    ("waiting for a person", "cancel"): Expected("cancelled", 0, why="the verb ends it itself"),
    ("waiting for a child", "cancel"): Expected("cancelled", 1, why="parked: the verb ends it, and asks the child's"),
    ("in a parallel branch", "cancel"): Expected("cancelled", 1, why="its holder stops the attempts of all branches"),
    ("queued", "deadline"): Expected(DONE, 1, why="a deadline counts from the first claim"),
    ("running", "deadline"): Expected("timed_out", 1, why="the attempt is cancelled"),
    ("between attempts", "deadline"): Expected("timed_out", 1, why="the wait for a retry is counted"),
    ("waiting", "deadline"): Expected("timed_out", 1, why="due again at its deadline, long before its retry"),
    ("paused", "deadline"): Expected(DONE, 1, why="time paused is not counted: it goes on when resumed"),
    ("in a helper", "deadline"): Expected("timed_out", 1, why="the helper process is killed"),
    ("waiting for a person", "deadline"): Expected(DONE, 1, why="no time counts meanwhile: it goes on when answered"),
    ("waiting for a child", "deadline"): Expected("timed_out", 1, why="the child has no more time than its parent"),
    ("in a parallel branch", "deadline"): Expected("timed_out", 1, why="the attempts of all branches are cancelled"),
    ("queued", "worker kill"): Expected(DONE, 1, why="claimed by a fresh loop when it is due"),
    ("running", "worker kill"): Expected(DONE, 2, 1, why="taken over; the attempt is made again"),
    ("between attempts", "worker kill"): Expected(DONE, 2, why="taken over; the second attempt comes when it is due"),
    ("waiting", "worker kill"): Expected(DONE, 2, why="nobody held it"),
    ("paused", "worker kill"): Expected(DONE, 1, why="nobody held it; resumed"),
    ("in a helper", "worker kill"): Expected(DONE, 2, 1, why="the helper dies with its loop; made again"),
    ("waiting for a person", "worker kill"): Expected(DONE, 1, why="nobody held it; answered"),
    ("waiting for a child", "worker kill"): Expected(DONE, 2, 1, why="the child is taken over, and its end told"),
    ("in a parallel branch", "worker kill"): Expected(DONE, 2, 1, why="taken over; the branch that has ended stays"),
    ("queued", "machine cut off"): Expected(DONE, 1, why="claimed by the other machine"),
    ("running", "machine cut off"): Expected(DONE, 2, 1, why="taken over by the other machine after the lease"),
    ("between attempts", "machine cut off"): Expected(DONE, 2, why="taken over; the retry is made there"),
    ("waiting", "machine cut off"): Expected(DONE, 2, why="claimed by the other machine when it is due"),
    ("paused", "machine cut off"): Expected(DONE, 1, why="nobody held it; resumed, on the other machine"),
    ("in a helper", "machine cut off"): Expected(DONE, 2, 1, why="the cut machine kills its helper; made again"),
    ("waiting for a person", "machine cut off"): Expected(DONE, 1, why="nobody held it; answered"),
    ("waiting for a child", "machine cut off"): Expected(DONE, 2, 1, why="the child is taken over there"),
    ("in a parallel branch", "machine cut off"): Expected(
        DONE, 2, 1, why="taken over; the branch that has ended stays"
    ),
    ("queued", "database locked"): Expected(DONE, 1, why="claimed when the database answers"),
    ("running", "database locked"): Expected(DONE, 1, why="the attempt goes on; what it came to is written later"),
    ("between attempts", "database locked"): Expected(DONE, 2, why="the retry is only later"),
    ("waiting", "database locked"): Expected(DONE, 2, why="claimed when the database answers"),
    ("paused", "database locked"): Expected(DONE, 1, why="untouched; resumed"),
    ("in a helper", "database locked"): Expected(DONE, 1, why="the attempt goes on; what it came to is written later"),
    ("waiting for a person", "database locked"): Expected(DONE, 1, why="untouched; answered"),
    ("waiting for a child", "database locked"): Expected(DONE, 1, why="the child's attempt goes on; its end is told"),
    ("in a parallel branch", "database locked"): Expected(DONE, 1, why="the attempt goes on, as alone"),
}


@dataclass(slots=True)
class Experiment:
    """What became of each state, and of everything around."""

    became: dict[str, Became]
    helpers_left: set[int]
    broken: list[str]


EXPERIMENTS = [
    pytest.param((store, disturbance), id=f"{store}-{disturbance}", marks=marks)
    for store, marks in (("sqlite", ()), ("postgresql", (pytest.mark.postgresql,)))
    for disturbance in DISTURBANCES
]


@pytest.fixture(scope="module", params=EXPERIMENTS)
def experiment(request: pytest.FixtureRequest, start_site: StartSite) -> Iterator[tuple[str, Experiment]]:
    store, disturbance = request.param
    lease = LEASE.get(disturbance, 6.0)
    site = start_site(store, KOLOSAL_LEASE_SECONDS=f"{lease:g}", KOLOSAL_GRACE_SECONDS="1")
    ada, bob = Host(site, "ada", proxied=True).start_worker(), Host(site, "bob", proxied=True)
    prepared = states.prepare(site, ada, DEADLINE if disturbance == "deadline" else 3600)
    prepared.disturbed = time.time()
    DISTURB[disturbance](prepared, ada, bob)
    became = states.settle(prepared)
    _wait_for_none(lambda: states.helpers_left(prepared))
    broken = broken_invariants() + witness.hear(site.effects, set()).broken + oracle.all_complaints(Run.objects.all())
    yield disturbance, Experiment(became, states.helpers_left(prepared), broken)
    site.close_hosts()


@pytest.mark.parametrize("state", STATES)
def test_a_run_in_each_state_meets_each_disturbance(experiment: tuple[str, Experiment], state: str) -> None:
    disturbance, seen = experiment
    expected, became = EXPECTED[state, disturbance], seen.became[state]
    assert (became.status, became.effects, became.cut_short) == (
        expected.status,
        expected.effects,
        expected.cut_short,
    ), f"{expected.why}; {became}"
    assert became.followed == (expected.status == DONE)
    assert became.child in ("", expected.status)
    if disturbance == "cancel":
        assert became.seconds < 2


def test_nothing_is_left_of_a_disturbance(experiment: tuple[str, Experiment]) -> None:
    disturbance, seen = experiment
    assert not seen.broken
    if disturbance != "database locked":  # there the helper goes on to the end, and is kept for the next job
        assert not seen.helpers_left


def cancel(prepared: Prepared, ada: Host, bob: Host) -> None:
    for run_id in prepared.ids():
        assert runs.cancel(run_id, actor="tester")


def wait_for_deadline(prepared: Prepared, ada: Host, bob: Host) -> None:
    """Their deadline comes by itself."""


def kill_loops(prepared: Prepared, ada: Host, bob: Host) -> None:
    for pid in ada.loops():
        os.kill(pid, signal.SIGKILL)


def cut_off(prepared: Prepared, ada: Host, bob: Host) -> None:
    """On SQLite no machine can be cut off from the file: the whole host stalls past its lease instead."""
    if ada.proxies:
        ada.cut()
        bob.start_worker()
        wait_for(lambda: not states.helpers_left(prepared), 8)  # the cut host stops its work before its lease ends
    else:
        _stop_between_writes(ada, prepared.site)
        bob.start_worker()
        time.sleep(max(0.0, prepared.disturbed + 8 - time.time()))
        ada.continue_processes()


def _stop_between_writes(host: Host, site: Site) -> None:
    """Stop all of a host where none of it is in the middle of a write: it would keep SQLite's one lock from others."""
    for _ in range(100):
        host.stop_processes()
        if _is_writable(site):
            return
        host.continue_processes()
        time.sleep(0.02)
    raise AssertionError("the host writes all the time")


def _is_writable(site: Site) -> bool:
    other = sqlite3.connect(site.database, isolation_level=None)
    other.execute("PRAGMA busy_timeout = 200")
    try:
        other.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return False
    else:
        return True
    finally:
        other.close()


def lock(prepared: Prepared, ada: Host, bob: Host) -> None:
    if prepared.site.postgresql is None:
        _lock_sqlite(prepared.site)
    else:
        _lock_postgresql(prepared.site, prepared.site.postgresql)


def _lock_sqlite(site: Site) -> None:
    other = sqlite3.connect(site.database, isolation_level=None)
    other.execute("PRAGMA busy_timeout = 5000")
    other.execute("BEGIN IMMEDIATE")
    time.sleep(LOCKED)
    other.close()


def _lock_postgresql(site: Site, server: PostgreSQL) -> None:
    with psycopg.connect(server.url(site.name)) as other:
        other.execute("LOCK TABLE workflows_run, workflows_worker IN ACCESS EXCLUSIVE MODE")
        time.sleep(LOCKED)


def _wait_for_none(left: Callable[[], set[int]], seconds: float = 5.0) -> None:
    until = time.monotonic() + seconds
    while left() and time.monotonic() < until:
        time.sleep(0.05)


DISTURB: dict[str, Callable[[Prepared, Host, Host], None]] = {
    "cancel": cancel,
    "deadline": wait_for_deadline,
    "worker kill": kill_loops,
    "machine cut off": cut_off,
    "database locked": lock,
}
