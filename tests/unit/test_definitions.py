import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflows.definitions import (
    Definition,
    check,
    checksum,
    json_schema,
    read_json,
    read_object,
    read_yaml,
    to_dict,
    to_yaml,
)
from workflows.definitions.models import FunctionStep
from workflows.definitions.schemas import mismatches, schema_faults
from workflows.errors import DefinitionError


class Catalog:
    """Two agents and four functions."""

    offers = {"writer": {"inference", "echo"}, "qa": {"text_processing", "echo"}}

    def has_agent(self, name_or_uuid):
        return name_or_uuid in self.offers

    def agent_names(self):
        return list(self.offers)

    def agent_functions(self, name_or_uuid):
        return self.offers[name_or_uuid]

    def function_names(self):
        return ["inference", "echo", "text_processing", "web_search"]

    workflows = {"other": {1: [], 3: []}, "first": {1: [("second", None)]}, "second": {1: [], 2: [("w", None)]}}

    def workflow_ids(self):
        return list(self.workflows)

    def workflow_versions(self, workflow_id):
        return self.workflows.get(workflow_id)

    def children_of(self, workflow_id, version=None):
        versions = self.workflows.get(workflow_id, {1: []})
        return versions.get(version or max(versions), [])

    def parameter_problems(self, function_name, parameters, agent_name):
        if parameters.get("max_tokens") == "many":
            return [{"path": "max_tokens", "message": "no", "severity": "error", "code": "invalid_parameter"}]
        unknown = [key for key in parameters if key == "promt"]
        return [{"path": key, "message": "?", "severity": "warning", "code": "unknown_parameter"} for key in unknown]


def step(step_id="a", **fields):
    return {"step_id": step_id, "agent_id": "writer", "function_name": "echo", **fields}


def workflow(*steps, **fields):
    return {"workflow_id": "w", "steps": list(steps) or [step()], **fields}


def checked(*steps, **fields):
    return check(read_object(workflow(*steps, **fields)), Catalog())


def definition(*steps, **fields):
    return checked(*steps, **fields).definition_or_raise()


def test_defaults_are_those_of_the_design():
    made = definition()
    assert (made.name, made.stop_on_failure, made.max_execution_time_seconds) == ("w", True, 600)
    assert (made.save_intermediate_results, made.global_context, made.parameters) == (True, {}, None)
    first = made.steps[0]
    assert (first.name, first.timeout_seconds, first.max_retries, first.continue_on_failure) == (
        "a",
        60,
        3,
        False,
    )
    policy = made.retry_for(first)
    assert (policy.initial_delay_seconds, policy.multiplier, policy.max_delay_seconds) == (1, 2, 60)
    assert policy.jitter == "full"


def test_a_step_takes_what_it_lacks_from_the_workflow():
    made = definition(step("a"), step("b", llm_name="small", retry={"multiplier": 5}), default_llm="big",
                      retry={"multiplier": 3})  # fmt: skip
    assert [made.model_for(s) for s in made.steps] == ["big", "small"]
    assert [made.retry_for(s).multiplier for s in made.steps] == [3, 5]


def test_a_definition_does_not_change():
    with pytest.raises(ValueError, match="frozen"):
        definition().workflow_id = "x"


@pytest.mark.parametrize(
    ("fields", "path", "code", "said"),
    [
        ({"workflow_id": "a b"}, "workflow_id", "invalid_id", "digits"),
        ({"workflow_id": "validate"}, "workflow_id", "reserved_id", "reserved"),
        ({"workflow_id": "x\n"}, "workflow_id", "invalid_id", "digits"),
        ({"workflow_nam": "x"}, "workflow_nam", "unknown_field", 'did you mean "workflow_name"?'),
        ({"stop_on_failure": "yes"}, "stop_on_failure", "wrong_type", "true or false"),
        ({"stop_on_failure": 1}, "stop_on_failure", "wrong_type", "true or false"),
        ({"max_execution_time_seconds": 0}, "max_execution_time_seconds", "out_of_range", "more than 0"),
        ({"max_execution_time_seconds": True}, "max_execution_time_seconds", "wrong_type", "number"),
        ({"max_execution_time_seconds": 1e300}, "max_execution_time_seconds", "out_of_range", "at most"),
        ({"steps": []}, "steps", "empty", "steps must not be empty"),
        ({"steps": {}}, "steps", "wrong_type", "list"),
        ({"steps": [5]}, "steps[0]", "wrong_type", "object"),
        ({"steps": [step(f"s{i}") for i in range(1001)]}, "steps", "too_many_steps", "1,000"),
        ({"tags": ["a", 1]}, "tags[1]", "wrong_type", "text"),
        ({"concurrency": {"limit": 0}}, "concurrency.limit", "out_of_range", "at least 1"),
        (
            {"concurrency": {"limit": 1, "on_limit": "wait"}},
            "concurrency.on_limit",
            "unknown_choice",
            "'reject'",
        ),
        ({"parameters": {"type": "objekt"}}, "parameters.type", "invalid_schema", "objekt"),
        ({"parameters": {"$ref": "http://x/y"}}, 'parameters["$ref"]', "invalid_schema", "in this document"),
        ({"parameters": {"pattern": "(?=a)"}}, "parameters.pattern", "invalid_schema", "look-around"),
        ({"global_context": None}, "global_context", "wrong_type", "empty"),
    ],
)
def test_a_bad_workflow_field_is_refused(fields, path, code, said):
    found = check(read_object({**workflow(), **fields}), Catalog())
    assert found.definition is None
    assert [(p.path, p.code) for p in found.problems] == [(path, code)]
    assert said in found.problems[0].message


@pytest.mark.parametrize(
    ("fields", "path", "code", "said"),
    [
        ({"max_retries": "3"}, "max_retries", "wrong_type", "write 3 without quotes"),
        ({"max_retries": 1.5}, "max_retries", "wrong_type", "whole number"),
        ({"max_retries": -1}, "max_retries", "out_of_range", "at least 0"),
        ({"timeout_seconds": "60"}, "timeout_seconds", "wrong_type", "number"),
        ({"step_name": 7}, "step_name", "wrong_type", '"7"'),
        ({"agent": "x"}, "agent", "unknown_field", 'did you mean "agent_id"?'),
        ({"agent_id": "writr"}, "agent_id", "agent_not_found", 'did you mean "writer"?'),
        ({"function_name": "inferense"}, "function_name", "function_not_found", 'did you mean "inference"?'),
        ({"function_name": "web_search"}, "function_name", "function_not_found", "it offers echo, inference"),
        ({"parameters": {"max_tokens": "many"}}, "parameters.max_tokens", "invalid_parameter", "no"),
        (
            {"parameters": {"a": [{"b": "${contxt.x}"}]}},
            "parameters.a[0].b",
            "unknown_name",
            'mean "context"?',
        ),
        ({"parameters": {"a": "${1 +}"}}, "parameters.a", "expression", "ends too early"),
        ({"parameters": {"a": "${result.x}"}}, "parameters.a", "unknown_name", "only in validation"),
        ({"parameters": {"a": "${steps.first.resul}"}}, "parameters.a", "unknown_name", 'mean "result"?'),
        ({"parameters": {"a": "${run.idd}"}}, "parameters.a", "unknown_name", 'did you mean "id"?'),
        ({"parameters": {"a": "${steps.frist.result}"}}, "parameters.a", "step_not_found", 'mean "first"?'),
        (
            {"parameters": {"a": '${steps["later"].result}'}},
            "parameters.a",
            "step_not_earlier",
            "stands later",
        ),
        (
            {"parameters": {"a": '${steps.get("later.x", 1)}'}},
            "parameters.a",
            "step_not_earlier",
            "stands later",
        ),
        ({"parameters": {"a": "${steps.a.result}"}}, "parameters.a", "step_not_earlier", "this step itself"),
        (
            {"parameters": {"a": "${steps.my-step.result}"}},
            "parameters.a",
            "step_not_found",
            'steps["my-step"]',
        ),
        ({"precondition": "secrets.X == 1"}, "precondition", "unknown_name", "only in parameters"),
        ({"precondition": "result.ok"}, "precondition", "unknown_name", "only in validation"),
        ({"precondition": "item > 1"}, "precondition", "unknown_name", "only inside loops"),
        ({"precondition": True}, "precondition", "wrong_type", "an expression"),
        ({"precondition": "a ="}, "precondition", "expression", "=="),
        (
            {"validation": {"callable": "nix"}},
            "validation.callable",
            "callable_not_found",
            "@workflows.callable",
        ),
        ({"retry": {"multiplyer": 3}}, "retry.multiplyer", "unknown_field", 'did you mean "multiplier"?'),
        ({"depends_on": ["first", "a"]}, "depends_on[1]", "step_not_earlier", "itself"),
        ({"depends_on": ["nope"]}, "depends_on[0]", "step_not_found", "the earlier ones are first"),
        ({"fallback": {"agent_id": "qa"}}, "fallback", "fallback_form", "either"),
        (
            {"fallback": {"agent_id": "qx", "function_name": "echo"}},
            "fallback.agent_id",
            "agent_not_found",
            "qx",
        ),
        ({"fallback": {"result": {}, "parameters": {}}}, "fallback", "fallback_form", "result alone"),
        ({"retry": {"jitter": "half"}}, "retry.jitter", "unknown_choice", "'none'"),
        ({"cache": {"ttl_seconds": 5, "key": "${steps.nope}"}}, "cache.key", "step_not_found", "nope"),
        (
            {"cache": {"ttl_seconds": 5, "key": "${secrets.X}"}},
            "cache.key",
            "unknown_name",
            "only in parameters",
        ),
        ({"output_schema": {"type": 5}}, "output_schema.type", "invalid_schema", "5"),
    ],
)
def test_a_bad_step_is_refused(fields, path, code, said):
    found = checked(step("first"), step("a", **fields) | fields, step("later"), step("my-step"))
    assert [(p.path, p.code) for p in found.problems] == [(f"steps[1].{path}", code)]
    assert said in found.problems[0].message


def test_all_problems_come_at_once_with_their_places():
    text = """\
workflow_id: w
workflow_nam: x
steps:
  - step_id: a
    agent_id: writr
    function_name: echo
    max_retries: "3"
    max_retries: 4
    parameters:
      n: .nan
      prompt: "Hi ${steps.later.result}"
  - step_id: a
    agent_id: writer
    parameters: {x: 1}
"""
    found = check(read_yaml(text), Catalog()).problems
    assert [(p.line, p.column, p.path, p.code) for p in found] == [
        (2, 1, "workflow_nam", "unknown_field"),
        (5, 15, "steps[0].agent_id", "agent_not_found"),
        (7, 18, "steps[0].max_retries", "wrong_type"),
        (8, 5, "steps[0].max_retries", "duplicate_key"),
        (10, 10, "steps[0].parameters.n", "not_finite"),
        (11, 15, "steps[0].parameters.prompt", "step_not_found"),
        (12, 5, "steps[1].function_name", "missing_field"),
        (12, 14, "steps[1].step_id", "duplicate_step_id"),
    ]


def test_json_and_yaml_are_refused_alike():
    bad = check(read_json('{"workflow_id": "w",\n "steps": [{"step_id": 5}]}'), Catalog()).problems
    assert [(p.line, p.path, p.code) for p in bad] == [
        (2, "steps[0].agent_id", "missing_field"),
        (2, "steps[0].step_id", "wrong_type"),
    ]
    assert "a step has agent_id and function_name, or one of if, switch, " in bad[0].message
    (problem,) = check(read_json('"x"')).problems
    assert problem.to_json() == {
        "path": "",
        "line": 1,
        "column": 1,
        "message": "a definition is an object with workflow_id and steps",
        "code": "wrong_type",
        "severity": "error",
    }


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"parameters": {"promt": "x"}}, "unknown_parameter"),
        ({"parameters": {"x": "${steps.maybe.result.text}"}}, "may_be_skipped"),
        ({"parameters": {"x": "${global.nope}"}}, "unknown_global"),
        ({"retry": {"retry_on": ["StepTimout"]}}, "unknown_error_type"),
    ],
)
def test_warnings_refuse_nothing(fields, code):
    found = checked(step("maybe", precondition="context.x == 1"), step("a", **fields), global_context={"yes": 1})
    assert found.definition is not None
    assert [w.code for w in found.warnings] == [code]


@pytest.mark.parametrize(
    "fields",
    [
        {"parameters": {"x": '${steps.get("maybe.result.text", "")}'}},
        {"parameters": {"x": "${has(steps.maybe.result.text)}"}},
        {"parameters": {"x": "${steps.maybe.status}"}},
        {"parameters": {"x": "${steps.maybe.result.text}"}, "depends_on": ["maybe"]},
        {"retry": {"retry_on": ["StepTimeout", "RateLimited"], "never_on": ["FunctionFailed"]}},
        {"validation": "result.items.all(x, x > 1)", "result_processor": '{"n": result.n}'},
        {"parameters": {"x": "${secrets.KEY}", "y": "${global.yes}"}},
    ],
)
def test_what_is_right_is_warned_about_by_nobody(fields):
    found = checked(step("maybe", precondition="context.x == 1"), step("a", **fields), global_context={"yes": 1})
    assert (found.problems, found.warnings) == ([], [])


def test_without_a_catalog_agents_are_not_checked():
    assert check(read_object(workflow(step(agent_id="nobody")))).definition is not None


def test_the_error_carries_all_problems():
    with pytest.raises(DefinitionError) as caught:
        definition(step(agent_id="x", function_name="y"))
    assert len(caught.value.to_json()["problems"]) == 2


def test_a_definition_goes_to_yaml_and_back_in_the_order_it_was_written():
    raw = {
        "steps": [
            step(
                parameters={"z": "l1\n  l2\n", "a": "yes"},
                precondition='context.get("x") == 1',
                max_retries=3,
            )
        ],
        "description": "one\ntwo",
        "workflow_id": "w",
    }
    made = check(read_object(raw)).definition_or_raise()
    text = to_yaml(made)
    assert "description: |-\n  one\n  two\n" in text
    again = check(read_yaml(text)).definition_or_raise()
    assert again == made
    assert to_dict(again) == to_dict(made) == raw
    assert list(to_dict(again)) == ["steps", "description", "workflow_id"]
    assert list(to_dict(again)["steps"][0]) == list(raw["steps"][0])


ODD = [
    "yes",
    "1e5",
    "0x1",
    "1_0",
    "~",
    "",
    "<<",
    "- a",
    "a: b",
    "2024-01-01",
    "null",
    "0o7",
    "1.",
    "#",
    "!",
    "&a",
]
ODD += [
    "*a",
    "|",
    ">",
    "%",
    "@",
    "`",
    "\n",
    " x\n",
    "a\n b",
    "\ttab",
    "trailing \n",
    "\r\n",
    "\ufeff",
    "\u2028",
]
ODD += ["\x85", "x\x07"]
TEXT = st.sampled_from(ODD) | st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=12
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXT
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(TEXT, below, max_size=3),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text("abc", min_size=1), JSON, max_size=3), TEXT)
def test_any_definition_survives_the_round_trip(free, text):
    one = step(metadata=free, description=text, fallback={"result": {"fixed": True}})
    made = definition(one, metadata=free, global_context=free, description=text, parameters={"title": text})
    again = check(read_yaml(to_yaml(made))).definition_or_raise()
    assert to_dict(again) == to_dict(made)
    assert repr(to_dict(again)) == repr(to_dict(made))
    assert checksum(again) == checksum(made)


FIELDS = st.sampled_from(sorted(Definition.model_fields | FunctionStep.model_fields | {"if": None, "nope": None}))


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(FIELDS, JSON, max_size=4), st.dictionaries(FIELDS, JSON, max_size=4))
def test_whatever_stands_in_the_fields_the_checks_answer(fields, step_fields):
    found = check(read_object(workflow(step() | step_fields) | fields), Catalog())
    assert (found.definition is None) == bool(found.problems)


def test_the_checksum_is_over_what_is_meant():
    plain = definition(step(parameters={"n": 1}))
    assert checksum(plain) == checksum(definition(step(parameters={"n": 1}, max_retries=3, timeout_seconds=60.0)))
    assert checksum(plain) == checksum(definition(step(parameters={"n": 1}), stop_on_failure=True, tags=[]))
    assert checksum(plain) != checksum(definition(step(parameters={"n": 1.0})))
    assert checksum(plain) != checksum(definition(step(parameters={"n": 1}, max_retries=2)))
    assert len(checksum(plain)) == 64


def test_a_value_is_matched_against_a_schema_in_linear_time_and_without_end():
    schema = {"type": "object", "properties": {"a": {"pattern": "^(x+x+)+y$"}}, "required": ["b"]}
    assert schema_faults(schema) == []
    found = mismatches({"a": "x" * 5000}, schema)
    assert sorted(path for path, _ in found) == [(), ("a",)]
    assert mismatches({"a": "xxxy", "b": 1}, schema) == []
    assert mismatches(1, {"$ref": "#"}) == [((), "the schema refers to itself without end")]


def test_the_json_schema_accepts_what_the_checks_accept():
    from jsonschema import Draft202012Validator

    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    assert validator.is_valid(workflow(step(precondition={"callable": "x"}, timeout_seconds=1.5)))
    assert not validator.is_valid(workflow(step(max_retries="3")))
    assert not validator.is_valid(workflow(step(nope=1)))


@pytest.mark.parametrize("model", [Definition, FunctionStep])
def test_every_field_says_what_it_means(model):
    assert [name for name, field in model.model_fields.items() if not field.description] == []


def test_limits_and_caches_are_in_force_and_nothing_is_said_of_them():
    text = """\
workflow_id: w
concurrency: {limit: 2}
steps:
  - {step_id: a, agent_id: x, function_name: echo, cache: {ttl_seconds: 5}}
"""
    checked = check(read_yaml(text))
    assert checked.definition is not None
    assert checked.warnings == []
