"""Definitions drawn: where boxes stand, and what is written on them."""

from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

from tests.factories import step
from workflows.definitions import Definition
from workflows.graphs import drawn, mermaid, svg
from workflows.graphs.layout import Box

EXAMPLES = sorted(Path("config/workflows").glob("*.yaml"))
HOSTILE = '</title><script>alert(1)</script> "]; x --> y %% \x00\u202e[\n'


def definition(*steps: dict[str, Any], **fields: Any) -> Definition:
    return Definition.model_validate({"workflow_id": "w", "steps": list(steps), **fields})


def contains(outer: Box, inner: Box) -> bool:
    across = outer.x < inner.x and inner.x + inner.width < outer.x + outer.width
    return across and outer.y < inner.y and inner.y + inner.height < outer.y + outer.height


def apart(one: Box, other: Box) -> bool:
    beside = one.x + one.width <= other.x or other.x + other.width <= one.x
    return beside or one.y + one.height <= other.y or other.y + other.height <= one.y


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_boxes_of_every_example_stand_apart_or_inside_a_frame(path: Path) -> None:
    drawing = drawn(Definition.model_validate(yaml.safe_load(path.read_text())))
    for one, other in combinations(drawing.boxes, 2):
        framed = (one.is_frame and contains(one, other)) or (other.is_frame and contains(other, one))
        assert framed or apart(one, other), (one.step_id, other.step_id)
    for box in drawing.boxes:
        assert 0 <= box.x <= box.x + box.width <= drawing.width
        assert 0 <= box.y <= box.y + box.height <= drawing.height


def test_branches_stand_side_by_side_under_their_names() -> None:
    drawing = drawn(definition({"step_id": "choice", "if": "true", "then": [step("a")], "else": [step("b")]}))
    frame, a, b = drawing.boxes
    assert frame.is_frame
    assert (frame.subtitle, a.y) == ("if true", b.y)
    assert a.x < b.x
    assert [label.text for label in drawing.labels] == ["then", "else"]


def test_what_a_definition_says_stays_text() -> None:
    hostile = definition(step("a", step_name=HOSTILE), step("b"), workflow_name=HOSTILE)
    picture = ElementTree.fromstring(svg(drawn(hostile)))
    assert not [node for node in picture.iter() if node.tag.endswith("script")]
    assert "<script>alert(1)</script>" in "".join(picture.itertext())
    first, node, _, arrow = mermaid(hostile).splitlines()
    assert (first, arrow.strip()) == ("flowchart TD", "s1 --> s2")
    assert node.count('"') == 2
    assert "<script" not in node


def test_statuses_are_seen() -> None:
    drawing = drawn(definition(step("a"), step("b")), {"a": "failed"})
    assert [box.status for box in drawing.boxes] == ["failed", ""]
    assert 'class="is-failed"' in svg(drawing)


def test_a_loop_is_a_subgraph() -> None:
    lines = mermaid(definition({"step_id": "loop", "for_each": "input.items", "steps": [step("a")]}, step("b")))
    assert lines.splitlines() == [
        "flowchart TD",
        '  subgraph s1["loop<br/>for each item of input.items"]',
        "    direction TB",
        '    s2["a<br/>tester · echo"]',
        "  end",
        '  s3["b<br/>tester · echo"]',
        "  s1 --> s3",
    ]
