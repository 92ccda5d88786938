"""The generated parts of the documentation."""

import pytest

from kolosal.docs.markers import MarkerError, renewed
from kolosal.docs.tables import default_of, table, type_of

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
