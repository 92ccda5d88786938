from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, Field

from agents.errors import FunctionFailed, FunctionNotFound, InvalidParameters, RateLimited
from agents.functions import registry
from agents.functions.base import EXPLICIT, Call, Function, Parameters
from tests.agents.factories import make_call


class Shape(Parameters):
    text: str
    count: int = 1
    loud: bool = False
    tags: list[str] = []
    header: str = Field("", json_schema_extra=EXPLICIT)


def made(run: Any, model: type[BaseModel] = Shape, is_async: bool = False) -> Function:
    return Function("shape", model, run, is_async)


def given_back(call: Call, parameters: Shape) -> dict[str, Any]:
    return parameters.model_dump()


@pytest.fixture
def clean_registry() -> Iterator[None]:
    before = dict(registry._functions), registry._all_loaded
    yield
    registry._functions.clear()
    registry._functions.update(before[0])
    registry._all_loaded = before[1]


def test_built_ins_are_found_by_name() -> None:
    assert registry.get("echo").is_async
    assert registry.find("inference") is not None
    assert not registry.get("web_search").is_async


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(FunctionNotFound, match="did you mean 'echo'"):
        registry.get("ecko")


def test_a_planned_name_is_said_to_be_unavailable() -> None:
    with pytest.raises(FunctionNotFound, match="known but not available in this version"):
        registry.get("retrieval")


def test_a_name_can_be_taken_once(clean_registry: None) -> None:
    registry.get("echo")
    with pytest.raises(ValueError, match="taken by agents"):
        registry.function("echo")(given_back)


def test_the_parameter_model_is_read_from_the_annotation(clean_registry: None) -> None:
    @registry.function("shaped", "formed", description="x")
    async def shaped(call: Call, parameters: Shape) -> dict[str, Any]:
        return {}

    assert registry.get("formed").parameters is Shape
    assert registry.get("formed").is_async


def test_a_function_without_a_model_is_refused(clean_registry: None) -> None:
    def bare(call, parameters):
        return {}

    with pytest.raises(TypeError, match="pydantic model"):
        registry.function("bare")(bare)


def test_a_broken_entry_point_costs_only_its_own_functions(
    clean_registry: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        name = "broken"

        def load(self) -> None:
            raise ImportError("no such module")

    class Good:
        name = "good"

        def load(self) -> None:
            registry.function("from_a_package")(given_back)

    monkeypatch.setattr(registry, "entry_points", lambda group: [Broken(), Good()])
    registry._all_loaded = False
    with caplog.at_level(logging.ERROR):
        assert registry.find("from_a_package") is not None
    assert "broken" in caplog.text


def test_absent_parameters_come_from_the_context_by_name() -> None:
    checked = registry.validate(made(given_back), {"count": 2}, {"text": "from before", "count": 9})
    assert (checked.text, checked.count) == ("from before", 2)  # type: ignore[attr-defined]


def test_a_required_context_value_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(InvalidParameters, match="from the context") as raised:
        registry.validate(made(given_back), {}, {"text": {"a": 1}})
    assert raised.value.problems[0]["path"] == "text"


def test_an_optional_context_value_that_does_not_fit_is_left_out() -> None:
    checked = registry.validate(made(given_back), {"text": "t"}, {"count": "many"})
    assert checked.count == 1  # type: ignore[attr-defined]


def test_explicit_parameters_never_come_from_the_context() -> None:
    checked = registry.validate(made(given_back), {"text": "t"}, {"header": "secret"})
    assert checked.header == ""  # type: ignore[attr-defined]


def test_text_is_read_leniently_and_unknown_parameters_are_told_in_the_log() -> None:
    call = make_call()
    parameters = {"text": 5, "count": "3", "loud": "true", "model": "m", "max_tokens": 7}
    result = registry.run(made(given_back), call, parameters)
    assert (result["text"], result["count"], result["loud"]) == ("5", 3, True)
    assert "max_tokens, model" in call.log_lines[0]["message"]


def test_all_problems_are_told_at_once_with_places() -> None:
    with pytest.raises(InvalidParameters) as raised:
        registry.validate(made(given_back), {"count": "x", "tags": ["a", {}]})
    assert [p["path"] for p in raised.value.problems] == ["text", "count", "tags[1]"]
    assert "is required" in raised.value.problems[0]["message"]


def test_a_misspelt_name_of_a_required_parameter_is_pointed_at() -> None:
    with pytest.raises(InvalidParameters, match=r"text: is required.*; is 'txt' meant for it"):
        registry.validate(made(given_back), {"txt": "hello"})


def test_a_mistake_in_a_union_is_told_once() -> None:
    with pytest.raises(InvalidParameters) as raised:
        registry.validate(registry.get("add"), {"a": "x", "b": 2})
    assert str(raised.value) == "add: a: must be a number, not 'x'"
    assert raised.value.problems == [{"path": "a", "message": "must be a number, not 'x'"}]


def test_definitions_are_checked_as_far_as_they_are_literal() -> None:
    problems = registry.literal_problems(
        made(given_back), {"count": "${steps.a.result.n}", "loud": "maybe", "tgs": 1, "tags": ["${x}", 5.5]}
    )
    assert [(p["path"], p["severity"], p["code"]) for p in problems] == [
        ("tgs", "warning", "unknown_parameter"),
        ("loud", "error", "invalid_parameter"),
    ]
    assert "did you mean 'tags'" in problems[0]["message"]


def test_what_a_function_raises_is_wrapped_with_its_trace() -> None:
    def raises(call: Call, parameters: Shape) -> dict[str, Any]:
        return {"x": 1 / 0}

    with pytest.raises(FunctionFailed) as raised:
        registry.run(made(raises), make_call(), {"text": "t"})
    assert raised.value.cause_type == "ZeroDivisionError"
    assert "1 / 0" in raised.value.trace


def test_an_exit_fails_the_step_and_not_the_process() -> None:
    def leaves(call: Call, parameters: Shape) -> dict[str, Any]:
        raise SystemExit(3)

    with pytest.raises(FunctionFailed):
        registry.run(made(leaves), make_call(), {"text": "t"})


def test_agent_errors_pass_unchanged() -> None:
    async def limited(call: Call, parameters: Shape) -> dict[str, Any]:
        raise RateLimited("later", retry_after=3)

    with pytest.raises(RateLimited) as raised:
        asyncio.run(registry.arun(made(limited, is_async=True), make_call(), {"text": "t"}))
    assert raised.value.retry_after == 3


@pytest.mark.parametrize("result", [None, [1], {"a": float("nan")}, {"a": object()}])
def test_a_result_that_is_no_json_object_fails(result: Any) -> None:
    with pytest.raises(FunctionFailed, match="what is not JSON"):
        registry.run(made(lambda call, parameters: result), make_call(), {"text": "t"})


def test_cancelling_passes_through() -> None:
    async def hangs(call: Call, parameters: Shape) -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    async def main() -> None:
        task = asyncio.create_task(registry.arun(made(hangs, is_async=True), make_call(), {"text": "t"}))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_a_result_hangs_on_parameters_given_and_borrowed_and_on_what_is_read_of_the_context() -> None:
    context = {"text": "borrowed", "header": "explicit", "tone": "dry", "unused": 1}
    reading = Function("shape", Shape, given_back, False, reads=lambda parameters, context: context["tone"])
    assert registry.basis(reading, {"count": 2}, context) == {
        "parameters": {"text": "borrowed", "count": 2},
        "read": "dry",
    }
    assert registry.basis(made(given_back), {"text": "x"}, {})["read"] is None
    with pytest.raises(InvalidParameters):
        registry.basis(reading, {}, {"tone": "dry"})
