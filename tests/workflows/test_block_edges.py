"""Where blocks meet what is rare: cancelled branches, takeovers, answers at the last moment, very long runs."""

from typing import Any

from tests.factories import make_definition, run_to_end, step
from workflows import inprocess
from workflows.changes import Change

# --- Very long runs --------------------------------------------------------------------------------------------------


def test_steps_that_wait_for_nothing_are_written_in_pieces_and_let_other_runs_go_on() -> None:
    inner = {"step_id": "inner", "for_each": "input.l", "steps": [step("a", precondition="false")]}
    outer = {"step_id": "outer", "for_each": "input.l", "steps": [inner]}
    written: list[Change] = []
    run = inprocess.run(make_definition(outer), {"l": list(range(30))}, on_written=written.append)
    assert (run.status, run.skipped_steps) == ("completed", 900)
    assert max(len(change.events) for change in written) < 150


def test_blocks_count_towards_the_steps_that_a_run_may_execute(settings: Any) -> None:
    settings.MAX_STEPS_PER_RUN = 10
    gate = {"step_id": "gate", "if": "false", "then": [step("a")]}
    run = run_to_end({"step_id": "loop", "for_each": "input.l", "steps": [gate]}, input={"l": list(range(50))})
    assert (run.status, run.error_code) == ("failed", "TooManySteps")
