"""Blocks in definitions: what is refused, what may be named where, and that nothing else is."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tests.unit.test_definitions import JSON, Catalog, step, workflow
from workflows.definitions import (
    check,
    check_generated,
    checksum,
    json_schema,
    read_json,
    read_object,
    read_yaml,
    to_dict,
    to_yaml,
    tree,
    walk,
    yaml_text,
)
from workflows.definitions.models import BLOCKS, MAX_DEPTH, BaseStep, FunctionStep, step_model

INSIDE = {
    "if": {"if": "context.ready", "then": [step("inner")]},
    "switch": {"switch": "context.kind", "cases": {"1": [step("inner")]}},
    "for_each": {"for_each": "input.list", "steps": [step("inner")]},
    "while": {"while": "context.more", "steps": [step("inner")]},
    "parallel": {"parallel": {"one": [step("inner")]}},
}
FORMS = INSIDE | {
    "workflow": {"workflow": "other", "version": 3, "input": {"x": "${input.x}"}},
    "wait": {"wait": {"seconds": 5}},
    "approval": {"approval": {"prompt": "Is ${input.x} right?"}},
    "wait_for": {"wait_for": {"event": "paid-${input.order}"}},
}


def block(step_id, kind, **fields):
    return {"step_id": step_id, **FORMS[kind], **fields}


def says(text, **fields):
    """A step that names something."""
    return step(**{"step_id": "says", **fields}, parameters={"x": text})


def found(*steps, **fields):
    return check(read_object(workflow(*steps, **fields)), Catalog())


def problems(*steps, **fields):
    return [(problem.path, problem.code) for problem in found(*steps, **fields).problems]


@pytest.mark.parametrize("kind", FORMS)
def test_each_block_is_read_as_its_own_model(kind):
    checked = found(block("b", kind, step_name="B", metadata={"x": 1}, precondition="input.x == 1"))
    assert (checked.problems, checked.warnings) == ([], [])
    (made,) = checked.definition.steps
    assert (made.kind, type(made), made.name) == (kind, BLOCKS[kind], "B")


@pytest.mark.parametrize("kind", INSIDE)
def test_raw_branches_are_those_of_the_model(kind):
    raw = block("b", kind, **({"else": [step("e")]} if kind == "if" else {}))
    model = step_model(raw).model_validate(raw)
    named = {path[-1]: [inner["step_id"] for _, inner in tree.objects(steps)] for path, steps in tree.branches(raw)}
    assert named == {name: [inner.step_id for inner in steps] for name, steps in model.branches.items() if steps}


@pytest.mark.parametrize(
    ("given", "path", "code", "said"),
    [
        ({"if": "true", "then": []}, "then", "empty", "steps must not be empty"),
        ({"if": "true"}, "then", "missing_field", "required"),
        ({"if": True, "then": [step("i")]}, "if", "wrong_type", "an expression, such as"),
        ({"if": "true", "then": [step("i")], "else": None}, "else", "wrong_type", "must be a list"),
        ({"if": "true", "then": [step("i")], "els": []}, "els", "unknown_field", 'did you mean "else"?'),
        ({"if": "true", "then": [step("i", nope=1)]}, "then[0].nope", "unknown_field", "known are step_id"),
        ({"if": "a =", "then": [step("i")]}, "if", "expression", "=="),
        ({"if": "item.ok", "then": [step("i")]}, "if", "unknown_name", "only inside loops"),
        ({"if": "result.ok", "then": [step("i")]}, "if", "unknown_name", "only in validation"),
        ({"switch": "input.x", "cases": [step("i")]}, "cases", "wrong_type", "values, each with its list of steps"),
        ({"switch": "input.x", "cases": {}}, "cases", "empty", "must not be empty"),
        ({"switch": "input.x", "cases": {"a": step("i")}}, "cases.a", "wrong_type", "must be a list, not an object"),
        ({"switch": "input.x", "cases": {"": [step("i")]}}, 'cases[""]', "empty", "must not be empty"),
        (
            {"switch": "input.x", "cases": {1: [step("i")]}},
            "cases",
            "not_json",
            'a key is text, not 1 (int); write "1"',
        ),
        ({"if": bool, "then": [step("i")]}, "if", "not_json", "only precondition, validation and result_processor"),
        ({"if": "steps.in.status == 1", "then": [step("i")]}, "if", "expression", 'the key is written ["in"]'),
        ({"switch": "input.x", "cases": {"<if>": 5}}, 'cases["<if>"]', "wrong_type", "must be a list"),
        ({"switch": "input.x", "cases": {"wait": 5}}, "cases.wait", "wrong_type", "must be a list, not a number"),
        ({"switch": "x.y", "cases": {"a": [step("i")]}}, "switch", "unknown_name", "known are context"),
        (
            {"switch": "input.x", "cases": {"retry": [step("i", agent="x")]}},
            "cases.retry[0].agent",
            "unknown_field",
            'did you mean "agent_id"?',
        ),
        (
            {"switch": "input.x", "cases": {"default": [step("i")]}},
            "cases.default",
            "default_in_cases",
            'write "default" beside "cases"',
        ),
        ({"for_each": [1, 2], "steps": [step("i")]}, "for_each", "wrong_type", "gives a list"),
        ({"for_each": "input.x", "as": "1x", "steps": [step("i")]}, "as", "invalid_id", "a letter or _ first"),
        ({"for_each": "input.x", "as": "steps", "steps": [step("i")]}, "as", "reserved_name", "means something"),
        ({"for_each": "input.x", "as": "in", "steps": [step("i")]}, "as", "reserved_name", "means something"),
        ({"for_each": "input.x", "as": "index", "steps": [step("i")]}, "as", "reserved_name", "means something"),
        ({"for_each": "input.x", "max_concurrency": 0, "steps": [step("i")]}, "max_concurrency", "out_of_range", "1"),
        ({"while": "true", "max_iterations": None, "steps": [step("i")]}, "max_iterations", "wrong_type", "leave"),
        ({"while": "true", "max_iterations": 0, "steps": [step("i")]}, "max_iterations", "out_of_range", "least 1"),
        ({"while": "true", "max_iterations": -1, "steps": [step("i")]}, "max_iterations", "out_of_range", "least 1"),
        (
            {"while": "true", "max_iterations": 10**6, "steps": [step("i")]},
            "max_iterations",
            "out_of_range",
            "at most 100,000",
        ),
        ({"parallel": [[step("i")]]}, "parallel", "wrong_type", "branches: names"),
        ({"parallel": {}}, "parallel", "empty", "must not be empty"),
        ({"parallel": {"a b": [step("i")]}}, 'parallel["a b"]', "invalid_id", "digits"),
        ({"parallel": {"a": []}}, "parallel.a", "empty", "steps must not be empty"),
        ({"workflow": "nope"}, "workflow", "workflow_not_found", "there are first, other, second"),
        ({"workflow": "othr"}, "workflow", "workflow_not_found", 'did you mean "other"?'),
        ({"workflow": "other", "version": 2}, "version", "version_not_found", "its newest is 3"),
        ({"workflow": "other", "version": "3"}, "version", "wrong_type", "write 3 without quotes"),
        ({"workflow": "other", "input": {"a": ["${inptu.x}"]}}, "input.a[0]", "unknown_name", 'mean "input"?'),
        ({"workflow": "other", "input": {"a": "${secrets.X}"}}, "input.a", "unknown_name", "only in parameters"),
        ({"workflow": "w"}, "workflow", "child_cycle", "w → w"),
        ({"workflow": "first"}, "workflow", "child_cycle", "w → first → second → w"),
        ({"wait": 5}, "wait", "wrong_type", "{seconds: 30}"),
        ({"wait": {}}, "wait", "wait_form", "either seconds or until"),
        ({"wait": {"seconds": 1, "until": "2026-01-31T09:30:00Z"}}, "wait", "wait_form", "either seconds or until"),
        ({"wait": {"seconds": -1}}, "wait", "wait_form", "from 0 to"),
        ({"wait": {"seconds": "5"}}, "wait.seconds", "wrong_type", "number, nor an expression"),
        ({"wait": {"seconds": True}}, "wait.seconds", "wrong_type", "number, or an expression"),
        ({"wait": {"seconds": "${contxt.x}"}}, "wait.seconds", "unknown_name", 'mean "context"?'),
        ({"wait": {"minutes": 1}}, "wait.minutes", "unknown_field", "known are seconds, until"),
        ({"wait": {"until": "tomorrow"}}, "wait.until", "invalid_timestamp", "such as 2026"),
        ({"wait": {"until": "2026-01-31T09:30:00"}}, "wait.until", "invalid_timestamp", "its offset from UTC"),
        ({"wait": {"until": "2026-02-31T09:30:00Z"}}, "wait.until", "invalid_timestamp", "timestamp"),
        ({"wait": {"until": "${now() +}"}}, "wait.until", "expression", "ends too early"),
        ({"approval": {}}, "approval.prompt", "missing_field", "required"),
        ({"approval": "Right?"}, "approval", "wrong_type", "{prompt: …}"),
        ({"approval": {"prompt": "${x.y}"}}, "approval.prompt", "unknown_name", "no"),
        ({"approval": {"prompt": "?", "options": []}}, "approval.options", "empty", "empty"),
        ({"approval": {"prompt": "?", "options": ["a", "a"]}}, "approval.options[1]", "duplicate_option", "twice"),
        (
            {"approval": {"prompt": "?", "options": ["yes"], "on_timeout": "approve"}},
            "approval.on_timeout",
            "unknown_choice",
            "none of the options",
        ),
        ({"approval": {"prompt": "?", "on_timeout": "maybe"}}, "approval.on_timeout", "unknown_choice", "'reject'"),
        (
            {"approval": {"prompt": "?", "assignees": ["group:"]}},
            "approval.assignees[0]",
            "invalid_assignee",
            "group:<",
        ),
        ({"approval": {"prompt": "?", "assignees": ["a b"]}}, "approval.assignees[0]", "invalid_assignee", "user name"),
        ({"approval": {"prompt": "?", "assignees": ["${y}"]}}, "approval.assignees[0]", "unknown_name", "no"),
        ({"wait_for": "paid"}, "wait_for", "wrong_type", "{event: …}"),
        ({"wait_for": {"event": "${steps.nope}"}}, "wait_for.event", "step_not_found", "nope"),
        ({"wait_for": {"event": "x", "timeout_seconds": 0}}, "wait_for.timeout_seconds", "out_of_range", "more than 0"),
        ({"wait": {"seconds": 1}, "timeout_seconds": 5}, "timeout_seconds", "unknown_field", "known are step_id"),
        ({"wait": {"seconds": 1}, "depends_on": ["later"]}, "depends_on[0]", "step_not_earlier", "later"),
        ({"foreach": "input.x", "agent": 1}, "foreach", "unknown_field", 'did you mean "for_each"?'),
        ({"for_eech": "x", "as": "y", "steps": []}, "for_eech", "unknown_field", 'did you mean "for_each"?'),
        ({"loop": "x", "steps": []}, "loop", "unknown_field", "a loop has for_each, or while"),
        ({"wait_until": "x"}, "wait_until", "unknown_field", "write wait: {until: …}"),
        ({"if": "true", "then": [step("i")], "elif": "x"}, "elif", "unknown_field", 'another step with "if"'),
        ({"then": []}, "then", "unknown_field", '"then" belongs to a step with if'),
        ({"cases": {}}, "cases", "unknown_field", '"cases" belongs to a step with switch'),
        ({"steps": []}, "steps", "unknown_field", '"steps" belongs to a step with for_each or while'),
        ({"workflow": "other", "version": 0}, "version", "out_of_range", "at least 1"),
        ({"workflow": "${input.x}"}, "workflow", "invalid_id", "is no id"),
        ({"if": "true", "wait": {}, "then": 5}, "wait", "block_form", '"if" and "wait"'),
        ({"if": "true", "agent_id": "writer", "parameters": {}}, "agent_id", "block_form", "a step of its own"),
        ({"wait": {"seconds": 1}, "function_name": "echo"}, "function_name", "block_form", "calls no function"),
        ({}, "agent_id", "missing_field", "agent_id and function_name, or one of if, switch, for_each"),
    ],
)
def test_a_bad_block_is_refused(given, path, code, said):
    checked = found({"step_id": "b", **given}, step("later"))
    shown = [problem for problem in checked.problems if problem.path != "steps[0].agent"]
    assert (f"steps[0].{path}", code) in [(problem.path, problem.code) for problem in shown]
    assert said in next(problem.message for problem in shown if problem.path == f"steps[0].{path}")
    assert len(shown) == 1 or "foreach" in given


def test_a_place_deep_inside_is_told_with_its_line():
    text = """\
workflow_id: w
steps:
  - step_id: outer
    switch: input.kind
    cases:
      1:
        - step_id: loop
          for_each: input.list
          steps:
            - step_id: a
              agent_id: writr
              function_name: echo
      true:
        - step_id: loop
          wait: {second: 1}
"""
    checked = check(read_yaml(text), Catalog())
    assert [(p.line, p.column, p.path, p.code) for p in checked.problems] == [
        (11, 25, 'steps[0].cases["1"][0].steps[0].agent_id', "agent_not_found"),
        (14, 20, "steps[0].cases.true[0].step_id", "duplicate_step_id"),
        (15, 18, "steps[0].cases.true[0].wait.second", "unknown_field"),
    ]


def loop(kind, *steps, step_id="loop", **fields):
    condition = {"for_each": "input.list"} if kind == "for_each" else {"while": "context.more"}
    return {"step_id": step_id, **condition, "steps": list(steps), **fields}


def branch(*steps, step_id="gate", otherwise=()):
    return {"step_id": step_id, "if": "input.x == 1", "then": list(steps), "else": list(otherwise)}


def beside(step_id="both", **branches):
    return {"step_id": step_id, "parallel": branches}


@pytest.mark.parametrize(
    "steps",
    [
        [step("a"), branch(says("${steps.a.result.x}"))],
        [step("a"), branch(loop("for_each", step("b"), says("${steps.a.result.x + steps.b.result.x}")))],
        [loop("for_each", says("${item.x} ${index} ${context.item}"))],
        [
            loop(
                "for_each",
                loop("for_each", says("${page} ${chapter}"), step_id="inner", **{"as": "page"}),
                **{"as": "chapter"},
            )
        ],
        [loop("for_each", branch(says("${item}")), **{"as": "item"})],
        [loop("while", step("a"), says("${steps.a.result.x}"))],
        [loop("while", says('${steps.get("b.result.x", 0)}'), step("b"))],
        [loop("while", says("${has(steps.b) ? steps.b.result.x : 0}"), step("b"))],
        [loop("while", says('${steps.get("says.result.x", 0)}'))],
        [loop("while", step("b"), **{"while": 'steps.get("b.result.score", 0) < 5'})],
        [loop("while", beside(one=[says('${steps.get("c.result")}')], two=[step("c")]))],
        [branch(step("a")), says('${steps.get("a.result.x", 0)} ${steps.gate.result.branch}')],
        [branch(step("a")), says("${has(steps.a)}")],
        [branch(step("a")), says("${steps.a.result.x}", depends_on=["a"])],
        [loop("for_each", step("a")), says("${steps.loop.result[0].x}")],
        [beside(one=[step("a")], two=[step("b")]), says("${steps.a.result.x + steps.b.result.x}")],
        [beside(one=[branch(step("a"))], two=[step("b")]), says('${steps.get("a.result.x")}')],
        [step("a", generate=True), says('${steps.get("made.result.x", 0)} ${has(steps.made)}')],
        [branch(step("a", generate=True)), says('${steps.get("made.result.x", 0)}')],
        [loop("while", says('${steps.get("made.result.x", 0)}'), step("a", generate=True))],
        [{"step_id": "p", "wait": {"until": "2026-01-31T09:30:00+02:00"}}],
        [{"step_id": "p", "wait": {"until": "${input.day}T00:00:00Z"}}, {"step_id": "q", "wait": {"seconds": "${1}"}}],
        [{"step_id": "p", "approval": {"prompt": "?", "assignees": ["ada", "group:my editors", "${input.who}"]}}],
    ],
)
def test_what_may_be_named_is_refused_by_nobody(steps):
    assert found(*steps).problems == []


@pytest.mark.parametrize(
    ("steps", "path", "code", "said"),
    [
        ([branch(step("a"), says("${steps.later.result}")), step("later")], 1, "step_not_earlier", "stands later"),
        ([branch(says("${steps.gate.result}"))], 0, "step_not_earlier", "a block around this step"),
        ([loop("while", says("${steps.loop.result}"))], 0, "step_not_earlier", "a block around this step"),
        ([branch(step("a"), otherwise=[says("${steps.a.result}")])], 1, "reference_into_sibling", "which is not run"),
        ([beside(one=[step("a")], two=[says("${steps.a.result}")])], 1, "reference_into_sibling", "at the same time"),
        (
            [beside(one=[branch(step("a"))], two=[says('${steps.get("a.result")}')])],
            1,
            "reference_into_sibling",
            "another branch",
        ),
        (
            [branch(step("a")), says("${steps.a.result.x}")],
            1,
            "reference_into_block",
            'read it with steps.get("a.result.x", fallback), or ask has(steps.a) first',
        ),
        ([branch(step("a")), says("${has(steps.a.result)}")], 1, "reference_into_block", "has(steps.a) first"),
        ([branch(step("a")), says('${steps.a.get("x")}')], 1, "reference_into_block", "may not have run it"),
        ([loop("for_each", step("a")), says("${steps.a.result}")], 1, "reference_into_block", 'inside "loop"'),
        (
            [beside(one=[branch(step("a"))], two=[step("b")]), says("${steps.a.result}")],
            1,
            "reference_into_block",
            'inside "both"',
        ),
        ([loop("while", says("${steps.b.result}"), step("b"))], 0, "reference_into_block", "may not have run yet"),
        ([loop("while", says("${steps.says.result}"))], 0, "reference_into_block", "may not have run yet"),
        ([loop("for_each", step("b")), says("${item}")], 1, "unknown_name", "only inside loops"),
        ([loop("for_each", says("${item}"), **{"as": "page"})], 0, "unknown_name", 'is called "page" here'),
        ([step("a", generate=True), says("${steps.made.result}")], 1, "step_not_found", "steps.get("),
        ([says('${steps.get("made.result")}'), step("a", generate=True)], 0, "step_not_found", "made"),
    ],
)
def test_what_may_not_be_named_is_refused(steps, path, code, said):
    (problem,) = found(*steps).problems
    assert (problem.code, problem.path.endswith("parameters.x")) == (code, True)
    assert said in problem.message


def test_the_condition_of_a_loop_asks_for_its_body_with_a_guard():
    (problem,) = found(loop("while", step("b"), **{"while": "steps.b.result.score < 5"})).problems
    assert (problem.path, problem.code) == ("steps[0].while", "reference_into_block")
    assert problems(loop("for_each", step("b"), for_each='steps.get("b.x")')) == [
        ("steps[0].for_each", "step_not_earlier")
    ]


def test_depends_on_may_name_what_stands_earlier_inside_blocks_too():
    assert problems(branch(step("a")), step("b", depends_on=["a", "gate"])) == []
    assert problems(loop("while", step("a", depends_on=["b"]), step("b"))) == [
        ("steps[0].steps[0].depends_on[0]", "step_not_earlier")
    ]
    assert problems(beside(one=[step("a")], two=[step("b", depends_on=["a"])])) == [
        ("steps[0].parallel.two[0].depends_on[0]", "reference_into_sibling")
    ]


def test_a_precondition_of_a_parallel_may_skip_what_is_inside():
    block = beside(one=[step("a")], two=[step("b")]) | {"precondition": "input.x == 1"}
    assert [w.code for w in found(block, says("${steps.a.result.x}")).warnings] == [
        "same_key_in_branches",
        "may_be_skipped",
    ]
    assert [w.code for w in found(block, says("${steps.a.result.x}", depends_on=["both"])).warnings] == [
        "same_key_in_branches"
    ]


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        (step("a"), step("b"), 'the result of "echo"'),
        (step("a", result_processor='{"x": 1, "y": {"z": 1}}'), step("b", result_processor='{"z": 2, "y": 3}'), '"y"'),
        (block("a", "approval"), branch(block("b", "approval")), '"answer", "comment", "answered_by"'),
        (step("a"), step("b", result_processor='{"x": result.echo}'), None),
        (step("a"), loop("for_each", step("b")), None),
        (step("a"), block("b", "approval"), None),
        (step("a", result_processor="input.x"), step("b", result_processor='{"a": {'), None),
    ],
)
def test_branches_that_write_the_same_key_are_warned_about(one, other, said):
    told = [w for w in found(beside(left=[one], right=[other])).warnings if w.code == "same_key_in_branches"]
    assert [(w.path, said in w.message) for w in told] == ([("steps[0].parallel.right", True)] if said else [])


def test_ids_are_unique_in_the_whole_tree():
    assert problems(branch(step("a"), otherwise=[loop("while", step("a"))]), step("gate")) == [
        ("steps[0]['else'][0].steps[0].step_id".replace("['else']", ".else"), "duplicate_step_id"),
        ("steps[1].step_id", "duplicate_step_id"),
    ]


def test_all_steps_of_the_tree_are_counted():
    many = [step(f"s{i}") for i in range(600)]
    (problem,) = found(branch(*many), branch(*[step(f"t{i}", agent_id="?") for i in range(600)])).problems
    assert (problem.path, problem.code) == ("steps", "too_many_steps")
    assert problem.message == "there are 1,202 steps, those inside blocks counted; at most 1,000 are allowed"
    assert found(branch(*[step(f"s{i}") for i in range(999)])).problems == []


def test_a_large_definition_is_checked_soon():
    steps = [step(f"s{number}", parameters={"x": "${input.x}"}) for number in range(900)]
    parallel = beside(**{f"b{number}": [each] for number, each in enumerate(steps)})
    began = time.perf_counter()
    assert problems(loop("while", parallel)) == []
    assert problems(*[{}] * 50_000, nope=1) == [("nope", "unknown_field"), ("steps", "too_many_steps")]
    assert time.perf_counter() - began < 3  # 0.3 s; comparing each branch with each took 5


def nested(depth, leaf, make=lambda number, inner: branch(inner, step_id=f"b{number}")):
    for number in range(depth):
        leaf = make(number, leaf)
    return leaf


def test_blocks_nest_so_deep_and_no_deeper():
    for make in (
        lambda number, inner: branch(inner, step_id=f"b{number}"),
        lambda number, inner: beside(f"b{number}", x=[inner]),
    ):
        checked = found(nested(MAX_DEPTH, says("${input.x}"), make))
        assert checked.problems == []
        assert check(read_yaml(to_yaml(checked.definition))).definition == checked.definition
    ((path, code),) = problems(nested(MAX_DEPTH + 1, step()))
    assert (path, code) == ("steps[0]" + ".then[0]" * MAX_DEPTH, "too_deep")


def test_a_path_has_an_end():
    ids = [letter * 90 for letter in "abcdef"]

    def chain(number, inner, most):
        return loop("while", inner, step_id=ids[number], max_iterations=most)

    long = nested(5, step("x" * 46), lambda number, inner: chain(number, inner, 100))
    assert problems(long) == [("steps[0]" + ".steps[0]" * 5 + ".step_id", "path_too_long")]
    assert problems(nested(5, step("x" * 25), lambda number, inner: chain(number, inner, 100))) == []
    assert problems(nested(5, step("x" * 25), lambda number, inner: chain(number, inner, 101))) != []


def test_a_step_that_two_blocks_make_has_one_problem():
    both = {"step_id": "b", "if": "nope", "for_each": 5, "steps": [{"nope": 1}], "then": {}, "agent_id": 3}
    assert problems(both, says('${steps.get("x.y")}')) == [
        ("steps[0].for_each", "block_form"),
        ("steps[1].parameters.x", "step_not_found"),
    ]


def generated(steps, **given):
    written = workflow(step("a"), step("outline", generate=True), step("later"))
    made = check(read_object(written)).definition_or_raise()
    given = {"path": "outline", "visible": ["a", "outline"], **given}
    return check_generated(steps, definition=made, catalog=Catalog(), **given)


def test_generated_steps_are_checked_like_those_of_a_definition():
    steps, wrong = generated([step("c1", parameters={"x": "${steps.a.result}"}), branch(says("${steps.c1.result}"))])
    assert wrong == []
    assert [each.step_id for each in walk(steps)] == ["c1", "gate", "says"]
    steps, wrong = generated([step("more", generate=True), says('${steps.get("any.result")}')])
    assert (len(steps), wrong) == (2, [])
    assert generated([says('${steps.get("later.result")}')])[1] == []
    assert generated([loop("for_each", says("${chapter} ${item}"))], items=["chapter"], path="all[1].outline")[1] == []


@pytest.mark.parametrize(
    ("steps", "path", "code", "said"),
    [
        (None, "steps", "wrong_type", "must be a list"),
        ([], "steps", "empty", "steps must not be empty"),
        ("${x}", "steps", "wrong_type", "must be a list"),
        ([5], "steps[0]", "wrong_type", "object"),
        ([step("a")], "steps[0].step_id", "duplicate_step_id", '"a"'),
        ([step("c"), step("c")], "steps[1].step_id", "duplicate_step_id", '"c"'),
        ([says("${steps.nope.result}")], "steps[0].parameters.x", "step_not_found", "nope"),
        ([says("${item}")], "steps[0].parameters.x", "unknown_name", "only inside loops"),
        ([says("${steps.later.result}")], "steps[0].parameters.x", "reference_into_block", "may not have run yet"),
        ([step("c", depends_on=["later"])], "steps[0].depends_on[0]", "step_not_earlier", "stands later"),
        ([step("c", agent_id="x")], "steps[0].agent_id", "agent_not_found", "x"),
        ([step("c", nope=1)], "steps[0].nope", "unknown_field", "nope"),
        ([{"step_id": "c", "workflow": "w"}], "steps[0].workflow", "child_cycle", "w → w"),
        ([step("c", parameters={1: 2})], "steps[0].parameters", "not_json", "a key is text"),
        ([{}] * 5000, "steps", "too_many_steps", "5,000 steps, those inside blocks counted; at most 1,000"),
        ([branch(*[step(f"s{i}") for i in range(1000)])], "steps", "too_many_steps", "1,001 steps"),
        ([nested(MAX_DEPTH, step("c"))], "steps[0]" + ".then[0]" * (MAX_DEPTH - 1), "too_deep", "at most"),
        ([nested(120, step("c"))], "", "too_deep", "levels"),
    ],
)
def test_bad_generated_steps_are_refused(steps, path, code, said):
    made, wrong = generated(steps)
    assert made == ()
    assert [(problem.path, problem.code) for problem in wrong] == [(path, code)]
    assert said in wrong[0].message


COUNTED = st.integers(0, 10**9)
EXPRESSIONS = st.sampled_from(["input.x == 1", "context.list", 'input.kind + "a"', "${input.x}"])


@st.composite
def trees(draw, depth=3):
    """Random nests of all blocks; ids are made unique afterwards."""
    kinds = ["function", *FORMS] if depth else ["function", "wait", "approval", "wait_for", "workflow"]
    kind = draw(st.sampled_from(kinds))
    below = st.lists(trees(depth=depth - 1), min_size=1, max_size=2) if depth else st.nothing()
    base = {
        "step_id": "?",
        **draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "metadata": st.dictionaries(st.text("ab"), JSON, max_size=2),
                    "step_name": st.just("N"),
                    "continue_on_failure": st.booleans(),
                },
            )
        ),
    }
    names = st.sampled_from(["a", "yes", "1", "null", "if", "steps"])
    match kind:
        case "function":
            return step("?", generate=draw(st.booleans())) | base
        case "if":
            return base | {
                "if": draw(EXPRESSIONS),
                "then": draw(below),
                **({"else": draw(below)} if draw(st.booleans()) else {}),
            }
        case "switch":
            cases = draw(st.dictionaries(names, below, min_size=1, max_size=2))
            return base | {
                "switch": draw(EXPRESSIONS),
                "cases": cases,
                **({"default": draw(below)} if draw(st.booleans()) else {}),
            }
        case "for_each":
            return base | {"for_each": draw(EXPRESSIONS), "as": "page", "steps": draw(below), "max_concurrency": 2}
        case "while":
            return base | {"while": draw(EXPRESSIONS), "steps": draw(below), "max_iterations": 7}
        case "parallel":
            return base | {"parallel": draw(st.dictionaries(names, below, min_size=1, max_size=2))}
    return base | FORMS[kind]


def numbered(steps):
    for number, (_, each) in enumerate(tree.walk(steps)):
        each["step_id"] = f"s{number}"
    return steps


NESTS = st.lists(trees(), min_size=1, max_size=3).map(numbered)


@settings(max_examples=60, deadline=None)
@given(NESTS)
def test_any_nest_of_blocks_survives_the_round_trip(steps):
    made = check(read_object(workflow(*steps))).definition_or_raise()
    assert to_dict(made) == workflow(*steps)
    again = check(read_yaml(to_yaml(made))).definition_or_raise()
    assert (again, checksum(again), to_dict(again)) == (made, checksum(made), to_dict(made))
    assert all(isinstance(each, BaseStep) for each in walk(made.steps))


MODELS: tuple[type[BaseStep], ...] = (FunctionStep, *BLOCKS.values())
KEYS = sorted({field.alias or name for model in MODELS for name, field in model.model_fields.items()})
JUNK = st.recursive(
    JSON | st.builds(lambda: step("j")) | st.sampled_from(list(FORMS.values())),
    lambda below: st.dictionaries(st.sampled_from(KEYS), below, max_size=5) | st.lists(below, max_size=3),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(JUNK, max_size=3) | JUNK)
def test_whatever_stands_in_place_of_blocks_the_checks_answer(junk):
    value = {"workflow_id": "w", "steps": junk}
    checked = check(read_object(value), Catalog())
    assert (checked.definition is None) == bool(checked.problems)
    made, wrong = generated(junk)
    assert (made == ()) == bool(wrong)
    text = check(read_yaml(yaml_text(value)), Catalog())
    assert [p.path for p in text.problems] != [] or text.definition == checked.definition


def test_cases_are_text_however_they_are_written():
    text = "workflow_id: w\nsteps:\n- step_id: s\n  switch: input.x\n  cases:\n"
    for number, key in enumerate(["1", "true", "~", "1.50", "2024-01-01", '"x"']):
        text += f"    {key}: [{{step_id: s{number}, wait: {{seconds: 1}}}}]\n"
    (switch,) = check(read_yaml(text)).definition_or_raise().steps
    assert list(switch.cases) == ["1", "true", "~", "1.50", "2024-01-01", "x"]
    in_json = read_json('{"workflow_id":"w","steps":[{"step_id":"s","switch":"1","cases":{"1":[]}}]}')
    assert [p.path for p in check(in_json).problems] == ['steps[0].cases["1"]']


VALIDATOR = Draft202012Validator(json_schema())


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ({"wait": {"seconds": 1}}, {"wait": {"seconds": 1, "until": "2026-01-01T00:00:00Z"}}),
        ({"wait": {"until": "2026-01-01T00:00:00Z"}}, {"wait": {}}),
        ({"switch": "1", "cases": {"x": [step("c")]}}, {"switch": "1", "cases": {"default": [step("c")]}}),
        ({"for_each": "[1]", "steps": [step("c")]}, {"foreach": "[1]", "steps": [step("c")]}),
        ({"if": "true", "then": [step("c")]}, {"then": [step("c")]}),
    ],
)
def test_the_json_schema_refuses_what_the_checks_refuse(good, bad):
    assert VALIDATOR.is_valid(workflow({"step_id": "b", **good}))
    assert not VALIDATOR.is_valid(workflow({"step_id": "b", **bad}))


@settings(max_examples=30, deadline=None)
@given(NESTS)
def test_the_json_schema_accepts_any_nest_of_blocks(steps):
    assert VALIDATOR.is_valid(workflow(*steps))
    assert not VALIDATOR.is_valid(workflow(*steps, {"step_id": "b", "if": "true", "wait": {"seconds": 1}}))


def test_a_step_may_have_a_key_without_a_name() -> None:
    checked = check(read_object({"workflow_id": "w", "steps": [{"step_id": "a", "": {"x": []}}]}))
    assert any(problem.path.startswith("steps[0]") for problem in checked.problems)
