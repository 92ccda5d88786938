"""The input of a run: defaults filled in, then checked, every fault with its place."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.definitions import Definition, check, read_object
from workflows.definitions.defaults import EndlessDefaults, filled
from workflows.definitions.formats import CHECKED
from workflows.definitions.inputs import accepted_input
from workflows.definitions.schemas import mismatches
from workflows.errors import InputInvalid

OPTIONS = {
    "type": "object",
    "required": ["topic", "options"],
    "properties": {
        "topic": {"type": "string", "minLength": 3},
        "language": {"type": "string", "default": "en"},
        "options": {"$ref": "#/$defs/options"},
        "authors": {"type": "array", "items": {"type": "object", "properties": {"age": {"default": 1}}}},
    },
    "$defs": {
        "options": {
            "type": "object",
            "default": {"length": 5},
            "properties": {"length": {"type": "integer"}, "tone": {"default": None}},
        }
    },
}


def definition(parameters: dict[str, Any] | None) -> Definition:
    step = {"step_id": "a", "agent_id": "x", "function_name": "echo"}
    return Definition.model_validate({"workflow_id": "w", "steps": [step], "parameters": parameters})


def object_of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def faults(input: dict[str, Any], schema: dict[str, Any]) -> list[tuple[str, str]]:
    with pytest.raises(InputInvalid) as raised:
        accepted_input(definition(schema), input)
    return [(problem.path, problem.message) for problem in raised.value.problems]


def test_defaults_are_filled_in_objects_below_and_within_defaults() -> None:
    assert accepted_input(definition(OPTIONS), {"topic": "sea"}) == {
        "topic": "sea",
        "language": "en",
        "options": {"length": 5, "tone": None},
    }
    given = {"topic": "sea", "language": "de", "options": {"tone": "dry"}}
    assert accepted_input(definition(OPTIONS), given) == given


def test_items_of_lists_and_what_was_given_stay_as_they_are() -> None:
    given = {"topic": "sea", "options": {}, "authors": [{}]}
    made = accepted_input(definition(OPTIONS), given)
    assert made["authors"] == [{}]
    assert given == {"topic": "sea", "options": {}, "authors": [{}]}


def test_an_object_that_is_missing_is_not_made_up_for_the_defaults_in_it() -> None:
    assert filled({}, object_of(a=object_of(b={"default": 1}))) == {}
    assert filled({"a": {}}, object_of(a=object_of(b={"default": 1}))) == {"a": {"b": 1}}


def test_a_default_is_not_shared_between_runs() -> None:
    schema = object_of(tags={"default": []})
    filled({}, schema)["tags"].append("mine")
    assert filled({}, schema) == {"tags": []}


def test_without_a_schema_any_input_is_taken() -> None:
    assert accepted_input(definition(None), {"x": 1}) == {"x": 1}


def test_every_fault_is_told_with_its_place() -> None:
    found = faults({"topic": "x", "options": {"length": "long"}, "language": 1}, OPTIONS)
    assert sorted(path for path, _ in found) == [
        "input_context.language",
        "input_context.options.length",
        "input_context.topic",
    ]


def test_what_is_required_and_missing_is_told_of_the_object_that_lacks_it() -> None:
    assert faults({}, OPTIONS) == [("input_context", "'topic' is a required property")]


@pytest.mark.parametrize("name", CHECKED)
def test_formats_that_are_checked_refuse_with_an_example_that_passes(name: str) -> None:
    schema = object_of(value={"type": "string", "format": name})
    example = CHECKED[name][1]
    [(path, message)] = faults({"value": "no such thing"}, schema)
    assert path == "input_context.value"
    assert message == f"'no such thing' is no {name}, such as {example}"
    assert accepted_input(definition(schema), {"value": example}) == {"value": example}


@pytest.mark.parametrize(
    ("name", "text"), [("date", "20260131"), ("date", "2026-02-30"), ("date-time", "2026-01-31T09:30"), ("email", "a@")]
)
def test_what_only_looks_like_a_format_is_refused(name: str, text: str) -> None:
    assert faults({"value": text}, object_of(value={"format": name}))


def test_other_formats_are_notes() -> None:
    assert mismatches("anything", {"format": "password"}) == []


def test_defaults_that_hold_each_other_without_end_are_refused() -> None:
    node = {"$ref": "#/$defs/node", "default": {}}
    schema = {**object_of(root=node), "$defs": {"node": object_of(left=node, right=node)}}
    with pytest.raises(EndlessDefaults):
        filled({}, schema)
    assert "without end" in faults({}, schema)[0][1]
    assert {warning.code for warning in warnings(schema)} == {"default_invalid"}


def test_a_reference_to_itself_ends() -> None:
    assert filled({}, {"$ref": "#", "properties": {"a": {"default": 1}}}) == {"a": 1}


def warnings(schema: dict[str, Any]) -> list[Any]:
    step = {"step_id": "a", "agent_id": "x", "function_name": "echo"}
    return check(read_object({"workflow_id": "w", "steps": [step], "parameters": schema})).warnings


def test_a_default_that_its_own_schema_refuses_is_told_when_the_workflow_is_saved() -> None:
    schema = object_of(a={"type": "integer", "default": "one"}, b=object_of(c={"$ref": "#/$defs/d", "default": 1}))
    [first, second] = warnings({**schema, "$defs": {"d": {"type": "string"}}})
    assert first.path == "parameters.properties.a.default"
    assert first.message == "the default does not match its own schema: 'one' is not of type 'integer'"
    assert second.path == "parameters.properties.b.properties.c.default"
    assert warnings(OPTIONS) == []


SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "integer": st.integers(-9, 9),
    "string": st.text(max_size=3),
    "boolean": st.booleans(),
    "array": st.lists(st.integers(), max_size=2),
}
NAMES = st.sampled_from("abc")


def leaves() -> st.SearchStrategy[dict[str, Any]]:
    def leaf(kind: str) -> st.SearchStrategy[dict[str, Any]]:
        return st.fixed_dictionaries({"type": st.just(kind)}, optional={"default": SCALARS[kind]})

    return st.sampled_from(sorted(SCALARS)).flatmap(leaf)


def objects(below: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    properties = st.dictionaries(NAMES, below, max_size=3)
    return st.builds(
        lambda properties, default: {"type": "object", "properties": properties} | ({"default": {}} if default else {}),
        properties,
        st.booleans(),
    )


@given(objects(st.recursive(leaves(), objects, max_leaves=8)), st.dictionaries(NAMES, st.just({}), max_size=2))
def test_what_was_filled_in_matches_where_the_defaults_do(schema: dict[str, Any], sent: dict[str, Any]) -> None:
    before = {path for path, _ in mismatches(sent, schema)}
    made = filled(sent, schema)
    assert {path for path, _ in mismatches(made, schema)} <= before
    assert filled(made, schema) == made
    assert sent.items() <= {name: sent.get(name) for name in made}.items()
