"""Files that functions make: kept with the end of their attempt, or not at all."""

import base64
import hashlib
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from agents.artifacts import Artifact as Made
from tests.engines import in_engine
from tests.factories import make_definition, make_workflow, results, run_to_end, step
from tests.workflows.lives import Life, live
from workflows import (
    changes,
    claims,
    held,
    inprocess,
    invariants,
    retention,
    runs,
    statements,
    transitions,
    verification,
    workers,
)
from workflows.errors import LeaseLost
from workflows.models import Artifact, Event, Run
from workflows.outcomes import Footprint, Succeeded
from workflows.results import result_body
from workflows.workers import Identity

CSV = {"name": "rows.csv", "content": "a,b\n1,2\n"}
RAW = {"name": "raw.bin", "base64": base64.b64encode(bytes(range(256))).decode()}


def kept(run: Run) -> list[tuple[str, int, str, bytes]]:
    return [(row.path, row.attempt, row.name, bytes(row.content)) for row in run.artifacts.order_by("pk")]


def told(run: Run, type: str = "step_complete") -> list[Any]:
    return [event.data.get("artifacts") for event in Event.objects.filter(run=run, type=type).order_by("seq")]


@pytest.mark.parametrize("function", ["make", "make_plain"])
def test_what_a_function_makes_is_stored_and_its_result_may_tell_of_it(function: str) -> None:
    run = run_to_end(step("a", function, {"files": [CSV, RAW]}), step("b"))
    assert kept(run) == [("a", 1, "rows.csv", b"a,b\n1,2\n"), ("a", 1, "raw.bin", bytes(range(256)))]
    digest = hashlib.sha256(b"a,b\n1,2\n").hexdigest()
    described = {"media_type": "text/csv", "size": 8, "sha256": digest}
    assert results(run)["a"]["made"][0] == {"artifact": "rows.csv", **described}
    assert told(run)[0][0] == {"name": "rows.csv", **described}
    assert told(run)[1] is None
    assert (run.artifact_count, run.artifact_bytes) == (2, 264)
    assert list(invariants.broken(settled=True)) == []
    assert list(verification.verify()) == []
    assert result_body(run)["success"]


@pytest.mark.parametrize("function", ["make", "make_plain"])
def test_failed_attempts_keep_theirs(function: str) -> None:
    retry = {"max_retries": 1, "retry": {"initial_delay_seconds": 0.01}}
    run = run_to_end(step("a", function, {"files": [CSV], "fail": True}, **retry))
    assert run.status == "failed"
    assert [(attempt, name) for _, attempt, name, _ in kept(run)] == [(1, "rows.csv"), (2, "rows.csv")]
    assert [len(each) for each in told(run, "step_retry") + told(run)] == [1, 1]


@pytest.mark.parametrize("function", ["make", "make_plain"])
@pytest.mark.parametrize(
    ("file", "message"),
    [
        ({"name": "../x", "content": "x"}, "has no / or"),
        ({"name": "x", "content": "x" * 2000}, "KOLOSAL_ARTIFACT_MAX_BYTES"),
        ({"name": "x", "content": "x", "media_type": "no"}, "no media type"),
    ],
)
def test_what_is_not_allowed_fails_the_step_at_once(
    function: str, file: dict[str, Any], message: str, settings: Settings
) -> None:
    settings.ARTIFACT_MAX_BYTES = 1024 if function == "make" else 5 * 1024 * 1024
    if function == "make_plain" and "MAX" in message:
        file = file | {"content": "x" * (5 * 1024 * 1024 + 1)}  # the helper has the settings that it began with
        settings.CONTEXT_MAX_BYTES = 8 * 1024 * 1024
    run = run_to_end(step("a", function, {"files": [file]}))
    row = run.steps.get()
    assert (row.error_code, row.attempt) == ("ArtifactRefused", 1)
    assert message in row.error_message
    assert not run.artifacts.exists()


def test_all_of_a_run_together_have_a_limit_over_steps_and_attempts(settings: Settings) -> None:
    settings.RUN_ARTIFACTS_MAX_BYTES = 20
    run = run_to_end(*(step(name, "make_plain", {"files": [CSV]}) for name in "abc"))
    assert [row[0] for row in kept(run)] == ["a", "b"]
    assert "KOLOSAL_RUN_ARTIFACTS_MAX_BYTES" in run.error_message
    runs.retry(run.pk, actor="tester")
    go_on(run)
    assert [row[0] for row in kept(run)] == ["a", "b"]
    assert runs.get(run.pk).error_message == run.error_message


def test_a_retry_marks_those_of_discarded_results(tmp_path: Path) -> None:
    run = run_to_end(step("a", "make", {"files": [CSV]}), step("b", "raise_text", {"text": "no"}, max_retries=0))
    runs.retry(run.pk, actor="tester", start_at="a")
    go_on(run)
    assert [(row.path, row.attempt, row.superseded) for row in run.artifacts.order_by("pk")] == [
        ("a", 1, True),
        ("a", 1, False),
    ]
    assert runs.get(run.pk).artifact_count == 2
    runs.retry(run.pk, actor="tester")
    go_on(run)
    assert run.artifacts.filter(superseded=False).count() == 1


def test_secrets_are_masked_in_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOLOSAL_SECRET_WORD", "hunter-two-2")
    files = [{"name": "a.txt", "content": "${'it is ' + secrets.WORD}"}]
    run = run_to_end(*(step(name, name, {"files": files}) for name in ("make", "make_plain")))
    assert {content for *_, content in kept(run)} == {b"it is ***"}
    assert [each[0]["size"] for each in told(run)] == [9, 9]


def test_a_step_without_artifacts_costs_no_statement_more(monkeypatch: pytest.MonkeyPatch) -> None:
    def written(*files: dict[str, Any]) -> int:
        run = runs.start(
            make_workflow(step("a"), workflow_id=f"w{len(files)}"), {}, trigger="api", actor="t", wake=False
        )
        who = Identity.new("worker")
        workers.enter(who)
        [claimed] = claims.claim(who, 1, [run.pk])
        start(claimed.held)
        made = tuple(Made.of(file["name"], "text/csv", file["content"].encode()) for file in files)
        transitions.complete_step(claimed.held, "a", Succeeded({}, "{}", {}, Footprint(artifacts=made)))
        executed: list[str] = []
        with monkeypatch.context() as watched:
            execute = statements.execute

            def noted(sql: str, values: Sequence[Any] = ()) -> Any:
                executed.append(f"{sql} {values}")
                return execute(sql, values)

            watched.setattr(changes, "execute", noted)
            held.write(claimed.held)
        assert executed
        return sum("artifact" in statement for statement in executed)

    assert written() == 0
    assert written(CSV) == 3  # its row, the run's counters, and the event that tells of it


def test_those_of_a_worker_that_lost_its_lease_are_not_kept() -> None:
    run = runs.start(make_workflow(step("a")), {}, trigger="api", actor="tester", wake=False)
    who = Identity.new("worker")
    workers.enter(who)
    [claimed] = claims.claim(who, 1)
    start(claimed.held)
    Run.objects.filter(pk=run.pk).update(epoch=99)
    made = (Made.of("a", "text/csv", b"x"),)
    transitions.complete_step(claimed.held, "a", Succeeded({}, "{}", {}, Footprint(artifacts=made)))
    with pytest.raises(LeaseLost):
        held.write(claimed.held)
    assert not Artifact.objects.exists()


@pytest.mark.parametrize("end", ["killed before a commit", "killed after a commit", "paused", "stopped"])
@pytest.mark.parametrize("commits", [1, 2, 3, 4])
def test_artifacts_and_result_are_there_together_wherever_the_engine_dies(end: str, commits: int) -> None:
    retry = {"max_retries": 1, "retry": {"initial_delay_seconds": 0.01}}
    steps = [step(name, "make", {"files": [CSV, {**RAW, "name": name}]}) for name in "abc"]
    steps.append(step("d", "make", {"files": [CSV], "fail": True}, continue_on_failure=True, **retry))
    run = runs.start(make_workflow(*steps), {}, trigger="api", actor="tester", wake=False)
    live(Life(commits, end))
    assert_together(run)
    while not live():
        pass
    assert_together(run)
    run.refresh_from_db()
    assert run.status == "completed"
    assert [row[:3] for row in kept(run) if row[0] != "d"] == [
        (name, run.steps.get(path=name).attempt, file) for name in "abc" for file in ("rows.csv", name)
    ]
    assert list(invariants.broken(settled=True)) == []
    assert list(verification.verify()) == []


def assert_together(run: Run) -> None:
    """Each event tells of what is stored, and nothing else is stored."""
    events = Event.objects.filter(run=run, type__in=["step_complete", "step_retry"]).order_by("seq")
    written = [
        (event.path, each["name"], each["sha256"]) for event in events for each in event.data.get("artifacts", ())
    ]
    stored = [(path, name, hashlib.sha256(content).hexdigest()) for path, _, name, content in kept(run)]
    assert stored == written
    for row in run.steps.filter(status="completed", superseded=False):
        names = [name for path, _, name, _ in kept(run) if path == row.path]
        assert [each["artifact"] for each in row.result["made"]] == names
    run.refresh_from_db()
    assert (run.artifact_count, run.artifact_bytes) == (len(stored), sum(len(content) for *_, content in kept(run)))


def made_by(event: Event) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = event.data.get("artifacts", [])
    return made


def test_retention_deletes_them_with_their_run(settings: Settings) -> None:
    settings.RETENTION_DAYS = 1
    old, new = (run_to_end(step("a", "make", {"files": [CSV]})) for _ in range(2))
    Run.objects.filter(pk=old.pk).update(ended_at=timezone.now() - timedelta(days=2))
    assert retention.delete_old() == 1
    assert [row.run_id for row in Artifact.objects.all()] == [new.pk]


def test_a_profile_names_the_function_that_took_the_time() -> None:
    run = run_to_end_profiled(step("a", "burn", {"seconds": 0.2}), step("b"))
    [profile] = run.artifacts.all()
    assert (profile.path, profile.name, profile.is_picture) == ("a", "profile.svg", True)
    picture = bytes(profile.content).decode()
    share = picture.partition("<title>_hot_and_slow (")[2].partition("</title>")[0]
    assert "tests/scripted.py" in share
    assert float(share.split()[-2]) > 80
    assert "helper_child" not in picture
    assert "<script" not in picture


def test_a_profile_is_kept_where_the_function_fails_too() -> None:
    run = run_to_end_profiled(step("a", "burn", {"seconds": 0.05, "fail": True}, max_retries=0))
    assert run.status == "failed"
    assert "_hot_and_slow" in bytes(run.artifacts.get().content).decode()


def test_nothing_is_profiled_unasked_nor_after_a_call_that_was() -> None:
    run_to_end_profiled(step("a", "burn"))
    assert not run_to_end(step("a", "burn")).artifacts.exists()


def test_a_child_and_a_rerun_are_profiled_as_their_run_is() -> None:
    make_workflow(step("x", "burn", {"seconds": 0.05}), workflow_id="inner")
    run = run_to_end_profiled({"step_id": "c", "workflow": "inner"})
    child = run.children.get()
    assert child.artifacts.get().name == "profile.svg"
    Run.objects.filter(pk=child.pk).update(status="failed")
    assert [runs.rerun(child.pk, actor="t", profile=asked).profile for asked in (None, False)] == [True, False]


def run_to_end_profiled(*steps: dict[str, Any]) -> Run:
    return inprocess.run(make_definition(*steps), profile=True)


def go_on(run: Run) -> None:
    async def script(engine: Any) -> None:
        await engine.take([run.pk])
        await engine.wait()

    in_engine(script)


def start(run: held.HeldRun) -> None:
    transitions.start_step(run, "a", {"step_id": "a", "name": "a", "agent": "tester", "function": "make"})
    held.write(run)


def test_a_file_that_was_changed_or_is_gone_or_was_slipped_in_is_told_of() -> None:
    run = run_to_end(step("a", "make", {"files": [CSV, RAW]}), step("b", "make", {"files": [CSV]}))
    run.artifacts.filter(path="a", name="rows.csv").update(content=b"a,b\n9,9\n")
    assert [str(fault) for fault in verification.verify()] == [
        f"run {run.pk}: artifact 'rows.csv' of step a was changed, or is missing"
    ]
    run.artifacts.filter(path="a").delete()
    Artifact.objects.filter(run=run, path="b").update(name="other.csv")
    assert {fault.detail for fault in verification.verify()} == {
        "artifact 'rows.csv' of step a was changed, or is missing",
        "artifact 'raw.bin' of step a was changed, or is missing",
        "artifact 'rows.csv' of step b was changed, or is missing",
        "artifact 'other.csv' of step b is there, and no event names it",
    }
    assert [fault.detail for fault in invariants.broken()] == ["counts 3 artifacts of 272 bytes, and has 1 of 8"]
