import cel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflows import expressions
from workflows.errors import ExpressionError, SecretNotFound


def scope(**more):
    return {
        "context": {"topic": "AI", "condition": "true"},
        "global": {},
        "input": {},
        "steps": {
            "a": {"status": "completed", "result": {"text": "héllo", "n": 1, "d": 1.5, "items": [1, 2, 3]}},
            "my-step": {"status": "completed", "result": {"score": 7}},
            "skipped": {"status": "skipped", "result": None},
        },
        "run": {"id": "r"},
        "workflow": {"id": "w"},
        **more,
    }


def value(text, **more):
    return expressions.compile(text).evaluate(scope(**more))


def refusal(text, **more):
    with pytest.raises(ExpressionError) as caught:
        value(text, **more)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("steps.a.result.text", "héllo"),
        ("${steps.a.result.text}", "héllo"),
        ('context.get("condition") == "true"', True),
        ('steps.get("review.result.score", 0) > 5', False),
        ('steps.get("my-step.result.score", 0) > 5', True),
        ('steps["my-step"].result.score', 7),
        ('steps.get("a.result.items.1")', 2),
        ('context.get("nothing")', None),
        ('steps.skipped.get("result.text", "none")', "none"),
        ("has(steps.a.result.nothing)", False),
        ("steps.a.result.items.map(x, x * 2)", [2, 4, 6]),
        ("steps.a.result.items.exists(x, x > 2)", True),
        ("length(steps.a.result.text)", 5),
        ("size(steps.a.result.text)", 6),
        ("1 < 1.5 && 1 == 1.0", True),
        ("double(steps.a.result.n) + steps.a.result.d", 2.5),
        ('"a, b".split(", ").join("-")', "a-b"),
        ('upper(trim("  x ")) + lower("Y") + "aba".replace("b", "c")', "Xyaca"),
        ('json({"b": [1, null], "a": "é"})', '{"a":"é","b":[1,null]}'),
        ('truncate("héllo", 2)', "hé"),
        ('now() > timestamp("2020-01-01T00:00:00Z")', True),
        ('timestamp("2024-01-01T00:00:00Z")', "2024-01-01T00:00:00Z"),
        ('duration("-1.5s")', "-1.5s"),
        ('b"a"', "YQ=="),
        ('{1: 2, "a": "x"}', {"1": 2, "a": "x"}),
        ("[1].all(steps, steps == 1) && steps.a.result.n == 1", True),
    ],
)
def test_an_expression_has_its_value(text, expected):
    assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("steps.a.result.nope", 'steps.a.result has no "nope" (it has "text", "n", "d", "items")'),
        ("steps.a.result.nope", 'steps.get("a.result.nope", fallback)'),
        ("steps.skipped.result.text", 'steps.skipped.result is null, so it has no "text"'),
        ("steps.my-step.result.score", 'steps["my-step"]'),
        ("1 + 1.5", "double(x)"),
        ('"a" || true == 1', "take true or false"),
        ("lower(5)", "lower takes text, not a number"),
        ("uper(context.topic)", 'did you mean "upper"?'),
        ('context.topic = "x"', "compared with =="),
        ("context.topic and true", "write && for and"),
        ("(1 + 2", "ends too early"),
        ("1 / 0", "division by zero"),
        ("9223372036854775807 + 1", "beyond its range"),
        ("18446744073709551615u", "beyond 64 bits"),
        ("1.0 / 0.0", "not a finite number"),
        ('{1: 1, "1": 2}', "two keys"),
        ("string(context)", "json(x)"),
        ("steps.a.result.items[7]", "read it with get"),
        ("", "is empty"),
        ("1" * 5000, "at most 4,096"),
    ],
)
def test_a_refusal_says_what_would_be_right(text, said):
    assert said in refusal(text)


def test_a_syntax_error_has_its_offset():
    with pytest.raises(ExpressionError) as caught:
        expressions.compile("1 +\n ) 2")
    assert caught.value.offset == 5


@pytest.mark.parametrize(
    "text",
    [
        '__import__("os").system("id")',
        "context.__class__.__mro__",
        '"".__class__',
        "steps.a.__init__.__globals__",
        'eval("1")',
        'exec("1")',
        'open("/etc/passwd")',
        "context.items()",
        "context.keys()",
        'getattr(context, "x")',
        'get.__globals__["os"]',
        "now().__class__",
        '"%s".format([context])',
        "lambda: 1",
        "[x for x in [1]]",
        "optional.of(1)",
        "google.protobuf.Any{}",
        'context.get("__class__.__mro__").size()',
        "math.abs(1)",
        "env.HOME",
        "cel.bind(x, 1, x)",
    ],
)
def test_no_expression_reaches_python(text):
    assert refusal(text)


def test_a_function_sees_no_python_attributes():
    assert value('context.get("__class__")') is None
    assert value('get("text", "upper")') is None


def test_only_what_is_named_is_handed_over():
    big = {f"s{i}": {"result": {"text": "x"}} for i in range(50)}
    expression = expressions.compile('steps.s1.result.text != "" && steps.get("s2.result.n", 0) == 0')
    assert expression.reach({"steps": big, "input": {"secret": 1}}) == {
        "steps": {"s1": {"result": {"text": "x"}}, "s2": {"result": {}}}
    }
    assert expression.step_ids == {"s1", "s2"}
    assert expression.names == {"steps"}
    assert expressions.compile("steps.size() > 1").step_ids is None
    assert expressions.compile("steps[input.which].result").step_ids is None


WORDS = """steps context . [ ] ( ) { } " a b x 1 2.5 == && || ! ? : , + - * / map filter exists has
get size in null "a" "a.b" steps.a steps.a.result .get("a") .map(x,x) lower( true \\ // ' r" b" ''' $ ${"""
PIECES = st.sampled_from([*WORDS.split(), " ", "\n"])


@settings(max_examples=50, deadline=None)
@given(st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=12).map("".join)))
def test_an_expression_never_raises_anything_but_an_expression_error(text):
    names = {"steps": {"a": {"result": [1]}}, "context": {"a": {"b": "x"}}}
    try:
        compiled = expressions.compile(text)
        compiled.heavy(names)
        compiled.evaluate(names)
    except ExpressionError:
        pass


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=60) | st.lists(PIECES, max_size=12).map(lambda parts: "a${" + "".join(parts) + "}b"))
def test_rendering_never_raises_anything_but_an_expression_error(text):
    names = {"steps": {"a": {"result": [1]}}, "context": {"a": {"b": "x"}}}
    try:
        made = expressions.render([text], names)
        if "${" not in text:
            assert made == [text]
    except ExpressionError:
        pass


ROOT = st.sampled_from(["steps", "context"])
KEYS = st.lists(st.sampled_from([".a", '["a"]', ".b", '["my-b"]', "[0]", '.get("a")', '.get("b.a", 7)']), max_size=3)
PATHS = st.builds(lambda root, keys: root + "".join(keys), ROOT, KEYS)
FORMS = st.sampled_from(
    ["{0} == {1}", "[{0}, {1}]", "has({0}.a)", "[1, 2].map(steps, steps + 1) == {0}", "{0} == null ? 1 : {1}"]
)


@settings(max_examples=50, deadline=None)
@given(FORMS, PATHS, PATHS)
def test_handing_over_less_changes_no_value(form, first, second):
    text = form.format(first, second)
    names = {
        "steps": {"a": {"a": [{"a": 1}], "b": {"a": "x"}}, "b": [1, {"a": 2}], "my-b": None},
        "context": {"a": {"b": {"a": 5}}, "b": "text", "my-b": {"a": 1}},
    }
    from workflows.expressions.functions import FUNCTIONS
    from workflows.expressions.results import plain

    try:
        expected = plain(cel.evaluate(text, cel.Context(names, FUNCTIONS)))
    except Exception:
        with pytest.raises(ExpressionError):
            expressions.compile(text).evaluate(names)
    else:
        assert expressions.compile(text).evaluate(names) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write about ${context.topic}!", "Write about AI!"),
        ("${steps.a.result.items}", [1, 2, 3]),
        ("${steps.a.result.n}", 1),
        (" ${steps.a.result.n}", " 1"),
        ("${null}", None),
        ("a${null}b", "ab"),
        ("x${steps.a.result.items}${true}", "x[1,2,3]true"),
        ("$${context.topic}", "${context.topic}"),
        ("$$${context.topic} ${context.topic}", "$${context.topic} AI"),
        ('${ {"a": {"b": "}"}} }', {"a": {"b": "}"}}),
        ("${'}' + \"{\"}", "}{"),
        ("no dollar {brace}", "no dollar {brace}"),
        ("$5", "$5"),
        ("", ""),
    ],
)
def test_rendering(text, expected):
    made = expressions.render({"k": [text]}, scope())["k"][0]
    assert made == expected
    assert type(made) is type(expected)


def test_a_rendered_object_keeps_its_order_and_shares_nothing_with_the_scope():
    names = scope()
    made = expressions.render("${steps.a.result}", names)
    assert list(made) == ["text", "n", "d", "items"]
    made["items"].append(4)
    assert names["steps"]["a"]["result"]["items"] == [1, 2, 3]


def test_objects_that_an_expression_makes_have_sorted_keys():
    text = '{"z": 1, "a": 2, "m": 3, "b": 4}'
    assert list(value(text)) == ["a", "b", "m", "z"]


@pytest.mark.parametrize(("text", "offset"), [("ab ${context.topic", 3), ("${1} ${1 +}", 10), ("a ${foo(1)}", 4)])
def test_a_broken_string_says_where(text, offset):
    with pytest.raises(ExpressionError) as caught:
        expressions.render(text, scope())
    assert caught.value.offset == offset


def test_contains_expression_looks_everywhere_but_at_literals():
    assert expressions.contains_expression({"a": [{"b": "x ${1}"}]})
    assert not expressions.contains_expression({"${1}": ["$${x}", 5]})


def test_secrets_are_named_in_full_and_must_exist():
    class Recorded(dict):
        read: list[str] = []

        def __getitem__(self, name):
            self.read.append(name)
            return super().__getitem__(name)

    secrets = Recorded(KEY="sesame", OTHER="x")
    assert expressions.render("Bearer ${secrets.KEY}", scope(secrets=secrets)) == "Bearer sesame"
    assert secrets.read == ["KEY"]
    with pytest.raises(SecretNotFound, match="KOLOSAL_SECRET_NOPE"):
        expressions.render("${secrets.NOPE}", scope(secrets=secrets))
    for text in ("secrets", "secrets[input.x]", "json(secrets)"):
        assert "named in full" in refusal(text, secrets=secrets)


def test_values_that_nest_too_deep_for_the_library_are_refused():
    deep = []
    for _ in range(900):
        deep = [deep]
    assert "levels deep" in refusal("context.x == null", context={"x": deep})


def test_texts_can_not_be_blown_up():
    doubling = '"aaaaaaaaaa"' + '.replace("a", "aaaaaaaaaa")' * 60
    assert "would make a text of more than" in refusal(doubling)


@pytest.mark.parametrize(
    ("text", "items", "is_heavy"),
    [
        ("context.l.filter(x, x > 1)", 100, False),
        ("context.l.filter(x, x > 1)", 501, True),
        ("context.l.map(x, context.l.map(y, x * y))", 2, True),
        ("context.l.map(x, [x, x]).map(x, [x, x])", 2, True),
        ("context.l.filter(x, x > 1).map(x, x + 1)", 100, False),
        ("context.l.all(x, context.l.all(y, y == x))", 2, True),
        ("context.l.map(x, context.big)", 200, True),
        ("context.l.map(x, context.l)", 400, True),
        ('context.big.split("").map(x, x)', 1, True),
        ('context.big.matches("(a{100}){100}") || context.big.matches("(b{100}){100}")', 1, True),
        ('context.l.exists(x, string(x).matches("^[a-z]+$"))', 50, False),
        ("size(context.l) > 5", 5000, False),
        (" + ".join(["context.big"] * 250) + ' == ""', 1, True),
    ],
)
def test_what_may_take_long_is_told_beforehand(text, items, is_heavy):
    names = {"context": {"l": list(range(items)), "big": "x" * 200_000}}
    assert expressions.compile(text).heavy(names) is is_heavy
    assert expressions.render_heavy({"p": "a ${" + text + "}"}, names) is is_heavy


def test_the_reach_of_strings_is_all_that_rendering_needs():
    names = scope()
    parameters = {"a": "${steps.a.result.text} ${steps.a.result}", "b": ['${steps["my-step"].result.score}']}
    reach = expressions.reach(parameters, names)
    assert set(reach) == {"steps"}
    assert set(reach["steps"]) == {"a", "my-step"}
    assert expressions.render(parameters, reach) == expressions.render(parameters, names)


def test_a_condition_must_be_true_or_false():
    assert expressions.compile("1 < 2").holds({}) is True
    with pytest.raises(ExpressionError, match="this is text"):
        expressions.compile("context.topic").holds(scope())
