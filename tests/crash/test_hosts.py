"""Three hosts on one PostgreSQL and one Redis, each behind proxies of its own."""

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from django.utils import timezone

from tests.crash import witness
from tests.crash.checks import broken_invariants
from tests.crash.conftest import StartSite
from tests.crash.hosts import Host
from tests.crash.processes import alive
from tests.crash.site import Site
from tests.factories import make_workflow, step
from tests.workers.conftest import wait_for
from workflows import runs
from workflows.models import Event, Run, Worker, Workflow

pytestmark = [pytest.mark.postgresql, pytest.mark.redis]
PER_LOOP = 4  # runs, so that no host can take all


@dataclass(frozen=True, slots=True)
class Three:
    site: Site
    hosts: dict[str, Host]


@pytest.fixture(scope="module")
def three(start_site: StartSite) -> Iterator[Three]:
    """Two hosts with a worker and one with a worker and a web server; default lease."""
    site = start_site("postgresql", "redis", KOLOSAL_WORKERS="1", KOLOSAL_RUNS_PER_WORKER=str(PER_LOOP))
    hosts = {name: Host(site, name, proxied=True).start_worker() for name in ("ada", "bob", "eve")}
    hosts["eve"].start_web()
    yield Three(site, hosts)
    site.close_hosts()


def test_runs_spread_over_hosts(three: Three) -> None:
    workflow = counted(three.site, "spread", seconds=6.0)
    started = [start(workflow) for _ in range(3 * PER_LOOP)]
    wait_for(lambda: all_ended(started))
    assert hosts_of(started) == {"ada", "bob", "eve"}
    assert not witness.hear(three.site.effects, set()).broken


def test_a_host_that_is_cut_off_stops_its_work_and_another_goes_on_with_it(three: Three) -> None:
    hold = step("a", "http_request", {"url": three.site.server.url("/hold"), "method": "POST", "timeout_seconds": 300})
    held = make_workflow({**hold, "timeout_seconds": 600}, workflow_id="held")
    plain = make_workflow(
        step("a", "effect_plain", {"folder": str(three.site.effects), "seconds": 300}, timeout_seconds=600),
        workflow_id="plain",
    )
    started = [start(workflow) for _ in range(4) for workflow in (held, plain)]
    wait_for(lambda: both_on_one_host(started, held, plain))
    host = three.hosts[str(both_on_one_host(started, held, plain))]
    mine = [run for run in started if run.pk in held_by(host)]
    keys = {f"{run.pk}:a" for run in mine if run.workflow_id == held.pk}
    wait_for(lambda: {call.key for call in three.site.server.held} >= keys and host.helpers())
    calls = [call for call in three.site.server.held if call.key in keys]
    helpers, worker = host.helpers(), host.worker

    host.cut()
    cut_at = time.time()
    lease_ends = max(row.expires_at for row in Worker.objects.filter(runs__in=mine)).timestamp()
    wait_for(lambda: all(call.closed for call in calls) and not alive(helpers), lease_ends - time.time())
    closed = max(call.closed or 0 for call in calls)
    wait_for(lambda: all(taken_over(run) for run in mine), 22)
    times = [taken_over(run) - cut_at for run in mine]
    print(
        f"\ncut off: work stopped after {closed - cut_at:.1f} s, the lease ended after {lease_ends - cut_at:.1f} s, "
        f"{len(mine)} runs taken over after {min(times):.1f} to {max(times):.1f} s"
    )
    assert closed < lease_ends
    assert max(times) < 20
    assert hosts_of(mine, "run_taken_over") <= set(three.hosts) - {host.name}

    host.heal()
    for run in started:
        runs.cancel(run.pk, actor="tester")
    wait_for(lambda: all_ended(started))
    workflow = counted(three.site, "again", seconds=1.0)
    again = [start(workflow) for _ in range(3 * PER_LOOP)]
    wait_for(lambda: all_ended(again))
    assert host.name in hosts_of(again)
    assert host.worker is worker
    assert host.is_up()
    assert not broken_invariants()
    assert not witness.hear(three.site.effects, set()).broken


def test_a_killed_web_server_leaves_its_run_to_the_worker_beside_it(three: Three) -> None:
    eve = three.hosts["eve"]
    workflow = counted(three.site, "asked", seconds=1.0)
    wait_for(lambda: not Worker.objects.live(timezone.now()).filter(kind="worker").exists())  # a loop might be faster
    client = threading.Thread(target=execute, args=(eve, workflow))
    client.start()
    wait_for(lambda: Run.objects.filter(workflow=workflow, worker__kind="web").exists())
    run = Run.objects.get(workflow=workflow)
    wait_for(lambda: run.steps.filter(path="a", status="completed").exists())
    assert eve.web is not None
    eve.web.kill()
    killed_at = time.time()
    eve.web.wait()
    wait_for(lambda: taken_over(run), 10)
    print(f"\nweb server killed: taken over after {taken_over(run) - killed_at:.1f} s")
    assert taken_over(run) - killed_at < 3
    wait_for(lambda: all_ended([run]))
    client.join()
    assert Run.objects.get(pk=run.pk).status == "completed"
    assert not witness.hear(three.site.effects, set()).broken


def counted(site: Site, workflow_id: str, seconds: float) -> Workflow:
    effect = {"folder": str(site.effects), "seconds": seconds}
    return make_workflow(step("a", "effect", effect), step("b", "effect", effect), workflow_id=workflow_id)


def start(workflow: Workflow) -> Run:
    return runs.start(workflow, {}, trigger="api", actor="tester")


def execute(host: Host, workflow: Workflow) -> None:
    url = host.url(f"/api/v1/sequential-workflows/{workflow.workflow_id}/execute")
    request = urllib.request.Request(url, b"{}", {"Content-Type": "application/json"})
    with pytest.raises((urllib.error.URLError, OSError)):
        urllib.request.urlopen(request, timeout=60).close()


def all_ended(started: list[Run]) -> bool:
    return not Run.objects.active().filter(pk__in=[run.pk for run in started]).exists()


def hosts_of(started: list[Run], type: str = "run_started") -> set[str]:
    """Names of the hosts whose loops wrote such events; an actor is ``kind:host:pid``."""
    actors = Event.objects.filter(run__in=started, type=type).values_list("actor", flat=True)
    return {actor.split(":")[1] for actor in actors}


def held_by(host: Host) -> set[object]:
    return set(Run.objects.filter(worker__host=host.name).values_list("pk", flat=True))


def both_on_one_host(started: list[Run], *workflows: Workflow) -> str | None:
    """A host that works on runs of all these workflows, with all that it holds under way."""
    rows = Run.objects.filter(pk__in=[run.pk for run in started], steps__status="running")
    found: dict[str, set[int]] = {}
    for name, workflow_id in rows.values_list("worker__host", "workflow_id"):
        found.setdefault(name, set()).add(workflow_id)
    return next((name for name, ids in found.items() if ids >= {workflow.pk for workflow in workflows}), None)


def taken_over(run: Run) -> float:
    """When another took the run over, in Unix seconds; 0 if nobody did yet."""
    event = Event.objects.filter(run=run, type="run_taken_over").first()
    return event.at.timestamp() if event else 0.0
