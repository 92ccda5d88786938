"""Starts under an `Idempotency-Key`: one key, one run."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
import requests
import time_machine
from django.contrib.auth.models import User
from django.utils import timezone

from tests.api.client import Api
from tests.api.live import Server, told
from tests.api.shape import BASE, data_of, refused
from tests.api.test_races import at_once
from tests.factories import make_workflow, step
from workflows import runs, tasks
from workflows.models import Run, StartKey

EXECUTE = f"{BASE}/sample/execute"
ASYNC = f"{BASE}/sample/execute-async"
KEY = {"Idempotency-Key": "order 7"}
REPLAYED = "Idempotent-Replayed"
TOPIC = {"type": "object", "required": ["topic"]}


def ask(api: Api, address: str = ASYNC, body: object = None, key: str = KEY["Idempotency-Key"]) -> Any:
    return api.post(address, body, headers={"Idempotency-Key": key})


def run_of(response: Any) -> str:
    """The run that an answer of either call names."""
    return str(data_of(response, response.status_code)["execution_id"])


def test_the_same_key_gives_the_same_run_and_says_so(api: Api) -> None:
    make_workflow(step("a"))
    first, second = ask(api), ask(api)
    assert run_of(first) == run_of(second) == str(Run.objects.get().pk)
    assert (first.get(REPLAYED), second.get(REPLAYED)) == (None, "true")
    assert data_of(second, 202)["status_url"] == data_of(first, 202)["status_url"]


def test_another_key_no_key_and_another_actor_start_another_run(api: Api) -> None:
    make_workflow(step("a"))
    answers = [ask(api), ask(api, key="order 8"), api.post(ASYNC)]
    api.force_login(User.objects.create_superuser("somebody"))
    answers.append(ask(api, key="order 7"))
    assert len({run_of(answer) for answer in answers}) == 4
    assert not any(answer.get(REPLAYED) for answer in answers)


def test_execute_repeats_its_result(api: Api) -> None:
    make_workflow(step("a"))
    first, second = ask(api, EXECUTE), ask(api, EXECUTE)
    assert data_of(first) == data_of(second)
    assert (first.get(REPLAYED), second.get(REPLAYED)) == (None, "true")
    assert Run.objects.count() == 1


def test_a_failed_run_is_repeated_as_it_is(api: Api) -> None:
    make_workflow(step("a", "die", max_retries=0))
    assert data_of(ask(api, EXECUTE)) == data_of(ask(api, EXECUTE))
    assert not data_of(ask(api, EXECUTE))["success"]


def test_execute_waits_for_what_execute_async_has_started_and_needs_no_worker(api: Api) -> None:
    make_workflow(step("a"))
    started = run_of(ask(api, ASYNC))
    result = ask(api, EXECUTE)
    assert (data_of(result)["execution_id"], data_of(result)["success"]) == (started, True)
    assert result[REPLAYED] == "true"
    again = ask(api, ASYNC)
    assert (run_of(again), again[REPLAYED]) == (started, "true")
    assert "completed" in data_of(again, 202)["message"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"input_context": {"n": 1}}, {"input_context": {"n": 2}}),
        ({}, {"input_context": {"n": 1}}),
        ({}, {"version": 1}),
        ({}, {"priority": 1}),
        ({}, {"run_at": "2999-01-01T00:00:00Z"}),
        ({"run_at": "2999-01-01T00:00:00Z"}, {"run_at": "2999-01-01T00:00:01Z"}),
    ],
)
def test_another_body_under_the_same_key_is_refused(api: Api, first: object, second: object) -> None:
    make_workflow(step("a"))
    run = run_of(ask(api, body=first))
    body = refused(ask(api, body=second), 409, "IdempotencyKeyReused")
    assert run in body["error"]
    assert "new key" in body["error"]
    assert Run.objects.count() == 1


def test_another_workflow_under_the_same_key_is_refused(api: Api) -> None:
    make_workflow(step("a"))
    make_workflow(step("a"), workflow_id="other")
    data_of(ask(api), 202)
    refused(ask(api, f"{BASE}/other/execute-async"), 409, "IdempotencyKeyReused")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (None, {}),
        ({}, {"input_context": None}),
        ({}, {"input_context": {}, "priority": 0}),
        ({"input_context": {"a": 1, "b": 2}}, {"input_context": {"b": 2, "a": 1}}),
        ({"run_at": "2999-01-01T00:00:00Z"}, {"run_at": "2999-01-01T01:00:00+01:00"}),
    ],
)
def test_a_body_that_says_the_same_in_other_words_is_the_same(api: Api, first: object, second: object) -> None:
    make_workflow(step("a"))
    assert run_of(ask(api, body=first)) == run_of(ask(api, body=second))


def test_a_start_that_was_refused_is_not_remembered(api: Api) -> None:
    make_workflow(step("a"), parameters=TOPIC)
    refused(ask(api), 400, "InputInvalid")
    refused(ask(api, body={"version": 9}), 400, "InvalidRequest")
    assert not StartKey.objects.exists()
    answer = ask(api, body={"input_context": {"topic": "owls"}})
    assert (answer.status_code, answer.get(REPLAYED)) == (202, None)


def test_a_start_is_repeated_though_its_workflow_would_refuse_it_by_now(api: Api) -> None:
    make_workflow(step("a"))
    run = run_of(ask(api))
    data_of(api.patch(f"{BASE}/sample", {"parameters": TOPIC}, content_type="application/json"))
    assert run_of(ask(api)) == run


def test_a_key_is_forgotten_after_a_day(api: Api) -> None:
    make_workflow(step("a"))
    with time_machine.travel(timezone.now(), tick=False) as clock:
        first = run_of(ask(api))
        clock.shift(timedelta(hours=23, minutes=59))
        assert run_of(ask(api)) == first
        clock.shift(timedelta(minutes=2))
        second = ask(api, body={"priority": 1})
        assert (run_of(second) != first, second.get(REPLAYED)) == (True, None)
        assert run_of(ask(api, body={"priority": 1})) == run_of(second)


def test_the_sweep_deletes_old_keys_and_keeps_their_runs(api: Api) -> None:
    make_workflow(step("a"))
    data_of(ask(api, key="old"), 202)
    StartKey.objects.update(created_at=timezone.now() - timedelta(hours=25))
    data_of(ask(api, key="new"), 202)
    tasks.sweep()
    assert [row.key for row in StartKey.objects.all()] == ["new"]
    assert Run.objects.count() == 2


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb", "clé", "a\x7f"])
@pytest.mark.parametrize("address", [EXECUTE, ASYNC])
def test_a_wrong_key_is_refused(api: Api, address: str, key: str) -> None:
    make_workflow(step("a"))
    body = refused(ask(api, address, key=key), 400, "InvalidRequest")
    assert body["errors"][0]["path"] == "Idempotency-Key"
    assert not Run.objects.exists()


def test_a_key_of_255_characters_is_taken(api: Api) -> None:
    make_workflow(step("a"))
    key = "~" * 255
    assert run_of(ask(api, key=key)) == run_of(ask(api, key=key))


def test_a_retried_run_is_waited_for_under_its_key(api: Api, tmp_path: Any) -> None:
    make_workflow(step("a", "flaky", {"file": str(tmp_path / "x"), "failures": 1}, max_retries=0))
    failed = data_of(ask(api, EXECUTE))
    assert not failed["success"]
    runs.retry(failed["execution_id"], actor="tester")
    mended = data_of(ask(api, EXECUTE))
    assert (mended["execution_id"], mended["success"]) == (failed["execution_id"], True)


@pytest.mark.parametrize("call", ["execute", "execute-async"])
def test_of_twenty_requests_at_once_one_starts_the_run(server: Server, call: str) -> None:
    make_workflow(step("a", "nap", {"seconds": 0.3}))
    address = server.url(f"{BASE}/sample/{call}")
    answers = at_once(20, lambda _: requests.post(address, headers=KEY, timeout=60))
    assert {answer.status_code for answer in answers} == {200 if call == "execute" else 202}
    assert {run_of(answer) for answer in answers} == {str(Run.objects.get().pk)}
    assert Counter(answer.headers.get(REPLAYED) for answer in answers) == {None: 1, "true": 19}


def test_of_execute_and_execute_async_at_once_one_starts_the_run(server: Server) -> None:
    make_workflow(step("a"))
    address = server.url(f"{BASE}/sample/")
    calls = ["execute", "execute-async"] * 2
    answers = at_once(4, lambda number: requests.post(address + calls[number], headers=KEY, timeout=60))
    assert [answer.status_code for answer in answers] == [200, 202] * 2
    assert {run_of(answer) for answer in answers} == {str(Run.objects.get().pk)}


def test_of_different_bodies_at_once_one_starts_a_run_and_the_others_are_refused(server: Server) -> None:
    make_workflow(step("a"))
    address = server.url(ASYNC)
    answers = at_once(8, lambda number: requests.post(address, json={"priority": number}, headers=KEY, timeout=60))
    assert Counter(answer.status_code for answer in answers) == {202: 1, 409: 7}
    assert Run.objects.count() == 1


def test_who_repeats_a_start_needs_no_room_for_another_run(server: Server) -> None:
    make_workflow(step("a"), concurrency={"limit": 1, "on_limit": "reject"})
    answers = at_once(8, lambda _: requests.post(server.url(ASYNC), headers=KEY, timeout=60))
    assert {answer.status_code for answer in answers} == {202}
    refused(requests.post(server.url(ASYNC), timeout=30), 409, "ConcurrencyLimitReached")
    other = {"Idempotency-Key": "order 8"}
    refused(requests.post(server.url(ASYNC), headers=other, timeout=30), 409, "ConcurrencyLimitReached")
    assert [row.key for row in StartKey.objects.all()] == [KEY["Idempotency-Key"]]


def test_of_bad_starts_at_once_nothing_is_left(server: Server) -> None:
    make_workflow(step("a"), parameters=TOPIC)
    answers = at_once(8, lambda _: requests.post(server.url(ASYNC), headers=KEY, timeout=60))
    assert {answer.status_code for answer in answers} == {400}
    assert not Run.objects.exists()
    assert not StartKey.objects.exists()


def test_a_stream_is_repeated_while_its_run_goes_on_and_after(server: Server) -> None:
    make_workflow(step("a", "nap", {"seconds": 0.5}))
    headers = {**KEY, "Accept": "text/event-stream"}
    streams = [requests.post(server.url(EXECUTE), headers=headers, stream=True, timeout=30) for _ in range(2)]
    items = [list(told(stream)) for stream in streams]
    with requests.post(server.url(EXECUTE), headers=headers, stream=True, timeout=30) as late:
        items.append(list(told(late)))
        assert late.headers[REPLAYED] == "true"
    assert [stream.headers.get(REPLAYED) for stream in streams] == [None, "true"]
    assert [[item.type for item in told_of_one] for told_of_one in items] == [
        ["step_start", "step_complete", "workflow_complete"]
    ] * 3
    assert Run.objects.count() == 1
