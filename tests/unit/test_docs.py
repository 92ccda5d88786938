"""The generated parts of the documentation."""

import pytest

from kolosal.docs.markers import MarkerError, renewed
from kolosal.docs.tables import default_of, table, type_of
from tests import examples
from workflows import expressions
from workflows.definitions import check, check_generated, read_yaml, walk
from workflows.definitions.inputs import accepted_input
from workflows.definitions.models import BLOCKS, FunctionStep

EXAMPLES = examples.shown()
MAKERS = {"colours": lambda: "red\ngreen\n", "shapes": lambda: "square"}


def part(name: str, body: str = "old") -> str:
    return f"<!-- generated: {name} -->\n{body}\n<!-- end generated -->\n"


def test_only_what_stands_between_markers_is_made_anew() -> None:
    text = "# Before\n\n" + part("colours") + "\nbetween\n\n" + part("shapes") + "after\n"
    assert renewed(text, MAKERS) == (
        "# Before\n\n"
        "<!-- generated: colours -->\n\nred\ngreen\n\n<!-- end generated -->\n"
        "\nbetween\n\n"
        "<!-- generated: shapes -->\n\nsquare\n\n<!-- end generated -->\n"
        "after\n"
    )


def test_renewing_twice_changes_nothing_more() -> None:
    once = renewed("a\n" + part("colours"), MAKERS)
    assert renewed(once, MAKERS) == once


def test_a_text_without_markers_stays_as_it_is() -> None:
    text = "one\n\n  two <!-- a remark -->\n"
    assert renewed(text, MAKERS) == text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x\n" + part("colors"), "line 2: no generated part is called 'colors'; did you mean 'colours'?"),
        (part("zzz"), "line 1: no generated part is called 'zzz'; there are colours, shapes"),
        ("x\n<!-- generated: colours -->\ny\n", "line 2: the part 'colours' has no <!-- end generated -->"),
        ("x\n<!-- end generated -->\n", "line 2: <!-- end generated --> ends nothing"),
        (
            "<!-- generated: colours -->\n" + part("shapes"),
            "line 2: the part begun in line 1 has no <!-- end generated -->",
        ),
    ],
)
def test_a_wrong_marker_is_told_with_its_line(text: str, told: str) -> None:
    with pytest.raises(MarkerError) as raised:
        renewed(text, MAKERS)
    assert str(raised.value) == told


def test_a_table_keeps_each_row_in_its_line() -> None:
    assert table(["a", "b"], [["x | y", "two\nlines"]]).splitlines() == [
        "| a | b |",
        "| --- | --- |",
        "| x \\| y | two lines |",
    ]


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string"}, "text"),
        ({"type": "string", "pattern": "^[a-z]+$"}, "text: `[a-z]+`"),
        ({"type": "integer", "minimum": 0, "maximum": 1000}, "whole number ≥ 0, ≤ 1,000"),
        ({"type": "number", "exclusiveMinimum": 0}, "number > 0"),
        ({"anyOf": [{"type": "boolean"}, {"type": "null"}]}, "true or false"),
        (
            {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/CallableName"}]},
            "text or [CallableName](#callablename)",
        ),
        ({"type": "array", "items": {"type": "object"}}, "list of object"),
        ({"enum": ["full", "none"], "type": "string"}, "`full`, `none`"),
        ({}, "any value"),
    ],
)
def test_a_json_schema_is_said_in_words(schema: dict[str, object], words: str) -> None:
    assert type_of(schema) == words


def test_a_default_is_written_as_json_and_none_is_left_out() -> None:
    assert default_of({"default": True}, required=False) == "`true`"
    assert default_of({"default": None}, required=False) == ""
    assert default_of({}, required=True) == "required"


@pytest.mark.parametrize("workflow_id", EXAMPLES)
def test_an_example_of_the_documentation_is_a_definition_without_a_fault(workflow_id: str) -> None:
    checked = check(read_yaml(EXAMPLES[workflow_id]))
    assert (checked.problems, checked.warnings) == ([], [])


def test_every_block_has_an_example_that_runs_without_an_input() -> None:
    made = [check(read_yaml(text)).definition_or_raise() for text in EXAMPLES.values()]
    blocks = [definition for definition in made if definition.workflow_id.startswith("example_")]
    kinds = {step.kind for definition in blocks for step in walk(definition.steps)}
    assert kinds == {*BLOCKS, "function"}
    assert all(accepted_input(definition, {}) is not None for definition in blocks)


def test_the_steps_that_the_example_generates_are_good() -> None:
    definition = check(read_yaml(EXAMPLES["example_generate"])).definition_or_raise()
    outline = definition.steps[0]
    assert isinstance(outline, FunctionStep)
    assert isinstance(outline.result_processor, str)
    scope = {"input": accepted_input(definition, {})}
    made = expressions.compile(outline.result_processor).evaluate(scope)["steps"]
    steps, problems = check_generated(made, definition=definition, path="outline", visible=["outline"])
    assert problems == []
    assert [step.step_id for step in steps] == ["about_wind", "about_sun"]


def test_what_the_examples_say_of_results_is_what_expressions_read() -> None:
    book = check(read_yaml(EXAMPLES["example_for_each"])).definition_or_raise().steps[1]
    assert isinstance(book, FunctionStep)
    scope = {"steps": {"chapters": {"result": [{"echo": "a"}, {"echo": "b"}]}}}
    assert expressions.render(book.parameters["message"], scope) == "a; b"
