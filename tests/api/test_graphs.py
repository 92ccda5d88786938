"""Drawings over HTTP."""

from xml.etree import ElementTree

from tests.api.client import Api
from tests.api.shape import BASE, refused
from tests.factories import make_workflow, run_to_end, step

GRAPH = f"{BASE}/sample/graph"


def test_a_workflow_is_drawn_as_svg_unless_mermaid_is_asked_for(api: Api) -> None:
    make_workflow(step("a"), step("b"))
    for accept in ("*/*", "image/svg+xml", "image/*", "application/json"):
        drawn = api.get(GRAPH, headers={"Accept": accept})
        assert (drawn.status_code, drawn["Content-Type"]) == (200, "image/svg+xml; charset=utf-8")
        assert ElementTree.fromstring(drawn.content).tag.endswith("svg")
        assert "sandbox" in drawn["Content-Security-Policy"]
    text = api.get(GRAPH, headers={"Accept": "text/vnd.mermaid"})
    assert text["Content-Type"] == "text/vnd.mermaid; charset=utf-8"
    assert text.content.decode().startswith("flowchart TD\n")


def test_an_unknown_one_is_told_of_in_json(api: Api) -> None:
    refused(api.get(GRAPH), 404)
    refused(api.get("/api/v1/runs/01890000-0000-7000-8000-000000000000/graph"), 404)


def test_a_run_is_drawn_in_the_colours_of_its_steps(api: Api) -> None:
    loop = {"step_id": "loop", "for_each": "[1, 2]", "steps": [step("b", precondition="item > 1")]}
    run = run_to_end(step("a"), loop, step("c", precondition="false"))
    picture = ElementTree.fromstring(api.get(f"/api/v1/runs/{run.pk}/graph").content)
    groups = [node.attrib["class"] for node in picture.iter() if node.tag.endswith("}g")]
    assert groups == ["is-completed", "is-completed is-frame", "is-completed", "is-skipped"]
