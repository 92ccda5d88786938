"""Batches of templates in real workers that are killed under way: each row is made exactly once."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.factories import make_workflow, step
from tests.workers.conftest import ended, wait_for
from workflows import dispatch, runs, template_batches
from workflows.faults import ROW_POINTS
from workflows.models import Template, TemplateBatch, Workflow, WorkflowVersion

Start = Callable[..., subprocess.Popen[bytes]]


def begin(rows: int) -> TemplateBatch:
    definition = {"workflow_id": "w_${params.n}", "steps": [step("a")]}
    template = Template(name="t", parameters={}, definition=definition)
    return template_batches.begin(template, [{"parameters": {"n": n}} for n in range(rows)], actor="tester")


def assert_made_once(batch: TemplateBatch, rows: int) -> None:
    assert batch.counts() == {"pending": 0, "done": rows, "failed": 0}
    assert {row.workflow_id for row in batch.rows.all()} == {f"w_{n}" for n in range(rows)}
    assert Workflow.objects.filter(workflow_id__startswith="w_").count() == rows
    assert WorkflowVersion.objects.filter(workflow__workflow_id__startswith="w_").count() == rows


@pytest.mark.parametrize("point", ROW_POINTS)
def test_a_worker_killed_at_a_row_loses_and_repeats_none(start_worker: Start, tmp_path: Path, point: str) -> None:
    start_worker(KOLOSAL_FAULTS=str(tmp_path))
    (tmp_path / point).write_text("kill")
    batch = begin(30)
    wait_for(lambda: not (tmp_path / point).exists())
    wait_for(lambda: TemplateBatch.objects.filter(pk=batch.pk, ended_at__isnull=False).exists(), 30)
    assert_made_once(batch, 30)


def test_a_stalled_worker_holds_up_no_row_for_good_and_repeats_none(start_worker: Start, tmp_path: Path) -> None:
    start_worker(KOLOSAL_FAULTS=str(tmp_path))
    (tmp_path / "after-row-commit").write_text("stall 12")
    batch = begin(30)
    wait_for(lambda: not (tmp_path / "after-row-commit").exists())
    wait_for(lambda: batch.counts()["pending"] == 0, 11)
    wait_for(lambda: TemplateBatch.objects.filter(pk=batch.pk, ended_at__isnull=False).exists())
    assert_made_once(batch, 30)


def test_a_batch_that_nobody_was_rung_for_is_found_and_runs_go_on_beside_it(
    start_worker: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(dispatch, "wake", lambda task: None)
        batch = begin(800)
    start_worker()
    wait_for(lambda: batch.counts()["done"] > 0)
    run = runs.start(make_workflow(step("a"), workflow_id="beside"), {}, trigger="api", actor="tester")
    wait_for(lambda: ended(run))
    assert batch.counts()["pending"] > 0
    wait_for(lambda: batch.counts()["pending"] == 0, 60)
    assert_made_once(batch, 800)
