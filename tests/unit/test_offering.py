"""What an editor offers at a place, and definitions that went through a browser."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from workflows.definitions.numbers import as_written, beyond_a_browser
from workflows.definitions.offering import in_reach


def echo(step_id: str, **fields: Any) -> dict[str, Any]:
    return {"step_id": step_id, "agent_id": "a", "function_name": "echo"} | fields


DEFINITION = {
    "workflow_id": "w",
    "parameters": {"type": "object", "properties": {"title": {}, "not a name": {}}},
    "global_context": {"tone": "dry"},
    "steps": [
        echo("first"),
        echo("some-times", precondition="input.title != ''"),
        {"step_id": "gate", "if": "true", "then": [echo("yes")], "else": [echo("no")]},
        {"step_id": "loop", "for_each": "[1]", "as": "chapter", "steps": [echo("write"), echo("check")]},
        echo("last"),
    ],
}


def offered(*path: str | int) -> list[str]:
    return in_reach(DEFINITION, path)


def test_a_step_is_offered_what_stands_before_it() -> None:
    assert "steps.first.result" in offered("steps", 1)
    assert 'steps.get("some-times.result", null)' in offered("steps", 2)
    assert not any("last" in name or "gate" in name for name in offered("steps", 2))
    assert {"input.title", "global.tone", "context", "run.id"} <= set(offered("steps", 0))
    assert not any("not a name" in name for name in offered("steps", 0))


def test_what_stands_in_another_branch_is_not_offered() -> None:
    assert not any("yes" in name for name in offered("steps", 2, "else", 0, "parameters"))
    assert 'steps.get("yes.result", null)' in offered("steps", 4)


def test_a_loop_offers_its_item() -> None:
    assert {"chapter", "index", "steps.write.result"} <= set(offered("steps", 3, "steps", 1, "parameters", "x"))
    assert "chapter" not in offered("steps", 4)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(json_values, st.lists(st.text(max_size=5) | st.integers(0, 5), max_size=5))
def test_any_value_and_any_place_are_taken(value: Any, path: list[str | int]) -> None:
    assert isinstance(in_reach(value, tuple(path)), list)
    assert isinstance(in_reach({"steps": value}, ("steps", *path)), list)


@given(json_values)
def test_what_a_browser_does_not_change_comes_back_as_it_was_written(value: Any) -> None:
    definition = {"workflow_id": "w", "steps": [echo("one", parameters={"value": value})]}
    through = as_browsers_do(definition)
    assert json.dumps(as_written(through, definition)) == json.dumps(definition)


def as_browsers_do(value: Any) -> Any:
    """Whole floats become integers, and keys that are numbers come first."""
    if isinstance(value, dict):
        keys = sorted(
            value, key=lambda key: (0, int(key)) if key.isascii() and key.isdigit() and key == str(int(key)) else (1, 0)
        )
        return {key: as_browsers_do(value[key]) for key in keys}
    if isinstance(value, list):
        return [as_browsers_do(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def test_a_step_that_was_moved_keeps_its_numbers() -> None:
    before = {"steps": [echo("a", timeout_seconds=1.0), echo("b", parameters={"x": 2.0})]}
    after = {"steps": [echo("b", parameters={"x": 2, "y": 3}), echo("a", timeout_seconds=5)]}
    assert json.dumps(as_written(after, before)["steps"]) == json.dumps(
        [echo("b", parameters={"x": 2.0, "y": 3}), echo("a", timeout_seconds=5)]
    )


def test_a_new_key_stands_behind_the_one_that_it_follows() -> None:
    before = {"workflow_id": "w", "tags": [], "steps": []}
    after = {"workflow_id": "w", "description": "new", "steps": [], "tags": []}
    assert list(as_written(after, before)) == ["workflow_id", "description", "tags", "steps"]


def test_numbers_that_a_browser_would_change_are_found() -> None:
    assert beyond_a_browser({"steps": [{"n": 2**53}]}) == ("steps", 0, "n")
    assert beyond_a_browser({"a": 2**53 - 1, "b": 1e300, "c": True}) is None
