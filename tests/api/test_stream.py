"""Streams, read from a real server."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.api.client import Api
from tests.api.live import Server, Told, text_of, told
from tests.api.shape import BASE, data_of, refused
from tests.factories import make_workflow, run_to_end, step
from workflows.models import Run

WORDS = ["one ", "two ", "three ", "four ", "five "]
STREAM = {"Accept": "text/event-stream"}


def execute(server: Server, workflow_id: str = "sample") -> requests.Response:
    return requests.post(server.url(f"{BASE}/{workflow_id}/execute"), headers=STREAM, stream=True, timeout=30)


def follow(server: Server, run: object, after: str = "") -> list[Told]:
    headers = {**STREAM, **({"Last-Event-ID": after} if after else {})}
    address = server.url(f"/api/v1/runs/{run}/stream")
    with requests.get(address, headers=headers, stream=True, timeout=30) as response:
        assert response.status_code == 200, response.text
        return list(told(response))


def speaking(pause: float = 0.1, **fields: Any) -> dict[str, Any]:
    return step("talk", "speak", {"words": WORDS, "pause": pause}, **fields)


def dictate(file: Path, *lines: str) -> None:
    """Write for a step that says what is written as it appears; a lone full stop ends it."""
    with file.open("a") as page:
        page.write("".join(f"{line}\n" for line in lines))


def test_execute_streams_steps_and_their_text(server: Server) -> None:
    make_workflow(step("a"), speaking())
    with execute(server) as response:
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert response.headers["X-Accel-Buffering"] == "no"
        assert response.headers["Cache-Control"] == "no-store"
        items = list(told(response))
    assert [item.type for item in items if item.type != "llm_token"] == [
        "step_start", "step_complete", "step_start", "step_complete", "workflow_complete",
    ]  # fmt: skip
    assert text_of(items, "talk") == "".join(WORDS)
    assert items[0].body | {"step_id": "a", "step_name": "a", "agent_name": "tester"} == items[0].body
    assert items[-1].body["result"]["success"]


def test_each_word_reaches_a_follower_before_the_next_is_written(server: Server, tmp_path: Path) -> None:
    page, to_come = tmp_path / "page", iter([*WORDS, "."])
    dictate(page, next(to_come))
    make_workflow(step("talk", "dictated", {"file": str(page)}, timeout_seconds=20))
    heard = []
    with execute(server) as response:
        for item in told(response):
            if item.type == "llm_token":
                heard.append(item.body["token"])
                dictate(page, next(to_come))
    assert heard == WORDS
    assert item.body["result"]["success"]


def talking_at_once(number: int) -> dict[str, Any]:
    """A block in which so many steps speak at once, each its own words."""
    said = {f"s{n}": [f"{n}:{word}" for word in WORDS] for n in range(number)}
    branches = {name: [step(name, "speak", {"words": words, "pause": 0.1})] for name, words in said.items()}
    return {"step_id": "all", "parallel": branches}


def spoken(items: list[Told]) -> dict[str, str]:
    """Path → the text that was told of it."""
    found: dict[str, str] = {}
    for item in items:
        if item.type == "llm_token":
            found[item.body["path"]] = found.get(item.body["path"], "") + item.body["token"]
    return found


@pytest.mark.parametrize("number", [2, 10])
def test_text_of_attempts_at_once_is_told_whole_and_can_be_taken_up_anywhere(server: Server, number: int) -> None:
    make_workflow(talking_at_once(number))
    whole = {f"all.s{n}": "".join(f"{n}:{word}" for word in WORDS) for n in range(number)}
    with execute(server) as response, ThreadPoolExecutor(3) as followers:
        run = response.headers["Content-Location"].split("/")[-2]
        seen: list[Told] = []
        cuts = (number, number + 3, 2 * number + 1)  # amid the text: a follower from here, while it is written
        taken_up = []
        for item in told(response):
            seen.append(item)
            if len(seen) in cuts:
                taken_up.append((len(seen), followers.submit(follow, server, run, item.id)))
    assert spoken(seen) == whole
    assert {item.body["step_id"] for item in seen if item.type == "llm_token"} == {f"s{n}" for n in range(number)}
    for cut, rest in taken_up:
        assert [(item.id, item.body) for item in rest.result()] == [(item.id, item.body) for item in seen[cut:]]


def test_a_stream_tells_that_a_person_is_asked_and_goes_on_with_the_answer(server: Server) -> None:
    make_workflow({"step_id": "gate", "approval": {"prompt": "Publish?", "timeout_seconds": 60}}, step("b"))
    with execute(server) as response:
        items = told(response)
        asked = next(items)
        assert (asked.type, asked.body["path"], asked.body["kind"]) == ("step_waiting", "gate", "approval")
        assert (asked.body["prompt"], asked.body["options"]) == ("Publish?", ["approve", "reject"])
        assert asked.body["until"]
        address = server.url(f"/api/v1/runs/{response.headers['Content-Location'].split('/')[-2]}/signal")
        data_of(requests.post(address, json={"path": "gate", "answer": "approve"}, timeout=10))
        rest = list(items)
    assert [(item.type, item.body.get("path")) for item in rest] == [
        ("step_complete", "gate"),
        ("step_start", "b"),
        ("step_complete", "b"),
        ("workflow_complete", None),
    ]


def test_the_stream_of_execute_can_be_taken_up_elsewhere(server: Server) -> None:
    make_workflow(speaking())
    with execute(server) as response:
        address = response.headers["Content-Location"]
        items = told(response)
        seen = [next(items), next(items), next(items)]
    assert seen[-1].type == "llm_token"
    rest = follow(server, address.split("/")[-2], seen[-1].id)
    assert text_of([*seen, *rest], "talk") == "".join(WORDS)
    assert rest[-1].type == "workflow_complete"


def test_a_client_that_leaves_does_not_stop_the_run(server: Server) -> None:
    make_workflow(speaking())
    with execute(server) as response:
        run = response.headers["Content-Location"].split("/")[-2]
        next(told(response))
    assert follow(server, run)[-1].body["result"]["status"] == "completed"


def test_a_run_that_has_ended_tells_its_history_and_closes(server: Server) -> None:
    run = run_to_end(step("a"), step("b", precondition="false"), step("c"))
    items = follow(server, run.pk)
    assert [(item.type, item.body.get("step_id")) for item in items[:-1]] == [
        ("step_start", "a"),
        ("step_complete", "a"),
        ("step_skipped", "b"),
        ("step_start", "c"),
        ("step_complete", "c"),
    ]
    assert [int(item.id) for item in items] == list(range(3, 9))
    for index, item in enumerate(items[:-1]):
        assert [i.id for i in follow(server, run.pk, item.id)] == [i.id for i in items[index + 1 :]]


def test_a_client_that_knows_everything_is_told_not_to_come_back(api: Api) -> None:
    run = run_to_end(step("a"))
    response = api.get(f"/api/v1/runs/{run.pk}/stream", headers={**STREAM, "Last-Event-ID": str(run.event_seq)})
    assert response.status_code == 204


def test_a_retry_is_told_and_voids_the_text_before(server: Server, tmp_path: Path) -> None:
    quick = {"initial_delay_seconds": 0.01, "jitter": "none"}
    make_workflow(step("a", "flaky", {"file": str(tmp_path / "x"), "failures": 1}, retry=quick))
    with execute(server) as response:
        items = list(told(response))
    assert [item.type for item in items] == [
        "step_start", "step_retry", "step_start", "step_complete", "workflow_complete",
    ]  # fmt: skip
    assert items[1].body["error"]


def test_a_cancelled_run_ends_its_stream_too(server: Server) -> None:
    make_workflow(step("a", "nap", {"seconds": 30}))
    with execute(server) as response:
        items = told(response)
        assert next(items).type == "step_start"
        data_of(requests.post(server.url(f"{BASE}/sample/cancel"), timeout=10))
        rest = list(items)
    assert [item.type for item in rest] == ["step_complete", "workflow_complete"]
    assert rest[-1].body["result"]["status"] == "cancelled"


def test_many_follow_one_run(server: Server) -> None:
    make_workflow(speaking())
    with execute(server) as first, execute(server) as second:
        run = first.headers["Content-Location"].split("/")[-2]
        with requests.get(server.url(f"/api/v1/runs/{run}/stream"), stream=True, timeout=30, headers=STREAM) as third:
            texts = [text_of(list(told(response)), "talk") for response in (first, second, third)]
    assert texts == ["".join(WORDS)] * 3


def test_an_id_of_no_stream_is_refused(api: Api) -> None:
    run = run_to_end(step("a"))
    for wrong in ("x", "-1", "1.2.3", "1e5", "9" * 30):
        response = api.get(f"/api/v1/runs/{run.pk}/stream", headers={"Last-Event-ID": wrong})
        refused(response, 400, "PositionInvalid")


def test_a_quiet_stream_is_kept_open_by_comments(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workflows.api.stream.KEEPALIVE_SECONDS", 0.05)
    make_workflow(step("a", "nap", {"seconds": 0.4}))
    with execute(server) as response:
        lines = list(response.iter_lines(chunk_size=1))
    assert lines.count(b": still here") >= 3
    assert any(b"workflow_complete" in line for line in lines)


def test_a_server_that_stops_ends_its_streams_and_the_run_goes_on_later(server: Server) -> None:
    from workflows import follow as following

    make_workflow(step("a", "nap", {"seconds": 1}))
    with execute(server) as response:
        items = told(response)
        next(items)
        following.stop()
        assert [item.type for item in items] == ["error"]
    run = Run.objects.get()
    assert follow(server, run.pk)[-1].body["result"]["success"]


def test_a_body_in_chunks_is_read(server: Server) -> None:
    make_workflow(step("a", parameters={"message": "${context.who}"}), global_context={"who": "nobody"})
    pieces = iter([b'{"input_context": ', b'{"who": "me"}}'])
    address = server.url(f"{BASE}/sample/execute")
    response = requests.post(address, data=pieces, headers={"Content-Type": "application/json"}, timeout=30)
    assert data_of(response)["step_results"]["a"]["result_data"]["echo"] == "me"


@pytest.mark.parametrize("in_chunks", [False, True])
def test_a_body_of_100_megabytes_is_413_and_the_server_lives(server: Server, in_chunks: bool) -> None:
    megabyte = b" " * (1024 * 1024)
    body: Any = itertools.repeat(megabyte, 100) if in_chunks else megabyte * 100
    headers = {"Content-Type": "application/json"}
    refused(requests.post(server.url(BASE), data=body, headers=headers, timeout=60), 413, "BodyTooLarge")
    assert requests.get(server.url("/health"), timeout=5).status_code == 200
