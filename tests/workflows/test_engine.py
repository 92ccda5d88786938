"""What a run does, seen from its rows and events; the engine is real, and so is the database."""

from datetime import datetime
from pathlib import Path

import pytest

from tests.factories import make_definition, make_workflow, results, run_to_end, statuses, step
from tests.tampering import unguarded
from workflows import audit, claims, publishing, runs, workers
from workflows.models import Event, Run, StreamText, WorkflowVersion
from workflows.models.workflow import known_version, parsed_version
from workflows.results import context_at, result_body
from workflows.workers import Identity

FAST = {"initial_delay_seconds": 0.02, "multiplier": 2, "jitter": "none"}


def kinds(run: Run) -> list[str]:
    return [event.type for event in Event.objects.filter(run=run).order_by("seq")]


def test_steps_run_in_order_and_each_sees_what_came_before() -> None:
    run = run_to_end(
        step("a", parameters={"message": "hello ${context.who}"}),
        step("b", parameters={"message": "${steps.a.result.echo}!"}),
        input={"who": "world"},
    )
    assert run.status == "completed"
    assert run.success
    assert results(run)["b"]["echo"] == "hello world!"


def test_the_events_of_a_run_tell_its_story_in_an_unbroken_chain() -> None:
    run = run_to_end(step("a"), step("b"))
    assert kinds(run) == [
        "run_created", "run_started", "step_start", "step_complete", "step_start", "step_complete", "workflow_complete",
    ]  # fmt: skip
    assert [event.seq for event in Event.objects.filter(run=run).order_by("seq")] == list(range(1, 8))
    assert audit.first_broken(run.pk) is None
    assert Event.objects.get(run=run, seq=7).hash == run.event_head


def test_a_changed_event_breaks_the_chain_where_it_stands() -> None:
    run = run_to_end(step("a"))
    with unguarded():
        Event.objects.filter(run=run, seq=3).update(actor="somebody else")
    assert audit.first_broken(run.pk) == 3


def test_a_false_precondition_skips_the_step_and_what_depends_on_it() -> None:
    run = run_to_end(
        step("a", precondition='context.get("condition") == "true"'),
        step("b", depends_on=["a"]),
        step("c"),
    )
    assert statuses(run) == {"a": "skipped", "b": "skipped", "c": "completed"}
    rows = {row.path: row.reason for row in run.steps.all()}
    assert rows == {"a": "precondition", "b": "dependency", "c": ""}
    assert result_body(run)["executed_steps"] == ["c"]
    assert run.success
    assert not run.partial


def test_a_step_that_fails_twice_succeeds_at_the_third_attempt_with_growing_waits(tmp_path: Path) -> None:
    run = run_to_end(step("a", "flaky", {"file": str(tmp_path / "f"), "failures": 2}, retry=FAST))
    row = run.steps.get()
    assert (row.status, row.attempt, run.retried_steps) == ("completed", 3, 1)
    assert [attempt.get("retry_in") for attempt in row.attempts] == [0.02, 0.04, None]
    assert "failure 1 of 2" in row.attempts[0]["error"]
    assert "RuntimeError" in row.attempts[0]["trace"]
    ended, started = (datetime.fromisoformat(row.attempts[i][k]) for i, k in ((0, "ended_at"), (1, "started_at")))
    assert (started - ended).total_seconds() >= 0.02
    assert kinds(run).count("step_retry") == 2


def test_a_failure_ends_the_run_and_later_steps_never_start(tmp_path: Path) -> None:
    run = run_to_end(step("a", "flaky", {"file": str(tmp_path / "f"), "failures": 9}, max_retries=0), step("b"))
    assert (run.status, run.success, run.error_code) == ("failed", False, "FunctionFailed")
    assert "step a failed" in run.error_message
    assert statuses(run) == {"a": "failed"}


@pytest.mark.parametrize("tolerance", [{"continue_on_failure": True}, {}])
def test_a_tolerated_failure_makes_the_success_partial(tmp_path: Path, tolerance: dict[str, bool]) -> None:
    failing = step("a", "flaky", {"file": str(tmp_path / "f"), "failures": 9}, max_retries=0, **tolerance)
    run = run_to_end(failing, step("b"), stop_on_failure=bool(tolerance))
    assert (run.status, run.success, run.partial) == ("completed", True, True)
    assert statuses(run) == {"a": "failed", "b": "completed"}
    assert result_body(run)["step_errors"].keys() == {"a"}


def test_a_result_processor_replaces_the_result_that_later_steps_see() -> None:
    run = run_to_end(
        step("a", "add", {"a": 2, "b": 3}, result_processor="{'total': result.result * 10}"),
        step("b", parameters={"message": "${context.total}"}),
    )
    assert results(run)["a"] == {"total": 50}
    assert results(run)["b"]["original"] == "50"


def test_a_result_that_does_not_validate_is_a_failed_attempt() -> None:
    run = run_to_end(step("a", validation="result.echo == 'other'", max_retries=1, retry=FAST))
    row = run.steps.get()
    assert (row.status, row.attempt, row.error_code) == ("failed", 2, "ValidationFailed")


def test_a_result_must_match_its_output_schema() -> None:
    schema = {"type": "object", "required": ["score"]}
    run = run_to_end(step("a", output_schema=schema, max_retries=0))
    assert run.steps.get().error_code == "OutputSchemaMismatch"


def test_what_cannot_heal_is_not_tried_again() -> None:
    run = run_to_end(step("a", parameters={"message": "${context.missing}"}, max_retries=3))
    row = run.steps.get()
    assert (row.status, row.attempt, row.error_code) == ("failed", 0, "ExpressionError")
    assert "get" in row.error_message


def test_an_agent_that_is_not_there_fails_the_step_clearly() -> None:
    run = run_to_end({**step("a"), "agent_id": "testr"})
    assert run.steps.get().error_code == "AgentNotFound"
    assert "tester" in run.steps.get().error_message


def test_a_fallback_steps_in_once_when_all_attempts_have_failed(tmp_path: Path) -> None:
    run = run_to_end(
        step(
            "a",
            "flaky",
            {"file": str(tmp_path / "f"), "failures": 9},
            max_retries=1,
            retry=FAST,
            fallback={"agent_id": "tester", "function_name": "echo", "parameters": {"message": "instead"}},
        )
    )
    row = run.steps.get()
    assert (row.status, row.reason, row.attempt) == ("completed", "fallback", 2)
    assert results(run)["a"]["echo"] == "instead"


def test_a_fixed_fallback_result_is_rendered(tmp_path: Path) -> None:
    failing = step("a", "flaky", {"file": str(tmp_path / "f"), "failures": 9}, max_retries=0)
    run = run_to_end({**failing, "fallback": {"result": {"text": "for ${context.who}"}}}, input={"who": "you"})
    assert results(run)["a"] == {"text": "for you"}


def test_an_async_attempt_is_stopped_at_its_timeout() -> None:
    run = run_to_end(step("a", "nap", {"seconds": 30}, timeout_seconds=0.05, max_retries=0))
    row = run.steps.get()
    assert (row.status, row.error_code) == ("timed_out", "StepTimeout")
    assert row.duration_ms < 5000


def test_the_runs_deadline_ends_the_step_that_is_under_way() -> None:
    run = run_to_end(step("a", "nap", {"seconds": 30}), step("b"), max_execution_time_seconds=0.1)
    assert (run.status, run.error_code) == ("timed_out", "RunDeadlineExceeded")
    assert statuses(run) == {"a": "timed_out"}
    assert kinds(run)[-1] == "workflow_complete"


def test_a_context_past_its_limit_fails_the_step_and_names_the_largest_key(settings) -> None:
    settings.CONTEXT_MAX_BYTES = 2_000
    run = run_to_end(step("a", "grow", {"size": 3_000, "key": "essay"}, max_retries=0))
    assert run.steps.get().error_code == "ContextTooLarge"
    assert "essay" in run.steps.get().error_message


def test_only_the_last_result_is_kept_where_intermediate_ones_are_not_wanted() -> None:
    run = run_to_end(step("a"), step("b"), save_intermediate_results=False)
    assert {row.path: row.result is None for row in run.steps.all()} == {"a": True, "b": False}
    assert statuses(run) == {"a": "completed", "b": "completed"}


def test_the_context_at_any_step_can_be_rebuilt() -> None:
    run = run_to_end(step("a", "add", {"a": 1, "b": 1}), step("b"), global_context={"topic": "x"}, input={"topic": "y"})
    assert context_at(run, "a") == {"topic": "y"}
    assert context_at(run, "b")["result"] == 2
    assert "echo" in context_at(run)


def test_secrets_reach_the_function_and_are_stored_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOLOSAL_SECRET_CANARY", "canary-3e1f")
    run = run_to_end(step("a", parameters={"message": "key ${secrets.CANARY}"}))
    row = run.steps.get()
    assert row.parameters == {"message": "key ***"}
    assert "canary-3e1f" not in str(row.result)
    assert "canary-3e1f" not in str(list(Event.objects.values_list("data", flat=True)))


def test_log_lines_of_a_function_stand_with_its_step(tmp_path: Path) -> None:
    run = run_to_end(step("a", "note", {"file": str(tmp_path / "f"), "text": "here"}))
    assert [line["message"] for line in run.steps.get().logs] == ["noted here"]
    assert (tmp_path / "f").read_text() == f"here {run.pk}:a\n"


def test_streamed_text_is_gone_when_the_step_has_ended() -> None:
    run = run_to_end(step("a", "speak", {"words": ["one ", "two"], "pause": 0.06}))
    assert results(run)["a"]["text"] == "one two"
    assert not StreamText.objects.exists()


def test_usage_of_a_model_is_added_up() -> None:
    run = run_to_end(step("a", "inference", {"prompt": "Say hello"}), step("b", "inference", {"prompt": "Say bye"}))
    rows = list(run.steps.all())
    assert run.output_tokens == sum(row.output_tokens for row in rows) > 0
    assert results(run)["a"]["provider"] == "offline"


def test_a_registered_callable_can_stand_in_for_an_expression() -> None:
    import workflows

    workflows.callable("test_engine.is_fine")(lambda context: context["fine"])
    run = run_to_end(step("a", precondition={"callable": "test_engine.is_fine"}), input={"fine": False})
    assert statuses(run) == {"a": "skipped"}


def test_many_steps_cost_no_more_each_than_few() -> None:
    run = run_to_end(*(step(f"s{i}") for i in range(50)))
    assert run.successful_steps == 50
    assert run.progress == 1.0


def test_a_version_that_this_release_cannot_read_fails_its_run_alone() -> None:
    workflow = make_workflow(step("a"))
    run = runs.start(workflow, {}, trigger="api", actor="tester", wake=False)
    WorkflowVersion.objects.filter(pk=run.version_id).update(definition={"workflow_id": "sample", "novelty": 1})
    known_version.cache_clear()
    parsed_version.cache_clear()
    fine = publishing.create(make_definition(workflow_id="fine"), actor="tester")
    other = runs.start(fine, {}, trigger="api", actor="tester", wake=False)
    who = Identity.new("local")
    workers.enter(who)
    assert [claimed.held.id for claimed in claims.claim(who, 10)] == [other.pk]
    run.refresh_from_db()
    assert (run.status, run.error_code) == ("failed", "DefinitionError")
