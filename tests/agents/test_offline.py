from __future__ import annotations

from typing import Any

import pytest

from agents.errors import InvalidParameters, RequestRefused
from agents.providers.offline import NOTE
from agents.providers.structured import schema_problem
from tests.agents.factories import call_function, make_call

PROMPT = "Explain solar power. Solar power depends on the sun. Keep it short."
CONTEXT = {"steps": {"search": {"result": {"text": "Solar power is cheap. Cats sleep."}}}}


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.inference.setting", lambda name, default=None: default)


def ask(**parameters: Any) -> dict[str, Any]:
    return call_function("inference", {"prompt": PROMPT, **parameters}, make_call(context=CONTEXT))


def test_it_says_what_it_is() -> None:
    result = ask()
    assert result["provider"] == result["engine_used"] == "offline"
    assert result["text"].startswith(NOTE)


def test_the_same_request_gets_the_same_answer() -> None:
    first, second = ask(), ask()
    assert first["text"] == second["text"]


def test_it_quotes_what_matches_and_nothing_else() -> None:
    text = ask()["text"]
    assert "Solar power is cheap." in text
    assert "Solar power depends on the sun." in text
    assert "Cats sleep" not in text


def test_max_tokens_is_obeyed() -> None:
    result = ask(max_tokens=5)
    assert len(result["text"].split()) == 5
    assert (result["finish_reason"], result["tokens_generated"]) == ("length", 5)


def test_it_streams_in_pieces_that_make_up_the_text() -> None:
    pieces: list[str] = []
    result = call_function("inference", {"prompt": PROMPT}, make_call(on_token=pieces.append))
    assert len(pieces) > 3
    assert "".join(pieces) == result["text"]


def test_a_step_without_text_is_no_obstacle() -> None:
    assert "(empty)" in ask(prompt="   ")["text"]


def test_code_is_not_invented() -> None:
    result = call_function("code_generation", {"requirements": "sort a list", "language": "Go"})
    assert result["code"] == "// No model is connected, so no code was written. Required:\n// sort a list"


@pytest.mark.parametrize(
    "schema",
    [
        {
            "type": "object",
            "properties": {"title": {"type": "string"}, "n": {"type": "integer"}},
            "required": ["n"],
        },
        {
            "type": "object",
            "properties": {"kind": {"enum": ["a", "b"]}, "at": {"type": "string", "format": "date"}},
        },
        {"type": "array", "items": {"type": "number", "exclusiveMinimum": 2}, "minItems": 3},
        {"type": "object", "properties": {"x": {"$ref": "#/$defs/x"}}, "$defs": {"x": {"const": 5}}},
        {"anyOf": [{"type": "string", "minLength": 30, "maxLength": 40}, {"type": "null"}]},
        {"allOf": [{"properties": {"a": {"type": "boolean"}}, "required": ["a"]}, {"type": "object"}]},
        {"type": "integer", "multipleOf": 7, "minimum": 10},
        {"type": "number", "maximum": -3},
        {"properties": {"a": {"default": {"b": 1}}}},
    ],
)
def test_a_schema_gets_a_value_that_matches_it(schema: dict[str, Any]) -> None:
    result = ask(output_schema=schema)
    assert schema_problem(result["object"], schema) is None


def test_a_schema_that_only_a_model_can_fill_is_refused() -> None:
    with pytest.raises(RequestRefused, match="connect a model"):
        ask(output_schema={"type": "string", "pattern": "^[0-9]{5}$"})


def test_a_schema_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidParameters, match="no valid JSON Schema"):
        ask(output_schema={"type": "sting"})


def test_a_schema_is_never_fetched() -> None:
    with pytest.raises((InvalidParameters, RequestRefused)):
        ask(
            output_schema={
                "type": "object",
                "properties": {"a": {"$ref": "http://127.0.0.1:1/x"}},
                "required": ["a"],
            }
        )
