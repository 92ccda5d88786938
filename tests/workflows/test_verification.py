"""Seals and the proof of the audit trail: what is changed, missing or rewritten is found, event by event."""

import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.utils import timezone

from tests.factories import make_workflow, run_to_end, step
from tests.tampering import unguarded
from tests.workflows.bulk import ended_runs
from workflows import append_only, audit, retention, runs, seals, verification
from workflows.audit import link
from workflows.models import Event, Run, SiteChain
from workflows.models.fields import dumps

NOW = timezone.now()


def found() -> list[tuple[str, uuid.UUID | None]]:
    return [(broken.rule.value, broken.run_id) for broken in verification.verify()]


def told() -> str:
    return "\n".join(str(broken) for broken in verification.verify())


def rewrite(run: Run, seq: int, **columns: object) -> None:
    """Change an event and every hash after it, and the run's head: nothing in the run's own chain tells of it."""
    head = ""
    for event in Event.objects.filter(run=run).order_by("seq"):
        if event.seq == seq:
            for name, value in columns.items():
                setattr(event, name, value)
        event.hash = head = link(
            head, run.pk, event.seq, event.type, event.at, event.actor, event.path, dumps(event.data)
        )
        with unguarded():
            event.save()
    Run.objects.filter(pk=run.pk).update(event_head=head)


def erase(run: Run) -> None:
    with append_only.deleting():
        retention._erase([run.pk])


def site(**columns: object) -> Callable[[], object]:
    """Change the event of the site's chain that seals."""
    return lambda: Event.objects.filter(type="runs_sealed").update(**columns)


def test_a_seal_records_the_heads_of_ended_runs_once() -> None:
    ended = [run_to_end(step("a")), run_to_end(step("b"))]
    queued = runs.start(make_workflow(step("a")), {}, trigger="api", actor="tester", wake=False)
    assert (seals.seal(), seals.seal()) == (2, 0)
    event = Event.objects.get(type="runs_sealed")
    assert event.data == {"runs": [[str(run.pk), run.event_seq, run.event_head] for run in ended]}
    assert set(Run.objects.filter(sealed=True)) == set(ended)
    assert not Run.objects.get(pk=queued.pk).sealed
    assert found() == []


def test_many_runs_are_sealed_by_several_events() -> None:
    ended_runs(1200, NOW)
    assert seals.seal() == 1200
    assert [len(event.data["runs"]) for event in Event.objects.filter(type="runs_sealed")] == [500, 500, 200]
    assert found() == []


def test_a_seal_is_made_at_most_once_a_minute() -> None:
    ended_runs(1, NOW)
    assert seals.seal_if_due() == 1
    ended_runs(1, NOW)
    assert seals.seal_if_due() == 0
    with unguarded():
        Event.objects.filter(type="runs_sealed").update(at=NOW - timedelta(minutes=2))
    assert seals.seal_if_due() == 1


def test_a_run_that_is_retried_after_its_seal_is_sealed_again_at_its_end() -> None:
    run = run_to_end(step("a", "raise_text", {"text": "no"}, max_retries=0))
    assert seals.seal() == 1
    runs.retry(run.pk, actor="ann")
    assert seals.seal() == 0
    runs.cancel(run.pk, actor="ann")
    assert seals.seal() == 1
    assert found() == []
    rewrite(run, 3, actor="somebody else")
    assert found() == [("seal", run.pk)] * 2  # both seals tell


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda run: Event.objects.filter(run=run, seq=3).update(actor="x"), "event 3 (step_start) was changed"),
        (lambda run: Event.objects.filter(run=run, seq=3).delete(), "event 3 is missing: event 4 (step_complete)"),
        (lambda run: Event.objects.filter(run=run, seq=5).delete(), "event 5 is missing: the chain ends before"),
        (lambda run: Event.objects.filter(run=run).delete(), "event 1 is missing: the chain ends before event 5"),
        (lambda run: Run.objects.filter(pk=run.pk).update(event_head="x"), "event 5, the last one, was exchanged"),
        (lambda run: Run.objects.filter(pk=run.pk).update(event_seq=4), "event 5 is one too many"),
    ],
)
def test_a_changed_or_missing_event_of_a_run_is_named(harm: Callable[[Run], object], said: str) -> None:
    ended_runs(2, NOW)
    (run,) = ended_runs(1, NOW)
    with unguarded():
        harm(run)
    assert found() == [("chain", run.pk)]
    assert said in told()


def test_a_run_that_was_rewritten_with_all_its_hashes_is_found_through_its_seal() -> None:
    (run, _) = ended_runs(2, NOW)
    seals.seal()
    rewrite(run, 4, data={"success": False})
    assert audit.first_broken(run.pk) is None
    assert found() == [("seal", run.pk)]
    number = Event.objects.get(type="runs_sealed").seq
    assert f"event 5 is not the one that event {number} of the site's chain sealed" in told()


def test_a_sealed_run_that_is_gone_without_record_is_found() -> None:
    (run, _) = ended_runs(2, NOW)
    seals.seal()
    erase(run)
    assert found() == [("seal", run.pk)]
    assert "is missing" in told()
    record = {"runs": [[str(run.pk), run.event_seq, run.event_head]]}
    audit.record("runs_deleted", actor="sweep", subject="", **record)
    assert found() == []


def test_a_run_that_was_rewritten_before_it_was_deleted_is_found() -> None:
    (run,) = ended_runs(1, NOW)
    seals.seal()
    erase(run)
    audit.record("runs_deleted", actor="sweep", subject="", runs=[[str(run.pk), run.event_seq, "0" * 64]])
    assert found() == [("seal", run.pk)]
    assert "was rewritten before the run was deleted" in told()


def test_a_run_that_is_there_though_its_deletion_is_recorded_is_found() -> None:
    (run,) = ended_runs(1, NOW)
    audit.record("runs_deleted", actor="sweep", subject="", runs=[[str(run.pk), run.event_seq, run.event_head]])
    assert found() == [("seal", run.pk)]


@pytest.mark.parametrize(
    "harm",
    [
        site(actor="x"),
        site(data={"runs": []}),
        lambda: Event.objects.filter(type="runs_sealed").delete(),
        lambda: Event.objects.filter(run__isnull=True, seq=1).delete(),
        lambda: SiteChain.objects.update(head="0" * 64),
        lambda: SiteChain.objects.all().delete(),
        lambda: Event.objects.filter(run__isnull=True).delete(),
    ],
)
def test_a_changed_site_chain_is_found(harm: Callable[[], object]) -> None:
    ended_runs(1, NOW)
    seals.seal()
    with unguarded():
        harm()
    assert found() == [("chain", None)]


def test_a_seal_that_cannot_be_read_is_found() -> None:
    audit.record("runs_sealed", actor="x", subject="", runs=[["no uuid", 1, ""], 7])
    assert found() == [("seal", None)]


def test_a_run_that_is_deleted_while_the_trail_is_read_is_not_called_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    ended_runs(3, timezone.now() - timedelta(days=40))
    seals.seal()
    present = verification._present

    def delete_then_look(heads):
        monkeypatch.setattr(verification, "_present", present)
        monkeypatch.setattr("django.conf.settings.RETENTION_DAYS", 30)
        assert retention.delete_old() == 3
        return present(heads)

    monkeypatch.setattr(verification, "_present", delete_then_look)
    assert found() == []
    assert not Run.objects.exists()


def test_the_command_names_what_is_broken(capsys: pytest.CaptureFixture[str]) -> None:
    (run, _) = ended_runs(2, NOW)
    seals.seal()
    call_command("verify_audit")
    out = capsys.readouterr().out
    assert "2 runs and 3 events of the site: every chain holds." in out
    assert SiteChain.objects.get().head in out
    with unguarded():
        Event.objects.filter(run=run, seq=2).update(actor="x")
    with pytest.raises(SystemExit) as ended:
        call_command("verify_audit")
    assert ended.value.code == 1
    assert f"run {run.pk}: event 2 (run_started) was changed" in capsys.readouterr().out
