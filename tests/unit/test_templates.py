"""Templates as documents: what is refused when one is stored, and what its definition becomes with parameters."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.test_blocks import JUNK, NESTS
from tests.unit.test_definitions import Catalog
from workflows.definitions import (
    Definition,
    FunctionStep,
    check_template,
    fill_definition,
    read_json,
    read_object,
    read_yaml,
)
from workflows.definitions.filling import EXPRESSIONS, PLAIN
from workflows.definitions.inputs import check_parameters
from workflows.definitions.models import BLOCKS, AwaitedEvent, Question, WaitTime
from workflows.definitions.templates import TemplateDocument
from workflows.definitions.tree import LISTS, NAMED, OBJECTS
from workflows.definitions.writing import to_dict, yaml_text
from workflows.errors import DefinitionError, ParametersInvalid

SHIPPED = sorted((Path(__file__).parents[2] / "config" / "templates").glob("*.yaml"))


def step(**fields):
    return {"step_id": "a", "agent_id": "writer", "function_name": "echo"} | fields


def filled(definition, **params):
    return fill_definition(read_object(definition), params)


def faults(definition, **params):
    with pytest.raises(DefinitionError) as caught:
        filled(definition, **params)
    return [(problem.path, problem.code) for problem in caught.value.problems]


def refused(definition, **schema):
    document = {"name": "t", "parameters": schema, "definition": definition}
    with pytest.raises(DefinitionError) as caught:
        check_template(read_object(document), Catalog())
    return [(problem.path, problem.code) for problem in caught.value.problems]


def accepted(definition, **schema):
    return check_template(read_object({"name": "t", "parameters": schema, "definition": definition}), Catalog())


def test_every_field_may_be_a_parameter():
    definition = {
        "workflow_id": "w_${params.n}",
        "stop_on_failure": "${params.on}",
        "global_context": {"${params.n}": "${params.list}"},
        "steps": [
            step(timeout_seconds="${params.n}", parameters="${params.object}", precondition="params.n > input.x")
        ],
    }
    made = filled(definition, n=5, on=False, list=[1], object={"message": "hi ${x}"})
    assert made == {
        "workflow_id": "w_5",
        "stop_on_failure": False,
        "global_context": {"${params.n}": [1]},
        "steps": [step(timeout_seconds=5, parameters={"message": "hi $${x}"}, precondition="5 > input.x")],
    }


def test_text_is_escaped_only_where_a_run_evaluates_it():
    fields = {"description": "${params.x}", "parameters": {"m": "${params.x}"}, "fallback": {"result": "${params.x}"}}
    made = filled({"description": "${params.x}", "steps": [step(**fields)]}, x="${secrets.KEY}")
    assert made["description"] == made["steps"][0]["description"] == "${secrets.KEY}"
    assert made["steps"][0]["parameters"] == {"m": "$${secrets.KEY}"}
    assert made["steps"][0]["fallback"] == {"result": "$${secrets.KEY}"}


def test_in_a_field_that_is_not_known_to_be_plain_text_is_escaped():
    assert filled({"steps": [step(new="${params.x}")]}, x="${y}")["steps"][0]["new"] == "$${y}"
    models = (FunctionStep, *BLOCKS.values(), WaitTime, Question, AwaitedEvent)
    fields = {field.alias or name for model in models for name, field in model.model_fields.items()}
    lists = {*NAMED.values(), *(key for keys in LISTS.values() for key in keys)}
    rendered = {"parameters", "fallback", "cache", "input", "prompt", "assignees", "event", "seconds", "until"}
    assert fields == {*PLAIN, *EXPRESSIONS, *lists, *OBJECTS, *rendered}, (
        "decide how templates fill in a new field: PLAIN, or as a template's text"
    )
    assert "steps" in Definition.model_fields


def test_steps_may_be_parameters_but_bring_no_expressions():
    given = [step(description="${x}", parameters={"message": "${secrets.KEY}"})]
    made = [step(description="${x}", parameters={"message": "$${secrets.KEY}"})]
    assert filled({"steps": "${params.steps}"}, steps=given) == {"steps": made}
    assert filled({"steps": [step(step_id="b"), "${params.one}"]}, one=given[0])["steps"][1:] == made
    rule = [step(precondition="true"), step(precondition={"callable": "ready"})]
    assert faults({"steps": "${params.steps}"}, steps=rule) == [("steps[0].precondition", "expression_in_parameter")]


def test_blocks_are_filled_in_at_any_depth():
    blocks = [
        {"step_id": "s", "switch": "params.n + input.x", "default": "${params.steps}",
         "cases": {"${params.n}": [step(parameters="${params.object}")]}},
        {"step_id": "p", "parallel": {"one": [{"step_id": "f", "for_each": "${params.list}", "as": "${params.name}",
                                               "max_iterations": "${params.n}", "steps": ["${params.one}"]}]}},
        {"step_id": "q", "parallel": "${params.branches}"},
        {"step_id": "w", "wait": {"seconds": "${params.n}"}},
        {"step_id": "a", "approval": {"prompt": "${params.text}", "options": ["${params.text}"],
                                      "assignees": "${params.list}"}},
        {"step_id": "e", "wait_for": {"event": "paid-${params.text}", "timeout_seconds": "${params.n}"}},
        {"step_id": "c", "workflow": "${params.name}", "version": "${params.n}", "input": {"x": "${params.text}"}},
        {"step_id": "g", "approval": "${params.question}"},
    ]  # fmt: skip
    given = step(description="${x}", parameters={"m": "${x}"})
    safe = step(description="${x}", parameters={"m": "$${x}"})
    made = filled(
        {"steps": blocks}, n=3, object={"m": "${x}"}, list=["a"], name="page", text="${x}", one=given, steps=[given],
        branches={"b": [{"step_id": "i", "wait": {"seconds": 1}}, given]},
        question={"prompt": "${x}", "options": ["${x}"]},
    )  # fmt: skip
    assert made["steps"] == [
        {"step_id": "s", "switch": "3 + input.x", "cases": {"${params.n}": [step(parameters={"m": "$${x}"})]},
         "default": [safe]},
        {"step_id": "p", "parallel": {"one": [{"step_id": "f", "for_each": '["a"]', "as": "page",
                                               "max_iterations": 3, "steps": [safe]}]}},
        {"step_id": "q", "parallel": {"b": [{"step_id": "i", "wait": {"seconds": 1}}, safe]}},
        {"step_id": "w", "wait": {"seconds": 3}},
        {"step_id": "a", "approval": {"prompt": "$${x}", "options": ["${x}"], "assignees": ["a"]}},
        {"step_id": "e", "wait_for": {"event": "paid-$${x}", "timeout_seconds": 3}},
        {"step_id": "c", "workflow": "page", "version": 3, "input": {"x": "$${x}"}},
        {"step_id": "g", "approval": {"prompt": "$${x}", "options": ["${x}"]}},
    ]  # fmt: skip


def test_a_block_in_a_parameter_brings_no_expressions_either():
    given = [{"step_id": "l", "while": "true", "steps": [{"step_id": "i", "if": "true", "then": [step()]}]}]
    assert faults({"steps": [{"step_id": "g", "if": "true", "then": "${params.steps}"}]}, steps=given) == [
        ("steps[0].then[0].while", "expression_in_parameter"),
        ("steps[0].then[0].steps[0].if", "expression_in_parameter"),
    ]


def test_all_that_can_not_be_filled_in_is_told_with_its_place():
    definition = {"description": "${params.a + input.x}", "steps": [step(parameters={"m": ["${params.nope}"]})]}
    assert faults(definition, a=1) == [("description", "expression"), ("steps[0].parameters.m[0]", "expression")]


def test_one_parameter_in_many_places_does_not_make_too_much():
    definition = {"steps": [step(parameters={"m": ["${params.x}"] * 100})]}
    assert faults(definition, x="x" * 20_000) == [("steps[0].parameters.m[52]", "too_large")]


def test_defaults_are_filled_in_and_all_mismatches_told():
    schema = {
        "required": ["topic"],
        "properties": {
            "topic": {"type": "string"},
            "n": {"type": "integer", "default": 3},
            "inner": {"properties": {"x": {"default": 1}}},
        },
    }
    assert check_parameters({"topic": "AI", "inner": {}}, schema) == {"n": 3, "topic": "AI", "inner": {"x": 1}}
    with pytest.raises(ParametersInvalid, match="template's schema") as caught:
        check_parameters({"topic": 1, "n": "x"}, schema)
    assert [problem.path for problem in caught.value.problems] == ["parameters.topic", "parameters.n"]


def test_a_template_is_checked_as_far_as_it_goes_without_parameters():
    bad = step(agent_id="nobody", timeout_seconds="x", nope="${params.topic}", parameters={"m": "${params.topic}"})
    misnamed = step(step_id="b", precondition="params.topik == ''")
    assert set(refused({"steps": [bad, misnamed]}, properties={"topic": {}})) == {
        ("definition.steps[0].agent_id", "agent_not_found"),
        ("definition.steps[0].timeout_seconds", "wrong_type"),
        ("definition.steps[0].nope", "unknown_field"),
        ("definition.steps[1].precondition", "unknown_parameter"),
    }  # fmt: skip
    inside = {"step_id": "g", "while": "params.topik > 1", "steps": [step(agent_id="nobody", function_name="echo")]}
    assert set(refused({"steps": [inside]}, properties={"topic": {}})) == {
        ("definition.steps[0].while", "unknown_parameter"),
        ("definition.steps[0].steps[0].agent_id", "agent_not_found"),
    }
    many = [{"step_id": "g", "if": "true", "then": [step(step_id=f"s{i}") for i in range(1000)]}]
    assert refused({"steps": [*many, step(parameters={"m": "${params.x}"})]}, properties={"x": {}}) == [
        ("definition.steps", "too_many_steps")
    ]
    assert refused({"steps": [step(parameters={"m": "${params."})]}) == [
        ("definition.steps[0].parameters.m", "expression")
    ]
    assert refused({"steps": [step()]}, type="strin") == [("parameters.type", "invalid_schema")]
    with pytest.raises(DefinitionError, match="taken by the API"):
        check_template(read_object({"name": "batches", "definition": {"steps": [step()]}}))


@pytest.mark.parametrize(
    "definition",
    [
        {"steps": "${params.x}"},
        {"steps": ["${params.x}", step(depends_on=["other"])]},
        {"steps": [step(step_id="${params.x}"), step(step_id="b", parameters={"m": "${steps.one.result}"})]},
        {"steps": [step(agent_id="${params.x}", function_name="${params.x}", timeout_seconds="${params.x}")]},
        {"steps": [step(parameters="${params.x}", precondition="params.x", fallback="${params.x}")]},
        {"workflow_id": "a b ${params.x}", "global_context": "${params.x}", "steps": [step()]},
        {"steps": [step(parameters={"m": "${has(params.y) ? 1 : params.get('z', 2)}"})]},
        {"steps": [{"step_id": "g", "if": "params.x", "then": "${params.x}"}, step(depends_on=["other"])]},
        {"steps": [{"step_id": "g", "parallel": {"a": ["${params.x}"]}}, step(depends_on=["other"])]},
        {"steps": [{"step_id": "g", "switch": "params.x", "cases": "${params.x}"}, step(depends_on=["other"])]},
        {
            "steps": [
                {
                    "step_id": "g",
                    "for_each": "${params.x}",
                    "as": "${params.x}",
                    "max_iterations": "${params.x}",
                    "steps": [step(parameters={"m": "${page}"})],
                }
            ]
        },
        {"steps": [{"step_id": "g", "workflow": "${params.x}", "version": "${params.x}", "input": "${params.x}"}]},
        {"steps": [{"step_id": "g", "wait": {"until": "${params.x}"}}, {"step_id": "h", "wait": "${params.x}"}]},
    ],
)
def test_what_parameters_may_set_right_is_not_refused(definition):
    accepted(definition, properties={"x": {}})


@pytest.mark.parametrize(
    ("source", "place"),
    [
        (
            read_yaml("name: t\ndefinition:\n  steps:\n    - {step_id: a, agent_id: nobody, function_name: echo}"),
            (4, 30),
        ),
        (read_json('{"name": "t", "definition": {"steps": [\n{"step_id": "a", "function_name": 1}]}}'), (2, 1)),
    ],
    ids=["yaml", "json"],
)
def test_problems_of_a_template_have_their_place_in_the_text(source, place):
    with pytest.raises(DefinitionError) as caught:
        check_template(source, Catalog())
    assert caught.value.problems[0].path == "definition.steps[0].agent_id"
    assert (caught.value.problems[0].line, caught.value.problems[0].column) == place


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_templates_come_back_the_same_from_yaml(path):
    document = check_template(read_yaml(path.read_bytes()))
    assert document.name == path.stem
    again = check_template(read_yaml(yaml_text(to_dict(document))))
    assert to_dict(again) == to_dict(document)
    assert isinstance(again, TemplateDocument)


@settings(max_examples=60, deadline=None)
@given(JUNK | st.lists(JUNK, max_size=2))
def test_whatever_stands_in_place_of_steps_a_template_is_stored_filled_in_or_refused(junk):
    definition = {"workflow_id": "w", "steps": [junk, "${params.x}", {"step_id": "g", "if": "params.y", "then": junk}]}
    with suppress(DefinitionError):
        accepted(definition, properties={"x": {}, "y": {}})
    with suppress(DefinitionError):
        filled(definition, x=junk, y=1)


@settings(max_examples=40, deadline=None)
@given(NESTS)
def test_a_nest_of_blocks_without_parameters_stays_as_it_is(steps):
    definition = {"workflow_id": "w", "steps": steps}
    assert filled(definition) == definition
