"""Steps with `cache`: when an earlier result is reused, what shows it, and that nothing else is."""

import re
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.utils import timezone

from agents import catalog
from agents.models import Agent
from tests.engines import in_engine
from tests.factories import make_definition, make_workflow, results, run_to_end, step
from workflows import (
    append_only,
    cached_results,
    claims,
    held,
    inprocess,
    invariants,
    runs,
    transitions,
    verification,
    workers,
)
from workflows.errors import LeaseLost
from workflows.models import CachedResult, Event, Run, Worker
from workflows.outcomes import Reusable, Succeeded
from workflows.results import result_body
from workflows.workers import Identity

HOUR = {"ttl_seconds": 3600}


@pytest.fixture
def noted(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """A step that notes its executions in a file, and is cached."""

    def make(text: str = "x", **fields: Any) -> dict[str, Any]:
        parameters = {"file": str(tmp_path / "notes"), "text": text}
        return step(fields.pop("id", "a"), "note", parameters, **{"cache": HOUR, **fields})

    return make


@pytest.fixture
def executions(tmp_path: Path) -> Callable[[], int]:
    notes = tmp_path / "notes"
    return lambda: len(notes.read_text().splitlines()) if notes.exists() else 0


def completion(run: Run, path: str = "a") -> dict[str, Any]:
    data: dict[str, Any] = Event.objects.get(run=run, type="step_complete", path=path).data
    return data


Noted = Callable[..., dict[str, Any]]
Executions = Callable[[], int]


def test_a_second_run_reuses_the_result_without_calling_the_function(noted: Noted, executions: Executions) -> None:
    first, second = run_to_end(noted()), run_to_end(noted(), workflow_id="another")
    assert executions() == 1
    assert results(first) == results(second) == {"a": {"noted": "x"}}
    body = result_body(second)["step_results"]["a"]
    assert (body["status"], body["reason"], body["attempts"]) == ("completed", "cache", 0)
    assert "reason" not in result_body(first)["step_results"]["a"]
    assert list(invariants.broken(settled=True)) == []
    assert list(verification.verify()) == []


def test_the_event_tells_the_digest_and_where_the_result_comes_from(noted: Noted) -> None:
    first, second = run_to_end(noted()), run_to_end(noted())
    stored = CachedResult.objects.get()
    assert completion(first)["digest"] == completion(second)["digest"] == stored.digest
    assert re.fullmatch("[0-9a-f]{64}", stored.digest)
    assert (completion(second)["source"], completion(second)["from"]) == ("cache", f"{first.pk}:a")
    kinds = list(Event.objects.filter(run=second).order_by("seq").values_list("type", flat=True))
    assert kinds == ["run_created", "run_started", "step_complete", "workflow_complete"]


@pytest.mark.parametrize(
    "other",
    [
        {"text": "y"},
        {"cache": {**HOUR, "key": "${input.key}"}},
        {"output_schema": {"type": "object"}},
        {"llm_name": "another-model"},
    ],
)
def test_whatever_the_result_hangs_on_sets_results_apart(
    noted: Noted, executions: Executions, other: dict[str, Any]
) -> None:
    run_to_end(noted())
    for _ in range(2):
        run_to_end(noted(**other), input={"key": 1})
    assert executions() == 2


def test_keys_are_rendered(noted: Noted, executions: Executions) -> None:
    keyed = noted(cache={**HOUR, "key": "tenant ${input.tenant}"})
    for tenant in ("a", "b", "a"):
        run_to_end(keyed, input={"tenant": tenant})
    assert executions() == 2


def test_parameters_borrowed_from_the_context_count(executions: Executions, tmp_path: Path) -> None:
    borrowing = step("a", "note", {"file": str(tmp_path / "notes")}, cache=HOUR)
    for text in ("one", "two", "one"):
        run = run_to_end(borrowing, input={"text": text})
        assert results(run)["a"] == {"noted": text}
    assert executions() == 2


def test_earlier_results_that_go_along_with_a_prompt_count() -> None:
    def ask(told: str) -> Run:
        asking = step("b", "inference", {"prompt": "What is the colour?"}, cache=HOUR)
        return run_to_end(step("a", parameters={"message": told}), asking)

    told = [ask(colour).steps.get(path="b").reason for colour in ("colour red", "colour blue", "colour red")]
    assert told == ["", "", "cache"]


def test_a_hit_costs_no_tokens_and_tells_what_it_saved() -> None:
    asking = step("a", "inference", {"prompt": "Tell me of the sea and of ships."}, cache=HOUR)
    first, second = run_to_end(asking), run_to_end(asking)
    assert first.output_tokens > 0
    assert (second.input_tokens, second.output_tokens, second.cost) == (0, 0, 0)
    assert completion(second)["saved"]["output_tokens"] == first.output_tokens
    assert results(first) == results(second)


def test_a_changed_agent_answers_anew(noted: Noted, executions: Executions) -> None:
    run_to_end(noted())
    Agent.objects.filter(name="tester").update(system_prompt="Be brief.")
    catalog.forget()
    run_to_end(noted())
    assert executions() == 2


def test_an_expired_result_is_not_reused_but_renewed_and_then_swept(noted: Noted, executions: Executions) -> None:
    run_to_end(noted())
    CachedResult.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    run_to_end(noted())
    assert executions() == 2
    assert CachedResult.objects.get().expires_at > timezone.now() + timedelta(minutes=59)
    assert cached_results.forget_expired() == 0
    CachedResult.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert cached_results.forget_expired() == 1


def test_checks_are_those_of_the_step_that_reuses(noted: Noted, executions: Executions) -> None:
    run_to_end(noted())
    processed = run_to_end(noted(result_processor="{'loud': upper(result.noted)}", validation="result.noted == 'x'"))
    assert results(processed) == {"a": {"loud": "X"}}
    assert executions() == 1


def test_a_result_that_fails_the_checks_is_no_hit(noted: Noted, executions: Executions) -> None:
    run_to_end(noted())
    run = run_to_end(noted(validation="result.noted == 'y'", max_retries=0))
    assert (run.status, run.steps.get().error_code, executions()) == ("failed", "ValidationFailed", 2)


def test_a_processor_that_changes_the_result_in_place_does_not_change_what_is_kept(noted: Noted) -> None:
    def spoil(context: Any, result: dict[str, Any]) -> dict[str, Any]:
        result["noted"] = "spoilt"
        return result

    definition = make_definition(noted(result_processor={"callable": "spoil"}))
    inprocess.run(definition, callables={"spoil": spoil})
    assert CachedResult.objects.get().result == {"noted": "x"}


def test_only_results_of_the_function_that_completed_its_step_are_kept(noted: Noted, tmp_path: Path) -> None:
    failing = {"file": str(tmp_path / "f"), "failures": 9}
    run_to_end(step("a", "flaky", failing, cache=HOUR, max_retries=0, fallback={"result": {"text": "spare"}}))
    run_to_end(noted(validation="false", max_retries=0))
    run_to_end(noted(cache=None))
    assert not CachedResult.objects.exists()


def test_secrets_are_told_apart_and_never_stored(
    noted: Noted, executions: Executions, monkeypatch: pytest.MonkeyPatch
) -> None:
    for secret in ("hunter-two-2", "hunter-three-3"):
        monkeypatch.setenv("KOLOSAL_SECRET_WORD", secret)
        run_to_end(noted(text="${secrets.WORD}"))
    assert executions() == 2
    assert [row.result for row in CachedResult.objects.all()] == [{"noted": "***"}] * 2


def test_wrong_parameters_are_told_as_ever() -> None:
    run = run_to_end(step("a", "note", {"text": "no file"}, cache=HOUR))
    assert run.steps.get().error_code == "InvalidParameters"


def test_a_retry_calls_the_function_again_for_a_result_that_it_discards(noted: Noted, executions: Executions) -> None:
    failing = step("b", "raise_text", {"text": "no"}, max_retries=0)
    run = run_to_end(noted(), failing)
    runs.retry(run.pk, actor="tester", start_at="a")
    go_on(run)
    assert executions() == 2
    assert run.steps.get(path="a", superseded=False).reason == ""
    runs.retry(run.pk, actor="tester")
    go_on(run)
    assert executions() == 2


def go_on(run: Run) -> None:
    """Carry on with a run that is due."""

    async def script(engine: Any) -> None:
        await engine.take([run.pk])
        await engine.wait()

    in_engine(script)


def test_a_step_that_a_lost_worker_left_running_completes_by_a_result_that_came_meanwhile(
    noted: Noted, executions: Executions
) -> None:

    run = runs.start(make_workflow(noted()), {}, trigger="api", actor="tester", wake=False)
    lost = Identity.new("worker")
    workers.enter(lost)
    [claimed] = claims.claim(lost, 1)
    transitions.start_step(claimed.held, "a", {"step_id": "a", "name": "a", "agent": "tester", "function": "note"})
    held.write(claimed.held)
    run_to_end(noted())
    Worker.objects.filter(pk=lost.id).update(expires_at=timezone.now() - timedelta(seconds=1))
    go_on(run)
    run.refresh_from_db()
    row = run.steps.get()
    assert (run.status, row.status, row.reason) == ("completed", "completed", "cache")
    assert [attempt["interrupted"] for attempt in row.attempts] == ["worker lost"]
    assert executions() == 1
    assert list(invariants.broken(settled=True)) == []


def test_a_result_is_written_with_its_step_or_not_at_all(noted: Noted, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker that lost its lease gives is not kept either."""

    run = runs.start(make_workflow(noted()), {}, trigger="api", actor="tester", wake=False)
    who = Identity.new("worker")
    workers.enter(who)
    [claimed] = claims.claim(who, 1)
    transitions.start_step(claimed.held, "a", {"step_id": "a", "name": "a", "agent": "tester", "function": "note"})
    held.write(claimed.held)
    Run.objects.filter(pk=run.pk).update(epoch=99)
    transitions.complete_step(claimed.held, "a", Succeeded({}, "{}", {}, reusable=Reusable("d" * 64, "{}", 60)))
    with pytest.raises(LeaseLost):
        held.write(claimed.held)
    assert not CachedResult.objects.exists()


def test_a_result_outlives_the_run_that_it_comes_from(noted: Noted, executions: Executions) -> None:
    run = run_to_end(noted())
    with append_only.deleting():
        run.delete()
    assert completion(run_to_end(noted()))["from"] == "a deleted run:a"
    assert executions() == 1


def test_the_same_result_twice_in_one_transaction_is_kept_once() -> None:
    run = run_to_end(step("a"))
    entries = [(run.pk, path, Reusable("d" * 64, f'{{"by":"{path}"}}', 60)) for path in ("a", "b")]
    with transaction.atomic():
        cached_results.keep(entries)
    assert CachedResult.objects.get().result == {"by": "b"}


@pytest.mark.postgresql
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has one writer")
def test_transactions_that_keep_the_same_results_do_not_deadlock() -> None:
    run = run_to_end(step("a"))
    one, two = (Reusable(letter * 64, "{}", 60) for letter in "ab")
    failures: list[Exception] = []

    def keep(entries: list[Reusable]) -> None:
        try:
            for _ in range(20):
                with transaction.atomic():
                    cached_results.keep([(run.pk, "a", entry) for entry in entries])
        except Exception as error:
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=keep, args=(entries,)) for entries in ([one, two], [two, one])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
