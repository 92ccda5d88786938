"""Runs begun under a release go on after an upgrade: recorded rows, all migrations since, and a real worker."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings

from tests.stores import empty_store
from tests.upgrade.recording import Rows, models, read, rows
from tests.workers.conftest import test_database_url, wait_for
from workflows import audit
from workflows.models import Event, Run, RunRequest

RECORDINGS = sorted(Path(__file__).parent.glob("release_*.json"))
ENDS = {
    "queued": "completed",
    "held": "completed",
    "asked to cancel": "cancelled",
    "parked": "completed",
    "released": "completed",
    "completed": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
}


@pytest.fixture(params=RECORDINGS, ids=lambda file: file.stem)
def recording(transactional_db: None, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """A store as the release left it, then migrated to the newest schema."""
    with empty_store(tmp_path):
        python("-m", "tests.upgrade.load", str(request.param), str(tmp_path))
        python("manage.py", "migrate", "--verbosity=0")
        yield read(request.param, tmp_path)


def python(*arguments: str) -> None:
    environment = {"DATABASE_URL": test_database_url(), "DJANGO_SETTINGS_MODULE": "kolosal.settings"}
    subprocess.run([sys.executable, *arguments], cwd=settings.BASE_DIR, env=os.environ | environment, check=True)


def test_runs_begun_under_the_release_go_on_after_the_upgrade(
    recording: dict[str, Any], start_worker: Callable[[], object], tmp_path: Path
) -> None:
    start_worker()
    wait_for(lambda: not Run.objects.active().exists(), 40)

    ran = {run.input["name"]: run for run in Run.objects.all()}
    assert {name: run.status for name, run in ran.items()} == ENDS
    assert not RunRequest.objects.exists()

    # Finished steps were not executed again, the others were.
    notes = Counter((tmp_path / "notes").read_text().splitlines())
    assert notes == Counter(
        f"{run.input['name']} {run.pk}:{row.path}"
        for run in ran.values()
        for row in run.steps.filter(function="note", status="completed")
    )
    assert notes.total() == 8 + 5  # the first step of each run, the third of those that completed
    assert interrupted(ran["held"]) == ["worker lost", None]
    assert interrupted(ran["released"]) == ["the worker stops", None]
    assert (tmp_path / "tries").read_text() == "xx"

    assert [audit.first_broken(run.pk) for run in ran.values()] == [None] * len(ran)
    assert all(Event.objects.filter(run=run).latest("seq").hash == run.event_head for run in ran.values())
    assert audit.first_broken(None) is None
    assert rows_of_ended(recording, stored(recording)) == rows_of_ended(recording, recording)


def interrupted(run: Run) -> list[str | None]:
    return [attempt.get("interrupted") for attempt in run.steps.get(path="second").attempts]


def stored(recording: dict[str, Any]) -> dict[str, Rows]:
    """The store's rows by the columns that were recorded."""
    known = {name: model for name, model in models(apps).items() if recording[name]}
    return {name: rows(model, recording[name][0]) for name, model in known.items()}


def rows_of_ended(recording: dict[str, Any], tables: dict[str, Rows]) -> dict[str, Rows]:
    """Runs that had ended when they were recorded, their steps and events."""
    ended = {row["id"] for row in recording["workflows.Run"] if row["ended_at"]}
    keys = {"workflows.Run": "id", "workflows.StepResult": "run_id", "workflows.Event": "run_id"}
    return {name: [row for row in tables[name] if row[key] in ended] for name, key in keys.items()}
