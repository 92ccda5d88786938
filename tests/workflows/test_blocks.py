"""What blocks do, seen from rows, events and the context; the engine is real, and so is the database."""

from pathlib import Path
from typing import Any

import pytest

from tests.factories import results, run_to_end, statuses, step
from workflows import audit
from workflows.models import Event, Run
from workflows.results import context_at, result_body


def echo(step_id: str, message: str, **fields: Any) -> dict[str, Any]:
    return step(step_id, parameters={"message": message}, **fields)


def failing(step_id: str, **fields: Any) -> dict[str, Any]:
    return step(step_id, "raise_text", {"text": f"{step_id} is broken"}, max_retries=0, **fields)


def texts(run: Run) -> dict[str, Any]:
    """Path → what its `echo` gave."""
    return {
        path: result["echo"] for path, result in results(run).items() if isinstance(result, dict) and "echo" in result
    }


def told(run: Run, type: str) -> list[str]:
    return [event.path for event in Event.objects.filter(run=run, type=type).order_by("seq")]


# --- Branches --------------------------------------------------------------------------------------------------------

GATE = {
    "step_id": "gate",
    "if": 'input.quality == "high"',
    "then": [echo("keep", "kept")],
    "else": [echo("mend", "mended"), echo("tell", "${steps.mend.result.echo}!")],
}


@pytest.mark.parametrize(
    ("quality", "expected"), [("high", {"gate.keep": "kept"}), ("low", {"gate.mend": "mended", "gate.tell": "mended!"})]
)
def test_if_takes_one_branch_and_says_which(quality: str, expected: dict[str, str]) -> None:
    run = run_to_end(GATE, echo("end", '${steps.get("keep.result.echo", "nothing kept")}'), input={"quality": quality})
    assert run.status == "completed"
    kept = "kept" if quality == "high" else "nothing kept"
    assert texts(run) == expected | {"end": kept}
    branch = "then" if quality == "high" else "else"
    assert results(run)["gate"] == {"branch": branch}
    assert run.steps.get(path="gate").parameters == {"branch": branch}


@pytest.mark.parametrize(
    ("value", "path"),
    [("a", "route.first"), (7, "route.seven"), (7.0, "route.seven"), (True, "route.yes"), ("else", "route.other")],
)
def test_switch_compares_as_text(value: Any, path: str) -> None:
    route = {
        "step_id": "route",
        "switch": "input.value",
        "cases": {"a": [echo("first", "x")], "7": [echo("seven", "x")], "true": [echo("yes", "x")]},
        "default": [echo("other", "x")],
    }
    assert list(texts(run_to_end(route, input={"value": value}))) == [path]


def test_a_branch_that_is_not_there_runs_nothing() -> None:
    run = run_to_end({"step_id": "gate", "if": "false", "then": [step("a")]}, step("b"))
    assert results(run)["gate"] == {"branch": None}
    assert statuses(run) == {"gate": "completed", "b": "completed"}
    assert (run.successful_steps, run.total_steps, run.progress) == (1, 2, 1.0)


@pytest.mark.parametrize(("value", "said"), [(None, "null"), ("true", '"true"'), ([], "[]")])
def test_a_condition_that_is_neither_true_nor_false_fails_the_block(value: Any, said: str) -> None:
    run = run_to_end({"step_id": "gate", "if": "input.value", "then": [step("a")]}, input={"value": value})
    assert (run.error_code, statuses(run)) == ("ExpressionError", {"gate": "failed"})
    assert f"true or false, not {said}: input.value" in run.error_message


# --- Loops -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at_once", [1, 3])
def test_for_each_collects_results_in_item_order(at_once: int) -> None:
    loop = {
        "step_id": "chapters",
        "for_each": "input.titles",
        "as": "title",
        "max_concurrency": at_once,
        "steps": [
            step("wait", "nap", {"seconds": "${double(3 - index) / 20.0}"}),
            echo("write", "${index}: ${title}"),
        ],
    }
    end = echo("end", '${steps.chapters.result.map(c, c.echo).join(", ")}; ${steps.get("write.result.echo")}')
    run = run_to_end(loop, end, input={"titles": ["one", "two", "three"]})
    assert run.status == "completed", run.error_message
    assert [item["echo"] for item in results(run)["chapters"]] == ["0: one", "1: two", "2: three"]
    assert texts(run)["chapters[2].write"] == "2: three"
    assert texts(run)["end"] == "0: one, 1: two, 2: three; 2: three"
    assert context_at(run)["chapters"] == results(run)["chapters"]
    assert context_at(run, "chapters[1].write")["title"] == "two"


def test_items_see_the_context_at_the_blocks_start_and_their_own() -> None:
    loop = {
        "step_id": "loop",
        "for_each": "[1, 2]",
        "max_concurrency": 2,
        "steps": [echo("a", '${string(item)} after ${context.get("echo", "nothing")}'), echo("b", "${context.echo}")],
    }
    run = run_to_end(echo("first", "first"), loop, echo("end", "${context.echo}"))
    assert texts(run) == {
        "first": "first",
        "loop[0].a": "1 after first",
        "loop[0].b": "1 after first",
        "loop[1].a": "2 after first",
        "loop[1].b": "2 after first",
        "end": "2 after first",
    }


def test_while_goes_on_until_its_condition_fails() -> None:
    loop = {
        "step_id": "improve",
        "while": 'steps.get("count.result.result", 0) < 3',
        "steps": [step("count", "add", {"a": '${steps.get("count.result.result", 0)}', "b": 1})],
    }
    run = run_to_end(loop, echo("end", "${string(steps.count.result.result)}"))
    assert run.status == "completed", run.error_message
    assert results(run)["improve"] == {"iterations": 3}
    assert texts(run)["end"] == "3"
    assert [path for path in statuses(run) if path.startswith("improve[")] == [f"improve[{i}].count" for i in range(3)]


@pytest.mark.parametrize(
    ("loop", "code"),
    [
        ({"while": "true", "max_iterations": 3}, "LoopLimitExceeded"),
        ({"for_each": "[1, 2, 3, 4]", "max_iterations": 3}, "LoopLimitExceeded"),
        ({"for_each": "input"}, "ExpressionError"),
        ({"while": "1 + 1"}, "ExpressionError"),
    ],
)
def test_a_loop_that_goes_wrong_fails_with_what_was_wrong(loop: dict[str, Any], code: str) -> None:
    run = run_to_end({"step_id": "loop", **loop, "steps": [step("a")]})
    assert (run.status, run.error_code) == ("failed", code)
    assert "step loop failed" in run.error_message
    assert run.steps.get(path="loop").error_code == code
    assert len(told(run, "step_start")) <= 4


def test_nothing_to_loop_over_is_no_failure() -> None:
    run = run_to_end({"step_id": "loop", "for_each": "[]", "steps": [step("a")]})
    assert (run.status, results(run)) == ("completed", {"loop": []})


def test_a_loop_that_fails_by_itself_tells_why_among_the_errors() -> None:
    loop = {"step_id": "loop", "while": "true", "max_iterations": 1, "steps": [step("a")], "continue_on_failure": True}
    body = result_body(run_to_end(loop, step("b")))
    assert (body["status"], body["partial"], body["executed_steps"]) == ("completed", True, ["loop[0].a", "b"])
    assert list(body["step_errors"]) == ["loop"]
    assert "max_iterations (1)" in body["step_errors"]["loop"]


# --- Parallel --------------------------------------------------------------------------------------------------------


def test_parallel_branches_are_joined_in_the_order_of_the_definition() -> None:
    both = {
        "step_id": "both",
        "parallel": {
            "slow": [step("wait", "nap", {"seconds": 0.2}), echo("a", "slow")],
            "fast": [echo("b", "fast"), echo("c", "${context.echo} again")],
        },
    }
    run = run_to_end(both, echo("end", "${context.echo}, ${steps.a.result.echo}"))
    assert run.status == "completed", run.error_message
    assert texts(run)["end"] == "fast again, slow"
    assert results(run)["both"]["slow"]["echo"] == "slow"
    assert told(run, "step_complete")[-3:] == ["both.a", "both", "end"]


def test_a_failing_branch_cancels_the_others_which_are_told_why() -> None:
    both = {
        "step_id": "both",
        "parallel": {
            "long": [{"step_id": "inner", "for_each": "[1, 2]", "max_concurrency": 2, "steps": [
                step("wait", "nap", {"seconds": 30})]}],
            "bad": [failing("boom")],
        },
    }  # fmt: skip
    run = run_to_end(both, step("never"))
    assert (run.status, run.error_code) == ("failed", "FunctionFailed")
    assert run.error_message == "step both.boom failed: RuntimeError: boom is broken"
    assert statuses(run) == {
        "both": "failed",
        "both.inner": "cancelled",
        "both.inner[0].wait": "cancelled",
        "both.inner[1].wait": "cancelled",
        "both.boom": "failed",
    }
    assert run.steps.get(path="both.inner[0].wait").error_message == "cancelled because step both.boom failed"
    assert audit.first_broken(run.pk) is None


@pytest.mark.parametrize("tolerant", ["step", "block", "run"])
def test_a_tolerated_failure_lets_the_run_go_on(tolerant: str) -> None:
    bad = failing("boom", continue_on_failure=tolerant == "step")
    both = {
        "step_id": "both",
        "parallel": {"bad": [bad], "good": [step("wait", "nap", {"seconds": 0.1}), echo("a", "good")]},
        "continue_on_failure": tolerant == "block",
    }
    run = run_to_end(both, echo("end", '${steps.get("a.result.echo", "cut short")}'), stop_on_failure=tolerant != "run")
    assert (run.status, run.success, run.partial) == ("completed", True, True)
    assert texts(run)["end"] == ("cut short" if tolerant == "block" else "good")


# --- Generated steps -------------------------------------------------------------------------------------------------


def generating(steps: Any, **fields: Any) -> dict[str, Any]:
    return step("outline", "give", {"value": {"steps": steps}}, generate=True, **fields)


def test_generated_steps_run_in_place_and_count() -> None:
    made = [echo("one", "1"), {"step_id": "gate", "if": "true", "then": [echo("two", "$${steps.one.result.echo}2")]}]
    run = run_to_end(generating(made), echo("end", '${steps.get("two.result.echo")}'))
    assert run.status == "completed", run.error_message
    assert texts(run) == {"outline.one": "1", "outline.gate.two": "12", "end": "12"}
    assert (run.successful_steps, run.total_steps, run.planned_steps) == (4, 2, 4)


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ("no list", "steps"),
        ([{"step_id": "a"}], "agent_id"),
        ([step("a"), step("a")], "taken"),
        ([step("outline")], "taken"),
        ([step("a", "nope")], "nope"),
        ([step("a", parameters={"message": "$${steps.b.result}"})], "no step"),
        ([step("a", parameters={"message": "$${secrets.KEY}"})], "not in those of generated steps"),
        ([step(f"s{number}") for number in range(10_000)], "1,000"),
    ],
)
def test_rubbish_from_a_generator_fails_the_step_and_runs_nothing(steps: Any, said: str) -> None:
    run = run_to_end(generating(steps, max_retries=0), step("never"))
    assert (run.status, run.error_code) == ("failed", "GeneratedStepsInvalid")
    assert said in run.error_message
    assert statuses(run) == {"outline": "failed"}


def test_generated_steps_may_name_the_step_that_made_them() -> None:
    made = [echo("one", "$${string(size(steps.outline.result.steps))}"), echo("two", "x", depends_on=["outline"])]
    loop = {"step_id": "loop", "for_each": "[1]", "steps": [generating(made)]}
    assert texts(run_to_end(loop)) == {"loop[0].outline.one": "2", "loop[0].outline.two": "x"}


def test_a_generated_step_whose_path_would_be_too_long_is_refused() -> None:
    block = generating([step("m" * 100)], max_retries=0)
    for level in range(4):
        block = {"step_id": f"{level}" * 100, "if": "true", "then": [block]}
    run = run_to_end(block)
    assert run.error_code == "GeneratedStepsInvalid"
    assert "steps[0].step_id" in run.error_message
    assert "at most 500" in run.error_message


def test_loops_in_loops_nest_their_lists_and_double_nothing() -> None:
    block = echo("leaf", "x" * 1000)
    for level in range(18):
        block = {"step_id": f"b{level}", "for_each": "[1]", "steps": [block]}
    run = run_to_end(block, echo("end", "${context.echo}"))
    assert run.status == "completed", run.error_message
    assert results(run)["b17"][0].keys() == {"b16"}
    assert len(texts(run)["end"]) == 1000


# --- All together ----------------------------------------------------------------------------------------------------


def test_blocks_nest_twenty_deep() -> None:
    block = echo("leaf", "deep")
    for level in range(19):
        kind: dict[str, Any] = {"if": "true", "then": [block]} if level % 2 else {"for_each": "[1]", "steps": [block]}
        block = {"step_id": f"b{level}", **kind}
    run = run_to_end({"step_id": "top", "parallel": {"x": [block], "y": [step("beside")]}})
    assert run.status == "completed", run.error_message
    [path] = texts(run).keys() - {"top.beside"}
    assert path.startswith("top.b18[0].b17.b16[0].")


def test_steps_in_blocks_keep_their_retries_fallbacks_and_dependencies(tmp_path: Path) -> None:
    steps = [
        step("flaky", "flaky", {"file": str(tmp_path / "f"), "failures": 1}, retry={"initial_delay_seconds": 0}),
        failing("rescued", fallback={"result": {"echo": "rescued"}}),
        echo("skipped", "x", precondition="false"),
        echo("dependent", "x", depends_on=["skipped"]),
        step("shaped", output_schema={"required": ["nope"]}, max_retries=0, continue_on_failure=True),
    ]
    run = run_to_end({"step_id": "loop", "for_each": "[1]", "steps": steps})
    assert statuses(run) == {
        "loop": "completed",
        "loop[0].flaky": "completed",
        "loop[0].rescued": "completed",
        "loop[0].skipped": "skipped",
        "loop[0].dependent": "skipped",
        "loop[0].shaped": "failed",
    }
    assert run.steps.get(path="loop[0].flaky").attempt == 2
    assert run.steps.get(path="loop[0].shaped").error_code == "OutputSchemaMismatch"


def test_a_block_is_skipped_as_a_step_is() -> None:
    run = run_to_end({**GATE, "precondition": "false"}, step("b", depends_on=["mend"]))
    assert statuses(run) == {"gate": "skipped", "b": "skipped"}
    assert (run.skipped_steps, run.status) == (1, "completed")


def test_a_run_executes_no_more_steps_than_it_may(settings: Any) -> None:
    settings.MAX_STEPS_PER_RUN = 10
    loop = {"step_id": "loop", "for_each": "range", "max_iterations": 100, "steps": [step("a")]}
    run = run_to_end({**loop, "for_each": "input.items"}, input={"items": list(range(50))}, stop_on_failure=False)
    assert (run.status, run.error_code) == ("failed", "TooManySteps")
    assert "KOLOSAL_MAX_STEPS_PER_RUN" in run.error_message


def test_only_the_last_steps_results_are_kept_where_the_definition_says_so() -> None:
    loop = {"step_id": "loop", "for_each": "[1, 2]", "steps": [echo("a", "x")]}
    run = run_to_end(echo("first", "x"), loop, save_intermediate_results=False)
    kept = {path for path, result in results(run).items() if result is not None}
    assert kept == {"loop", "loop[0].a", "loop[1].a"}


def test_the_result_body_lists_executed_steps_and_tells_of_blocks() -> None:
    body = result_body(run_to_end(GATE, input={"quality": "high"}))
    assert body["executed_steps"] == ["gate.keep"]
    assert body["step_results"]["gate"]["result_data"] == {"branch": "then"}
    assert (body["total_steps"], body["successful_steps"]) == (3, 1)
