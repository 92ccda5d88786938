"""`params` in strings: what becomes a value, what stays an expression, and that no value ever becomes one."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from workflows.errors import ExpressionError
from workflows.expressions import compile, fill, fill_plain, fill_rule, render
from workflows.expressions.filling import literal

PARAMS = {
    "topic": "AI",
    "n": 3,
    "low": -2,
    "half": 0.5,
    "on": True,
    "none": None,
    "tags": ["a", "b"],
    "who": {"name": "Ann", "my-key": 1},
}


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("${params.topic}", "AI"),
        ("${params.n}", 3),
        ("${params.half}", 0.5),
        ("${params.on}", True),
        ("${params.none}", None),
        ("${params.tags}", ["a", "b"]),
        ("${params.who.name}", "Ann"),
        ('${params["topic"]}', "AI"),
        ('${params.who["my-key"]}', 1),
        ("${params}", PARAMS),
        ("About ${params.topic}, ${params.n} ${params.tags}${params.none}.", 'About AI, 3 ["a","b"].'),
        ("${params.n * 60}", 180),
        ("${lower(params.topic)}_x", "ai_x"),
        ('${params.get("size", 7)}', 7),
        ("${has(params.size)}", False),
    ],
)
def test_what_names_params_alone_becomes_a_value(text, made):
    assert fill(text, PARAMS) == made


@pytest.mark.parametrize(
    "text", ["plain", "params.topic", "${context.topic}", "$${params.topic}", "${now()}", "${ broken", "params ${ x"]
)
def test_what_names_no_params_stays_as_it_is(text):
    if text == "params ${ x":
        with pytest.raises(ExpressionError, match="no balancing"):
            fill(text, PARAMS)
    else:
        assert fill(text, PARAMS) == text


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("${params.topic} for ${input.who}", "AI for ${input.who}"),
        ("${params.n + input.b}", "${3 + input.b}"),
        ("${input.b -params.low}", "${input.b -(-2)}"),
        ("${params.who.name + input.b}", '${"Ann" + input.b}'),
        ("${params.tags.map(x, x + input.b)}", '${["a", "b"].map(x, x + input.b)}'),
        ("${input.list.map(params, params.x)}", "${input.list.map(params, params.x)}"),
        ('${params.get("size", input.b)}', '${{}.get("size", input.b)}'),
        ('${params.who.get("name", input.b)}', '${{"name": "Ann", "my-key": 1}.get("name", input.b)}'),
        ("${has(params.size) ? 1 : input.b}", "${has({}.size) ? 1 : input.b}"),
        ("${params.topic + string(now())}", '${"AI" + string(now())}'),
        ("$${a} ${params.topic} $${b}", "$${a} AI $${b}"),
    ],
)
def test_what_also_names_others_stays_an_expression_with_literals(text, made):
    assert fill(text, PARAMS) == made


def test_a_costly_expression_is_left_to_the_run():
    params = {"l": list(range(600))}
    assert fill("${params.l.map(x, x * 2).size()}", params).startswith("${[0, 1, 2, ")


@pytest.mark.parametrize("text", ["${params.nope}", "x ${params.nope.deep} y", "${params.nope + input.b}"])
def test_a_parameter_that_is_not_there_is_refused(text):
    with pytest.raises(ExpressionError, match=r"nope.*params\.get"):
        fill(text, PARAMS)


def test_in_a_rule_a_parameter_is_a_literal():
    assert fill_rule("input.score >= params.n", PARAMS) == "input.score >= 3"
    assert fill_rule("${params.on}", PARAMS) == "true"
    assert fill_rule("params.topic == input.x", {"topic": '" || true'}) == '"\\" || true" == input.x'
    assert fill_rule("context.params", PARAMS) == "context.params"


def test_in_plain_text_nothing_is_escaped_and_nothing_is_left_to_the_run():
    params = {"x": "${y}"}
    assert fill_plain("say ${params.x} $${a} ${context.b}", params) == "say ${y} $${a} ${context.b}"
    assert fill_plain("${params.x}", params) == "${y}"
    with pytest.raises(ExpressionError, match="no run evaluates this field"):
        fill_plain("${params.x + input.b}", params)


PIECES = ["$", "{", "}", "${", "$${", "${input.b}", "a", chr(34), chr(10), "${params.x}"]
DOLLARS = st.lists(st.sampled_from(PIECES)).map("".join)


@settings(deadline=None)
@given(DOLLARS, DOLLARS)
def test_no_value_ever_becomes_an_expression(value, other):
    params = {"x": value, "y": [other, {"k": value}]}
    scope = {"input": {"b": "B"}}
    assert render(fill("${params.x}", params), scope) == value
    assert render(fill("${params.y}", params), scope) == params["y"]
    assert render(fill("<${params.x}{${params.x}${input.b}$${c}>", params), scope) == f"<{value}{{{value}B${{c}}>"
    assert render(fill("$ ${params.x + input.b}", params), scope) == f"$ {value}B"
    assert compile(fill_rule("params.x + input.b", params)).evaluate(scope) == value + "B"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=6),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text("ab $", max_size=3), below, max_size=3),
    max_leaves=6,
)  # fmt: skip


@settings(deadline=None)
@given(JSON)
@example(-(2**63))
def test_a_literal_is_its_value(value):
    assert compile(literal(value)).evaluate({}) == value
