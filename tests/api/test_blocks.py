"""Blocks over the API: stored, executed, streamed, answered; what is wrong with them is told with its place."""

import time
from typing import Any
from uuid import UUID

import pytest
import requests

from tests.api.client import Api
from tests.api.live import Server, told
from tests.api.shape import BASE, data_of, refused
from tests.factories import step
from workflows import follow

WORKFLOW = f"{BASE}/sample"


def stored(api: Api, *steps: dict[str, Any], **fields: Any) -> None:
    data_of(api.post(BASE, {"workflow_id": "sample", "steps": list(steps), **fields}), 201)


def executed(api: Api, **input: Any) -> Any:
    return data_of(api.post(f"{WORKFLOW}/execute", {"input_context": input}))


def says(step_id: str, message: str = "x", **fields: Any) -> dict[str, Any]:
    return step(step_id, parameters={"message": message}, **fields)


YAML = """\
workflow_id: sample
steps:
  - step_id: each
    for_each: input.words
    as: word
    max_concurrency: 2
    steps:
      - step_id: long
        if: length(word) > 3
        then: [{step_id: say, agent_id: tester, function_name: echo, parameters: {message: "${word}"}}]
  - step_id: kind
    switch: size(steps.each.result)
    cases:
      3: [{step_id: three, agent_id: tester, function_name: echo, parameters: {message: three}}]
"""


def test_blocks_written_in_yaml_come_back_and_are_told_by_their_paths(api: Api) -> None:
    data_of(api.post(BASE, YAML, content_type="application/yaml"), 201)
    assert "max_concurrency: 2" in api.get(WORKFLOW, headers={"Accept": "application/yaml"}).content.decode()
    data = executed(api, words=["a", "word", "other"])
    assert set(data["executed_steps"]) == {"each[1].long.say", "each[2].long.say", "kind.three"}
    assert [item.get("echo") for item in data["step_results"]["each"]["result_data"]] == [None, "word", "other"]
    assert data["step_results"]["each[1].long"]["result_data"] == {"branch": "then"}
    assert data["step_results"]["kind"]["result_data"] == {"branch": "3"}
    assert data["total_steps"] == 2
    assert data["successful_steps"] == 3


def test_a_failure_inside_blocks_is_told_at_each_level(api: Api) -> None:
    broken = step("broken", "raise_text", {"text": "no way"}, max_retries=0)
    stored(api, {"step_id": "loop", "for_each": "[1]", "steps": [broken]}, says("never"))
    data = executed(api)
    assert (data["status"], data["executed_steps"]) == ("failed", ["loop[0].broken"])
    assert set(data["step_errors"]) == {"loop", "loop[0].broken"}
    assert "step loop[0].broken failed" in data["error_message"]


def test_a_run_in_a_wait_keeps_its_version_while_the_workflow_is_edited(api: Api) -> None:
    stored(api, {"step_id": "ask", "approval": {"prompt": "?"}}, says("end", "old"))
    run = data_of(api.post(f"{WORKFLOW}/execute"), 202)["execution_id"]
    data_of(api.patch(WORKFLOW, {"steps": [says("new", "new")]}, content_type="application/json"))
    data_of(api.post(f"/api/v1/runs/{run}/signal", {"path": "ask", "answer": "approve"}))
    assert follow.wait_until_settled(UUID(run)) == "completed"
    result = data_of(api.get(f"{WORKFLOW}/result?execution_id={run}"))
    assert result["executed_steps"] == ["ask", "end"]
    assert executed(api)["executed_steps"] == ["new"]


def test_a_stream_tells_a_question_and_goes_on_after_the_answer(api: Api, server: Server) -> None:
    stored(api, {"step_id": "both", "parallel": {"a": [{"step_id": "ask", "approval": {"prompt": "?"}}]}})
    kinds = []
    headers = {"Accept": "text/event-stream"}
    with requests.post(server.url(f"{WORKFLOW}/execute"), headers=headers, stream=True, timeout=30) as response:
        run = response.headers["Content-Location"].removesuffix("/stream")
        for item in told(response):
            kinds.append((item.type, item.body.get("path")))
            if item.type == "step_waiting":
                answer = requests.post(
                    server.url(f"{run}/signal"), json={"path": item.body["path"], "answer": "approve"}, timeout=30
                )
                assert answer.status_code == 200
    assert kinds == [
        ("step_start", "both"),
        ("step_waiting", "both.ask"),
        ("step_complete", "both.ask"),
        ("step_complete", "both"),
        ("workflow_complete", None),
    ]


def test_a_cycle_of_workflows_is_refused_with_the_way_back(api: Api) -> None:
    stored(api, says("a"))
    gate = {"step_id": "gate", "if": "true", "then": [{"step_id": "back", "workflow": "sample"}]}
    data_of(api.post(BASE, {"workflow_id": "other", "steps": [gate]}), 201)
    cyclic = {"workflow_id": "sample", "steps": [{"step_id": "c", "workflow": "other"}]}
    refusal = refused(api.put(WORKFLOW, cyclic, content_type="application/json"), 400, "DefinitionError")
    assert [(problem["path"], problem["code"]) for problem in refusal["errors"]] == [
        ("steps[0].workflow", "child_cycle")
    ]
    assert "sample → other → sample" in refusal["error"]


@pytest.mark.parametrize(
    ("wrong", "place"),
    [
        ("    while: input.x\n    max_iterations: null\n    steps: [{step_id: a, wait: {seconds: 1}}]", (5, 21)),
        ("    foreach: input.x\n    steps: [{step_id: a, wait: {seconds: 1}}]", (4, 5)),
        ("    switch: input.x\n    cases: {default: [{step_id: a, wait: {seconds: 1}}]}", (5, 13)),
        ("    for_each: input.x\n    steps: [{step_id: a, wait: {seconds: '${itm}'}}]", (5, 42)),
        ("    if: input.x\n    then: [{step_id: s, wait: {seconds: 1}}]", (5, 22)),
    ],
)
def test_a_bad_block_is_refused_once_with_its_place(api: Api, wrong: str, place: tuple[int, int]) -> None:
    text = f"workflow_id: bad\nsteps:\n  - step_id: s\n{wrong}\n"
    refusal = refused(api.post(BASE, text, content_type="application/yaml"), 400, "DefinitionError")
    assert [(problem["line"], problem["column"]) for problem in refusal["errors"]] == [place]
    refused(api.get(f"{BASE}/bad"), 404)


def test_a_generator_that_makes_too_much_is_refused_soon(api: Api) -> None:
    made = [says(f"s{number}") for number in range(10_000)]
    generator = step("make", "give", {"value": {"steps": "${input.made}"}}, generate=True, max_retries=0)
    stored(api, generator)
    began = time.monotonic()
    data = executed(api, made=made)
    assert time.monotonic() - began < 20
    assert (data["status"], data["executed_steps"]) == ("failed", ["make"])
    assert "10,000 steps" in data["error_message"]
