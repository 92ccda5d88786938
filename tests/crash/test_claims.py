"""Many processes claim from one queue."""

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from tests.crash.conftest import STORES, StartSite
from tests.crash.site import Site
from tests.factories import make_workflow
from workflows import audit
from workflows.models import Event, Run

RUNS = 5_000
PROCESSES = 8
AT_ONCE = 50


@pytest.mark.parametrize("store", STORES)
def test_eight_processes_claim_each_of_5000_runs_once_and_in_order(store: str, start_site: StartSite) -> None:
    site = start_site(store)
    order = queue_up()
    started = time.monotonic()
    reports = claim_all(site)
    seconds = time.monotonic() - started
    busy = sum(report["busy"] for report in reports)
    print(f"\n{store}: {RUNS} runs claimed by {PROCESSES} processes in {seconds:.1f} s, {busy} times busy")

    claimed = [run_id for report in reports for run_id in report["claimed"]]
    assert Counter(claimed) == Counter(order)
    events = Event.objects.filter(type="run_started").order_by("pk").values_list("run", flat=True)
    assert Counter(map(str, events)) == Counter(order)
    assert set(Run.objects.values_list("status", "epoch")) == {("running", 1)}

    rank = {run_id: number for number, run_id in enumerate(order)}
    for report in reports:
        ranks = [rank[run_id] for run_id in report["claimed"]]
        assert ranks == sorted(ranks), "a process claimed a later run before an earlier one"
    # A process may be overtaken by as many as the others have in hand, and its events come a batch at a time. One that
    # the machine lets wait between its claim and its commit is overtaken further: one batch each, not more.
    in_hand = PROCESSES * AT_ONCE
    overtaken = [run_id for place, run_id in enumerate(events) if abs(rank[str(run_id)] - place) > 2 * in_hand]
    assert len(overtaken) <= in_hand
    assert all(audit.first_broken(run_id) is None for run_id in events[:50])


def queue_up() -> list[str]:
    """Insert the runs with their first events. Returns their ids in the order in which they are to be claimed."""
    workflow, now, chance = make_workflow(), timezone.now(), random.Random(5)
    rows, events = [], []
    for _ in range(RUNS):
        due = now - timedelta(milliseconds=chance.randrange(1, 10_000_000))
        run = Run(workflow=workflow, version=workflow.current, priority=chance.choice([0, 0, 0, 5, -5]), due_at=due)
        run.created_at, run.actor, run.total_steps = due, "tester", 1
        fact = {"trigger": "api", "version": 1, "priority": run.priority}
        event = audit.make_event("", run.pk, 1, "run_created", due, "tester", "", fact)
        run.event_seq, run.event_head = 1, event.hash
        rows.append(run)
        events.append(Event(run=run, seq=1, type=event.type, at=due, actor="tester", data=fact, hash=event.hash))
    Run.objects.bulk_create(rows, batch_size=500)
    Event.objects.bulk_create(events, batch_size=500)
    return [str(run.pk) for run in sorted(rows, key=lambda run: (-run.priority, run.due_at, run.pk))]


def claim_all(site: Site) -> list[dict[str, Any]]:
    """Have the processes claim until none is left; what each says."""
    start = site.folder / "start"
    command = [sys.executable, "-m", "tests.crash.claimer", str(start), str(AT_ONCE)]
    environment = os.environ | site.environment | {"DATABASE_URL": site.database_url()}
    claimers = [
        subprocess.Popen(command, cwd=settings.BASE_DIR, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(PROCESSES)
    ]
    for claimer in claimers:
        assert claimer.stdout is not None
        assert claimer.stdout.readline() == "ready\n"
    start.touch()
    return [json.loads(claimer.communicate(timeout=60)[0]) for claimer in claimers]
