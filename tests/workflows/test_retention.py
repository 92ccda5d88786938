"""Old runs are deleted in batches and recorded; what is younger, unfinished or retried stays."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection, connections, models
from django.test import override_settings
from django.utils import timezone

from tests.factories import make_workflow, run_to_end, step
from tests.workflows.bulk import ended_runs
from workflows import compaction, invariants, retention, runs, seals, tasks, verification
from workflows.models import Event, Run, RunRequest, StartKey, StepResult, StreamText, Workflow, WorkflowVersion

OLD = timezone.now() - timedelta(days=40)
YOUNG = timezone.now() - timedelta(days=10)
A_MONTH = override_settings(RETENTION_DAYS=30)
sqlite_only = pytest.mark.skipif(connection.vendor != "sqlite", reason="about the SQLite file")


def recorded() -> list[str]:
    events = Event.objects.filter(run__isnull=True, type="runs_deleted")
    return [run_id for event in events for run_id, _, _ in event.data["runs"]]


@A_MONTH
def test_old_runs_are_deleted_in_recorded_batches_and_the_rest_stays() -> None:
    old, young = ended_runs(1000, OLD), ended_runs(50, YOUNG)
    seals.seal()
    waiting = runs.start(Workflow.objects.get(), {}, trigger="api", actor="tester", wake=False)
    Run.objects.filter(pk=waiting.pk).update(created_at=OLD, due_at=OLD)
    deleted = 0
    while number := retention.delete_old():
        deleted += number
    assert deleted == 1000
    assert set(Run.objects.values_list("pk", flat=True)) == {run.pk for run in young} | {waiting.pk}
    assert sorted(recorded()) == sorted(str(run.pk) for run in old)
    assert Event.objects.filter(type="runs_deleted").count() == 1000 / retention.AT_ONCE
    assert StepResult.objects.count() == 50
    assert Event.objects.filter(run__isnull=False).count() == 50 * 5 + 1
    assert list(verification.verify()) == []
    assert list(invariants.broken(settled=True)) == []
    assert WorkflowVersion.objects.exists()


def test_without_the_setting_everything_is_kept() -> None:
    ended_runs(3, timezone.now() - timedelta(days=3000))
    assert retention.delete_old() == 0
    assert Run.objects.count() == 3


@override_settings(RETENTION_DAYS=0.5)
def test_half_a_day_is_a_retention_too() -> None:
    ended_runs(1, timezone.now() - timedelta(hours=13))
    kept = ended_runs(1, timezone.now() - timedelta(hours=11))
    assert retention.delete_old() == 1
    assert Run.objects.get().pk == kept[0].pk


@A_MONTH
def test_every_row_of_a_run_goes_with_it_and_a_rerun_forgets_it() -> None:
    (run,) = ended_runs(1, OLD)
    (rerun,) = ended_runs(1, YOUNG, rerun_of=run)
    StartKey.objects.create(actor="ann", key="k", digest="d", run=run)
    StreamText.objects.create(run=run, path="a", attempt=1, offset=0, text="x")
    RunRequest.objects.create(run=run, verb="cancel", actor="ann")
    assert retention.delete_old() == 1
    assert not StartKey.objects.exists()
    assert not StreamText.objects.exists()
    assert not RunRequest.objects.exists()
    rerun.refresh_from_db()
    assert rerun.rerun_of_id is None


@A_MONTH
def test_a_run_whose_rerun_is_under_way_stays_until_that_has_ended() -> None:
    (run,) = ended_runs(1, OLD)
    rerun = runs.start(make_workflow(step("a"), workflow_id="other"), {}, trigger="api", actor="ann", wake=False)
    Run.objects.filter(pk=rerun.pk).update(rerun_of=run)
    assert retention.delete_old() == 0
    runs.cancel(rerun.pk, actor="ann")
    assert retention.delete_old() == 1


def test_every_model_that_names_a_run_is_deleted_or_forgets_it() -> None:
    relations = [field for field in Run._meta.get_fields(include_hidden=True) if isinstance(field, models.ManyToOneRel)]
    assert {relation.on_delete for relation in relations} == {models.CASCADE, models.SET_NULL}
    owned = [relation.related_model for relation in relations if relation.on_delete is models.CASCADE]
    assert not [model for model in owned if any(isinstance(f, models.ManyToOneRel) for f in model._meta.get_fields())]


@A_MONTH
def test_several_pacemakers_may_delete_and_seal_at_once() -> None:
    ended_runs(600, OLD)
    ended_runs(600, YOUNG)
    failures: list[BaseException] = []

    def sweep() -> None:
        try:
            tasks.sweep()
        except BaseException as error:
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=sweep) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while retention.delete_old():
        pass
    assert failures == []
    assert Run.objects.count() == 600
    assert len(recorded()) == len(set(recorded())) == 600
    assert list(verification.verify()) == []


@A_MONTH
@pytest.mark.skipif(connection.vendor != "postgresql", reason="needs row locks: run it on PostgreSQL")
def test_a_run_that_is_being_retried_is_neither_deleted_nor_sealed_nor_waited_for() -> None:
    (run,) = ended_runs(1, OLD)
    locked, done = threading.Event(), threading.Event()

    def retry() -> None:
        from django.db import transaction

        with transaction.atomic():
            Run.objects.select_for_update().get(pk=run.pk)
            locked.set()
            done.wait(10)
            Run.objects.filter(pk=run.pk).update(status="queued", ended_at=None, success=None)
        connections.close_all()

    thread = threading.Thread(target=retry)
    thread.start()
    assert locked.wait(10)
    assert (retention.delete_old(), seals.seal()) == (0, 0)
    done.set()
    thread.join()
    assert (retention.delete_old(), seals.seal()) == (0, 0)


# --- The file ---------------------------------------------------------------------------------------------------------


@sqlite_only
def test_a_new_file_gives_pages_back() -> None:
    assert compaction.pragma("auto_vacuum") == compaction.INCREMENTAL


@sqlite_only
@A_MONTH
def test_the_file_shrinks_when_old_runs_are_deleted() -> None:
    ended_runs(1000, OLD)
    before = compaction.pragma("page_count")
    while retention.delete_old() or compaction.give_back():
        pass
    assert compaction.pragma("page_count") < before / 2
    assert compaction.pragma("freelist_count") <= compaction.pragma("page_count") / compaction.KEPT + 1


@pytest.fixture
def old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file as earlier releases made it, of which most pages are free; the connection leads to it."""
    connection.close()
    with monkeypatch.context() as patch:
        patch.setitem(connection.settings_dict, "NAME", str(tmp_path / "old.sqlite3"))
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE rows (text)")
            cursor.executemany("INSERT INTO rows VALUES (%s)", [("x" * 2000,)] * 3000)
            cursor.execute("DELETE FROM rows")
        yield tmp_path / "old.sqlite3"
        connection.close()


@sqlite_only
def test_a_file_made_before_is_compacted_and_gives_back_from_then_on(
    old_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = compaction.size()
    assert (compaction.pragma("auto_vacuum"), compaction.give_back()) == (0, 0)
    call_command("compact")
    assert "MB before" in capsys.readouterr().out
    assert compaction.size() < before / 10
    assert compaction.pragma("auto_vacuum") == compaction.INCREMENTAL
    assert old_file.stat().st_size == compaction.size()


@pytest.mark.skipif(connection.vendor != "postgresql", reason="about PostgreSQL")
def test_postgresql_needs_no_compacting(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("compact")
    assert "autovacuum" in capsys.readouterr().out
    assert compaction.give_back() == 0


def test_a_sweep_leaves_a_quiet_site_alone() -> None:
    run_to_end(step("a"))
    tasks.sweep()
    events = Event.objects.count()
    tasks.sweep()
    assert Event.objects.count() == events
