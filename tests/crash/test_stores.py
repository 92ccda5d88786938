"""Stores and brokers that go away and come back, with runs under way: nothing lost, nothing twice, nobody dies."""

import contextlib
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection
from django_q.models import OrmQ

from tests.crash import witness
from tests.crash.checks import broken_invariants
from tests.crash.conftest import StartSite
from tests.crash.hosts import Host
from tests.crash.processes import children
from tests.crash.services import PostgreSQL
from tests.crash.site import Site
from tests.factories import make_workflow, step
from tests.workers.conftest import wait_for
from workflows import dispatch, runs
from workflows.models import Event, Run, StepResult

ON_POSTGRESQL = pytest.mark.postgresql
ON_REDIS = pytest.mark.redis
STEPS = 8
RUNS = 6
LOCKED = 8.0  # seconds
FULL = 5.0  # seconds
ONCE_FOR_EACH = 3  # loops and the pacemaker may each say it once


@ON_POSTGRESQL
@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_postgresql_is_restarted(mode: str, start_site: StartSite) -> None:
    site = start_site("postgresql")
    with runs_under_way(site) as host:
        postgresql(site).restart(mode)
    assert said_once(host, "database")


@ON_POSTGRESQL
def test_all_connections_are_terminated(start_site: StartSite) -> None:
    site = start_site("postgresql")
    with runs_under_way(site) as host:
        postgresql(site).cut_connections()
    assert said_once(host, "terminating connection")


@ON_REDIS
@pytest.mark.parametrize("store", ["sqlite", pytest.param("postgresql", marks=ON_POSTGRESQL)])
def test_redis_is_restarted_and_emptied(store: str, start_site: StartSite) -> None:
    site = start_site(store, "redis")
    assert site.redis is not None
    with runs_under_way(site) as host:
        site.redis.stop()
        unheard = start(site, "unheard")  # nobody can be rung
        time.sleep(1.0)
        site.redis.start()
        site.redis.flush()
        wait_for(lambda: Run.objects.get(pk=unheard.pk).has_ended, 30)
    assert said_once(host, "broker")


@pytest.mark.parametrize("broker", ["orm", pytest.param("redis", marks=ON_REDIS)])
def test_messages_are_doubled_fiftyfold_and_lost(broker: str, start_site: StartSite) -> None:
    site = start_site("sqlite", broker)
    with runs_under_way(site) as host:
        for _ in range(50):
            dispatch.ring()
        empty_queue(site)
        lost = runs.start(Run.objects.all()[0].workflow, {}, trigger="api", actor="tester")
        empty_queue(site)
        wait_for(lambda: Run.objects.get(pk=lost.pk).has_ended, 20)
    assert not host.lines("ERROR")


def test_sqlite_is_locked_for_eight_seconds(start_site: StartSite) -> None:
    site = start_site("sqlite")
    with runs_under_way(site) as host:
        other = sqlite3.connect(site.database, isolation_level=None, timeout=5)
        other.execute("BEGIN IMMEDIATE")
        time.sleep(LOCKED)
        other.close()
    assert said_once(host, "locked")


def test_the_disk_of_sqlite_is_full(start_site: StartSite) -> None:
    site = start_site("sqlite", small=16)
    with runs_under_way(site) as host:
        fill_for_a_while(site.database.parent)
    assert said_once(host, "disk")


@ON_POSTGRESQL
def test_the_disk_of_postgresql_is_full(start_site: StartSite) -> None:
    server = PostgreSQL()
    try:
        folder = server.keep_small(96)
        site = start_site(server)
        with runs_under_way(site) as host:
            fill_for_a_while(folder)
        assert said_once(host, "space")
        site.close_hosts()
    finally:
        start_site("sqlite")  # lets go of the server's database
        server.close()


# --- What they share -------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def runs_under_way(site: Site) -> Iterator[Host]:
    """A worker in the middle of some runs; after the block they must end as if nothing had been."""
    host = Host(site, "ada").start_worker()
    before = processes(host)
    started = [start(site, f"w{number}") for number in range(RUNS)]
    wait_for(lambda: StepResult.objects.filter(status="completed").count() > RUNS)
    yield host
    connection.close()  # it may be cut as all others were
    wait_for(lambda: not Run.objects.active().exists(), 45)
    statuses = Run.objects.filter(pk__in=[run.pk for run in started]).values_list("status", flat=True)
    assert set(statuses) == {"completed"}
    testimony = witness.hear(site.effects, set())
    assert not testimony.broken
    assert testimony.repeated == 0, "an attempt was cut short, and made again"
    assert recorded_twice() == set()
    assert not broken_invariants()
    assert processes(host) == before, "a worker's process died of it"


def start(site: Site, workflow_id: str) -> Run:
    effect = {"folder": str(site.effects), "seconds": 0.25}
    steps = [step(f"s{number}", "effect", effect) for number in range(STEPS)]
    return runs.start(make_workflow(*steps, workflow_id=workflow_id), {}, trigger="api", actor="tester")


def processes(host: Host) -> set[int]:
    """The pacemaker, the sentinel and everything that the sentinel has started."""
    assert host.worker is not None
    sentinels = host.sentinels()
    return {host.worker.pid, *sentinels}.union(*(children(pid) for pid in sentinels))


def recorded_twice() -> set[tuple[object, str, str]]:
    """Steps whose end, or whose success, stands in the trail more than once."""
    ends = Event.objects.filter(type="step_complete").values_list("run", "path", "type")
    return {end for end, times in Counter(ends).items() if times > 1}


def said_once(host: Host, about: str) -> bool:
    """Whether the log names the trouble, each part of the worker at most once, and without a trace."""
    errors = [re.sub(r"^\S+ \S+ ", "", line) for line in host.lines("ERROR")]
    print("\n" + "\n".join(errors))
    times = Counter(re.split(r"[:(]", line.split(": ", 1)[1])[0] for line in errors)
    assert not host.lines("Traceback"), "a trace in the log"
    assert any(about in line for line in errors), f"nothing about {about!r} in the log"
    assert max(times.values()) <= ONCE_FOR_EACH, times
    return True


def empty_queue(site: Site) -> None:
    if site.redis is None:
        OrmQ.objects.all().delete()
    else:
        site.redis.flush()


def fill_for_a_while(folder: Path) -> None:
    """No byte is free for some seconds."""
    filler = folder / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * size)
    time.sleep(FULL)
    filler.unlink()


def postgresql(site: Site) -> PostgreSQL:
    assert site.postgresql is not None
    return site.postgresql
