from __future__ import annotations

import json

import pytest

from agents.functions.base import LOG_LINES, AgentSpec, LLMConfig
from tests.agents.factories import call_function, make_agent, make_call


def test_an_agent_survives_json() -> None:
    agent = make_agent(functions=("a",), capabilities=("b",), llm=LLMConfig(model_name="m"), settings={"k": [1]})
    assert AgentSpec.from_json(json.loads(json.dumps(agent.to_json()))) == agent


def test_the_context_is_read_only() -> None:
    call = make_call(context={"a": 1})
    with pytest.raises(TypeError):
        call.context["a"] = 2  # type: ignore[index]


def test_log_lines_are_bounded_and_say_so_once() -> None:
    call = make_call()
    for number in range(LOG_LINES + 50):
        call.logger.info("line %d", number)
    assert len(call.log_lines) == LOG_LINES + 1
    assert "dropped" in call.log_lines[-1]["message"]


def test_a_long_log_line_is_cut_in_bytes() -> None:
    call = make_call()
    call.logger.error("ü" * 10_000)
    assert len(call.log_lines[0]["message"].encode()) <= 4_096


def test_a_wrong_format_in_a_log_line_does_no_harm() -> None:
    call = make_call()
    call.logger.info("%d", "x")
    assert call.log_lines[0]["message"] == "%d ('x',)"


def test_echo_gives_back_and_shouts() -> None:
    assert call_function("echo", {"message": "hi", "uppercase": "true"}) == {
        "echo": "HI", "original": "hi", "processed": True,
    }  # fmt: skip


def test_add_keeps_whole_numbers_whole() -> None:
    assert call_function("add", {"a": 1, "b": "2"})["result"] == 3
    assert call_function("add", {"a": 1, "b": 2.5})["result"] == 3.5


def test_delay_tells_what_it_waited() -> None:
    assert call_function("delay", {"ms": 1}) == {"waited_ms": 1, "status": "completed"}


def test_list_tools_tells_what_is_there_and_what_is_not() -> None:
    call = make_call(agent=make_agent(functions=("inference", "retrieval")))
    tools = {t["name"]: t for t in call_function("list_tools", {"schemas": True}, call)["tools"]}
    assert tools["inference"]["available"]
    assert "prompt" in tools["inference"]["parameters"]["properties"]
    assert not tools["retrieval"]["available"]
    assert {"echo", "delay", "add"} <= set(tools)
