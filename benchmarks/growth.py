"""``python -m benchmarks.growth``: what claims and look-ups take on the store of the settings; medians, milliseconds.

To be run on one that `benchmarks.seed` has given 1,000 runs, and on one of 1,000,000. What is under way there is put
off for ever.
"""

import os
import statistics
import time
from collections.abc import Callable

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kolosal.settings")
django.setup()

from django.test import Client  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from benchmarks.pages import signed_in  # noqa: E402
from workflows import claims, runs, workers  # noqa: E402
from workflows.models import Run, Workflow  # noqa: E402
from workflows.workers import Identity  # noqa: E402

TIMES = 30


def main() -> None:
    table = Table("", f"with {Run.objects.count():,} runs")
    with signed_in() as client:
        for name, value in _measured(client).items():
            table.add_row(name, f"{value:.2f} ms")
    Console().print(table)


def _measured(client: Client) -> dict[str, float]:
    workflow = Workflow.objects.filter(archived_at__isnull=True).first()
    ended = Run.objects.ended().order_by("pk").first()
    who = Identity.new("worker")
    workers.enter(who)
    # Else it would take up what the processes of earlier measurements have left, too.
    Run.objects.active().update(worker=None, due_at=None, recoveries=0)
    assert workflow is not None
    assert ended is not None
    api = f"/api/v1/sequential-workflows/{workflow.workflow_id}"
    return {
        "look of a loop that finds nothing": _median_ms(lambda: claims.claim(who, 10)),
        "claim of a due run": _claim_ms(workflow, who),
        "status": _asked_ms(client, f"{api}/status"),
        "list of runs in the API": _asked_ms(client, "/api/v1/runs"),
        "list of runs": _asked_ms(client, "/admin/workflows/run/"),
        "page of a run": _asked_ms(client, f"/admin/workflows/run/{ended.pk}/change/"),
    }


def _asked_ms(client: Client, path: str) -> float:
    if (status := client.get(path).status_code) != 200:
        raise SystemExit(f"{path} answered {status}")
    return _median_ms(lambda: client.get(path))


def _claim_ms(workflow: Workflow, who: Identity) -> float:
    taken = []
    for _ in range(TIMES):
        run = runs.start(workflow, {}, trigger="bench", actor="bench", wake=False)
        started = time.perf_counter()
        assert [one.held.id for one in claims.claim(who, 10)] == [run.pk]
        taken.append((time.perf_counter() - started) * 1000)
    return statistics.median(taken)


def _median_ms(act: Callable[[], object]) -> float:
    act()
    taken = []
    for _ in range(TIMES):
        started = time.perf_counter()
        act()
        taken.append((time.perf_counter() - started) * 1000)
    return statistics.median(taken)


main()
