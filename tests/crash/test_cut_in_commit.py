"""A host that is cut off while it has a transaction open: what it has locked must not stay locked."""

import time

import pytest

from tests.crash.conftest import StartSite
from tests.crash.hosts import Host
from tests.factories import make_workflow, step
from tests.workers.conftest import wait_for
from workflows import runs
from workflows.models import Event, Run

pytestmark = pytest.mark.postgresql
LEASE = 6.0


def test_a_run_whose_holder_is_cut_off_within_a_commit_is_taken_over_and_can_be_cancelled(
    start_site: StartSite,
) -> None:
    # One run fills a loop, which then looks for no others: the next write is of that run.
    site = start_site("postgresql", KOLOSAL_LEASE_SECONDS=f"{LEASE:g}", KOLOSAL_RUNS_PER_WORKER="1")
    ada, bob = (Host(site, name, proxied=True) for name in ("ada", "bob"))
    ada.start_worker()
    effect = {"folder": str(site.effects), "seconds": 1.0}
    workflow = make_workflow(
        step("a", "effect", effect), step("b", "effect", {**effect, "seconds": 60}, timeout_seconds=90)
    )
    run = runs.start(workflow, {}, trigger="api", actor="tester")
    wait_for(lambda: run.steps.filter(path="a", status="running").exists())
    struck = site.arm("before-commit", "stall 1.5")  # the row is locked, the commit not sent
    wait_for(lambda: not struck.exists())
    ada.cut()
    cut_at = time.time()
    bob.start_worker()
    wait_for(lambda: Event.objects.filter(run=run, type="run_taken_over").exists(), 2 * LEASE + 5)
    print(f"\ncut off within a commit: taken over after {time.time() - cut_at:.1f} s")
    assert runs.cancel(run.pk, actor="tester")  # blocks for as long as the row is locked
    wait_for(lambda: Run.objects.get(pk=run.pk).has_ended, 5)
