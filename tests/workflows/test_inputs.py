"""What a workflow's `parameters` make of a run's input, whoever starts it."""

from typing import Any

import pytest

from tests.factories import make_workflow, results, run_to_end, step
from workflows import runs
from workflows.errors import InputInvalid
from workflows.models import Run

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["who"],
    "properties": {"who": {"type": "string"}, "greeting": {"type": "string", "default": "Hello"}},
}
GREET = step("a", parameters={"message": "${input.greeting} ${context.greeting} ${input.who}"})


def test_defaults_are_stored_with_the_run_and_seen_by_expressions() -> None:
    run = run_to_end(GREET, input={"who": "Ada"}, parameters=SCHEMA)
    assert run.input == {"who": "Ada", "greeting": "Hello"}
    assert results(run)["a"]["original"] == "Hello Hello Ada"


def test_a_rerun_has_the_same_input_and_a_changed_one_is_filled_in_too() -> None:
    first = runs.start(make_workflow(GREET, parameters=SCHEMA), {"who": "Ada"}, trigger="api", actor="tester")
    assert runs.rerun(first.pk, actor="tester").input == first.input == {"who": "Ada", "greeting": "Hello"}
    changed = runs.rerun(first.pk, actor="tester", input={"who": "Bob"})
    assert changed.input == {"who": "Bob", "greeting": "Hello"}


def test_a_run_whose_input_does_not_match_is_not_made() -> None:
    with pytest.raises(InputInvalid) as refused:
        runs.start(make_workflow(GREET, parameters=SCHEMA), {"greeting": 1}, trigger="api", actor="tester")
    assert sorted(problem.path for problem in refused.value.problems) == ["input_context", "input_context.greeting"]
    assert not Run.objects.exists()
