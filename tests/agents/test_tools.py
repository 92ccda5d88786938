"""`inference` with tools, against a real HTTP server that asks for them as servers do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agents.errors import InvalidParameters, MalformedAnswer, ServerError, TooManyToolCalls
from agents.functions.base import Call, LLMConfig
from agents.tools import RECORDED_BYTES
from tests.agents.factories import Offered, agent_at, call_function, make_agent, make_call
from tests.agents.scripted_server import Exchange, asked, asks, delta, scripted_server, turns, usage

ECHO = '{"message": "hi"}'
DONE = (delta("Done", finish="stop"), usage(20, 3))


def one(arguments: Any = ECHO, name: str = "echo") -> tuple[Any, ...]:
    """The answer of a model that asks for one call."""
    return asks(asked(name, arguments, index=0, id="c1")), delta(finish="tool_calls"), usage(10, 2)


def call_at(url: str, offered: Offered | None = None, **fields: Any) -> Call:
    call = make_call(**{"agent": agent_at(url), "idempotency_key": "run:step", **fields})
    call.functions = offered or Offered.named("echo", "add", "inference", "code_generation")
    return call


def ask(url: str, call: Call | None = None, **parameters: Any) -> dict[str, Any]:
    wanted = {"prompt": "Say hello", "tools": ["echo", "add"], **parameters}
    return call_function("inference", wanted, call or call_at(url))


def test_calls_come_in_pieces_are_carried_out_in_order_and_told_until_the_model_answers() -> None:
    first = (
        delta("Let me see."),
        asks(asked("echo", index=0, id="c1")),
        asks(asked("add", '{"a": 2,', index=1, id="c2"), asked(arguments='{"message":', index=0)),
        asks(asked(arguments=' "hi"}', index=0), asked(arguments=' "b": 3}', index=1)),
        delta(finish="tool_calls"),
        usage(10, 2),
    )
    pieces: list[str] = []
    with scripted_server(turns(first, [delta("It"), delta(" is 5."), *DONE[1:]])) as server:
        result = ask(server.url, call_at(server.url, on_token=pieces.append))
    assert (result["text"], pieces) == ("It is 5.", ["Let me see.", "\n\n", "It", " is 5."])
    assert [(use["name"], use["arguments"]) for use in result["tool_calls"]] == [
        ("echo", {"message": "hi"}), ("add", {"a": 2, "b": 3}),
    ]  # fmt: skip
    assert result["tool_calls"][1]["result"]["result"] == 5
    assert result["tool_calls"][1]["duration_ms"] > 0
    assert result["usage"] == {"input_tokens": 30, "output_tokens": 5, "total_tokens": 35, "cost": None}
    assert result["tokens_generated"] == 5
    told = server.seen[1].json["messages"]
    assert [message["role"] for message in told] == ["system", "user", "assistant", "tool", "tool"]
    assert told[2]["content"] == "Let me see."
    assert [c["function"]["arguments"] for c in told[2]["tool_calls"]] == [ECHO, '{"a": 2, "b": 3}']
    assert [message["tool_call_id"] for message in told[3:]] == ["c1", "c2"]
    assert json.loads(told[4]["content"])["result"] == 5


def test_tools_are_offered_with_their_description_and_schema() -> None:
    with scripted_server(turns(DONE)) as server:
        result = ask(server.url)
    echo, _ = server.seen[0].json["tools"]
    assert echo["type"] == "function"
    assert echo["function"]["name"] == "echo"
    assert echo["function"]["description"] == "Gives the message back"
    assert echo["function"]["parameters"]["required"] == ["message"]
    assert "not instructions" in server.seen[0].json["messages"][0]["content"]
    assert (result["text"], result["tool_calls"]) == ("Done", [])


def test_tools_work_where_the_server_does_not_stream() -> None:
    def respond(exchange: Exchange) -> None:
        calls = [asked("echo", ECHO, id="c1"), asked("add", '{"a": 1, "b": 1}', id="c2")]
        rounds = len(exchange.json["messages"]) > 2
        message = {"content": "Done"} if rounds else {"content": None, "tool_calls": calls}
        exchange.reply(200, {"choices": [{"message": message}], "usage": {"prompt_tokens": 5, "completion_tokens": 1}})

    with scripted_server(respond) as server:
        result = ask(server.url)
    assert (result["text"], [use["name"] for use in result["tool_calls"]]) == ("Done", ["echo", "add"])
    assert result["usage"]["total_tokens"] == 12


@pytest.mark.parametrize(
    "pieces",
    [
        [[asked("echo", ECHO), asked("echo", ECHO)]],
        [[asked("echo", {"message": "hi"}, index=0), asked("echo", {"message": "hi"}, index=1)]],
        [[asked("echo", ECHO, id="x")], [asked("echo", ECHO, id="y")]],
        [[asked("echo", ECHO, index=0, id="x")], [asked("echo", ECHO, index=0, id="y")]],
        [[asked("echo", id="x"), asked(arguments='{"message":'), asked(arguments=' "hi"}'), asked("echo", ECHO)]],
        [
            [asked("echo", '{"message":', index=0, id="x")],
            [asked("echo", ' "hi"}', index=0, id="x"), asked("echo", ECHO, index=1, id="y")],
        ],
    ],
)
def test_calls_are_told_apart_however_a_server_marks_them(pieces: list[list[Any]]) -> None:
    first = [*(asks(*piece) for piece in pieces), delta(finish="stop")]
    with scripted_server(turns(first, DONE)) as server:
        result = ask(server.url)
    assert [use["result"]["echo"] for use in result["tool_calls"]] == ["hi", "hi"]
    ids = [message["tool_call_id"] for message in server.seen[1].json["messages"] if message["role"] == "tool"]
    assert len(set(ids)) == 2


@pytest.mark.parametrize(
    ("name", "arguments", "told"),
    [
        ("echo", "{}", "message: is required"),
        ("echo", '{"message": [1]}', "message: "),
        ("echo", "[1]", "no JSON object"),
        ("echo", '{"message": ', "no JSON object"),
        ("echo", '{"message": NaN}', "no JSON object"),
        ("ecko", ECHO, "there is no tool 'ecko'; did you mean 'echo'?"),
        ("inference", '{"prompt": "x"}', "there is no tool 'inference'; known: echo, add"),
        ("raise_text", '{"text": "out of paper"}', "out of paper"),
    ],
)
def test_the_model_is_told_what_is_wrong_with_its_call_and_can_mend_it(name: str, arguments: str, told: str) -> None:
    tools = ["echo", "add", *(["raise_text"] if name == "raise_text" else [])]
    with scripted_server(turns(one(arguments, name), one(), DONE)) as server:
        call = call_at(server.url, Offered.named("echo", "add", "raise_text"))
        result = ask(server.url, call, tools=tools)
    refused, mended = result["tool_calls"]
    assert told in refused["error"]
    assert "result" not in refused
    assert mended["result"]["echo"] == "hi"
    messages = server.seen[1].json["messages"]
    assert json.loads(messages[-1]["content"]) == {"error": refused["error"]}
    assert isinstance(json.loads(messages[-2]["tool_calls"][0]["function"]["arguments"]), dict)
    assert [line["level"] for line in call.log_lines] == ["warning", "info"]


def test_past_max_tool_calls_nothing_is_carried_out_and_the_bound_is_named() -> None:
    many = asks(*(asked("echo", ECHO, index=n, id=f"c{n}") for n in range(2))), delta(finish="tool_calls"), usage(10, 2)
    offered = Offered.named("echo")
    with scripted_server(turns(one(), many)) as server:
        call = call_at(server.url, offered)
        with pytest.raises(TooManyToolCalls, match="max_tool_calls allows: 2") as raised:
            ask(server.url, call, tools=["echo"], max_tool_calls=2)
    assert not raised.value.heals
    assert len(offered.calls) == 1
    assert (call.spent.input_tokens, call.spent.output_tokens) == (20, 4), "what was used is counted all the same"


@pytest.mark.parametrize("name", ["nothing", "inference", "code_generation", "spaced out"])
def test_what_can_be_no_tool_is_refused_before_anything_is_asked(name: str) -> None:
    offered = Offered.named("echo", "inference", "code_generation")
    offered.functions["spaced out"] = offered.functions["echo"]
    with scripted_server(turns(DONE)) as server:
        with pytest.raises(InvalidParameters, match=name) as raised:
            ask(server.url, call_at(server.url, offered), tools=["echo", name])
        assert [problem["path"] for problem in raised.value.problems] == ["tools[1]"]
        assert server.seen == []


def test_tools_need_an_engine() -> None:
    with pytest.raises(InvalidParameters, match="tools: only an engine's call can use them"):
        ask("", make_call())


def test_offline_says_that_no_tool_was_called() -> None:
    call = call_at("")
    call.agent = make_agent()
    result = ask("", call)
    assert result["provider"] == "offline"
    assert (result["tools"], result["tool_calls"]) == ("not called: no model is connected", [])


def test_what_is_recorded_is_bounded_and_masked_before_it_is_cut_while_the_model_is_told_all() -> None:
    secret = "s3cr3t-" * 4
    message = "x" * (RECORDED_BYTES - 30) + secret + "y" * RECORDED_BYTES
    with scripted_server(turns(one(json.dumps({"message": message})), DONE)) as server:
        call = call_at(server.url, mask=lambda text: text.replace(secret, "***"))
        (use,) = ask(server.url, call)["tool_calls"]
    for kept in (use["arguments"], use["result"]):
        assert len(kept.encode()) < RECORDED_BYTES + 100
        assert kept.endswith(" bytes in all]")
        assert "s3c" not in kept
    assert json.loads(server.seen[1].json["messages"][-1]["content"])["echo"] == message


def test_each_call_has_a_key_of_its_own_and_the_same_one_when_it_is_asked_for_again() -> None:
    def keys(*rounds: tuple[Any, ...]) -> list[str]:
        offered = Offered.named("echo")
        with scripted_server(turns(*rounds, DONE)) as server:
            ask(server.url, call_at(server.url, offered), tools=["echo"])
        return [call.idempotency_key for call in offered.calls]

    first, second, other = keys(one(), one(), one('{"message": "other"}'))
    assert len({first, second, other}) == 3
    assert first.startswith("run:step:echo:")
    assert keys(one('{"message": "other"}'), one()) == [other, first]


def test_a_tool_knows_nothing_of_the_context_and_streams_nothing() -> None:
    pieces: list[str] = []
    offered = Offered.named("echo")
    with scripted_server(turns(one("{}"), DONE)) as server:
        call = call_at(server.url, offered, context={"message": "of the context"}, on_token=pieces.append)
        (use,) = ask(server.url, call, tools=["echo"])["tool_calls"]
    assert "is required" in use["error"]
    offered.calls[0].emit("unheard")
    assert pieces == ["Done"]


SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def test_an_object_is_read_from_the_last_answer_and_no_form_keeps_the_model_from_its_tools() -> None:
    with scripted_server(turns([delta("{}"), *one()], [delta('{"n": 3}', finish="stop")])) as server:
        result = ask(server.url, output_schema=SCHEMA)
    assert result["object"] == {"n": 3}
    for exchange in server.seen:
        assert "response_format" not in exchange.json
        assert "must match this JSON Schema" in exchange.json["messages"][0]["content"]


def test_a_last_answer_that_breaks_the_schema_is_malformed_and_counted() -> None:
    with scripted_server(turns(one(), DONE)) as server:
        call = call_at(server.url)
        with pytest.raises(MalformedAnswer, match="no JSON"):
            ask(server.url, call, output_schema=SCHEMA)
    assert call.spent.input_tokens == 30


def test_the_next_model_goes_on_where_one_fails_between_its_tools() -> None:
    def respond(exchange: Exchange) -> None:
        if exchange.json["model"] == "b":
            exchange.stream(*DONE)
        elif len(exchange.json["messages"]) == 2:
            exchange.stream(*one())
        else:
            exchange.reply(503, {"error": "overloaded"})

    offered = Offered.named("echo")
    with scripted_server(respond) as server:
        result = ask(server.url, call_at(server.url, offered), tools=["echo"], models=["a", "b"])
    assert [exchange.json["model"] for exchange in server.seen] == ["a", "a", "b"]
    assert server.seen[2].json["messages"] == server.seen[1].json["messages"]
    assert len(offered.calls) == 1
    assert [failed["model"] for failed in result["fallbacks"]] == ["a"]


def test_no_other_model_goes_on_once_text_was_streamed() -> None:
    def respond(exchange: Exchange) -> None:
        if len(exchange.json["messages"]) == 2:
            exchange.stream(delta("Let me see."), *one())
        else:
            exchange.reply(503, {"error": "overloaded"})

    with scripted_server(respond) as server, pytest.raises(ServerError):
        ask(server.url, models=["a", "b"])
    assert [exchange.json["model"] for exchange in server.seen] == ["a", "a"]


def test_usage_that_a_server_does_not_tell_is_estimated_over_all_rounds() -> None:
    with scripted_server(turns(one()[:2], DONE[:1])) as server:
        result = ask(server.url)
    assert result["usage"]["estimated"] is True
    assert result["usage"]["input_tokens"] > 2 * len("Say hello") / 4
    assert result["usage"]["output_tokens"] >= (len(ECHO) + len("Done")) / 4


def test_the_agents_prices_make_the_cost_where_the_server_tells_none() -> None:
    with scripted_server(turns(one(), DONE)) as server:
        llm = LLMConfig("m", server.url, input_price_per_million=2.0, output_price_per_million=10.0)
        result = ask(server.url, call_at(server.url, agent=make_agent(llm=llm)))
    assert result["usage"]["cost"] == pytest.approx((30 * 2 + 5 * 10) / 1_000_000)
