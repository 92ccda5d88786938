import doctest

import pytest
from hypothesis import given, settings

import workflows
from tests.unit.test_blocks import NESTS
from tests.unit.test_definitions import workflow
from workflows import Steps, WorkflowBuilder, builder
from workflows.definitions import building, callables, check, read_object, to_dict
from workflows.errors import CallableNotFound, DefinitionError


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch):
    monkeypatch.setattr(callables, "_registered", {})


def review(**check):
    return (
        WorkflowBuilder("review", "Review an article")
        .global_context(topic="AI")
        .step("write", agent="content_creator", function="inference", prompt="Write about ${context.topic}")
        .step("check", agent="qa_specialist", function="text_processing", **check)
    )


def test_the_builder_makes_the_same_definition_as_yaml():
    built = review(max_retries=1, name="Check", parameters={"description": "a parameter"}, operation="analyze").build()
    assert to_dict(built) == {
        "workflow_id": "review",
        "workflow_name": "Review an article",
        "global_context": {"topic": "AI"},
        "steps": [
            {
                "step_id": "write",
                "agent_id": "content_creator",
                "function_name": "inference",
                "parameters": {"prompt": "Write about ${context.topic}"},
            },
            {
                "step_id": "check",
                "agent_id": "qa_specialist",
                "function_name": "text_processing",
                "step_name": "Check",
                "max_retries": 1,
                "parameters": {"description": "a parameter", "operation": "analyze"},
            },
        ],
    }
    text = review().to_yaml()
    assert WorkflowBuilder.from_yaml(text).build() == review().build()


def test_every_field_of_a_workflow_can_be_built():
    built = (
        WorkflowBuilder("w", stop_on_failure=False)
        .description("d")
        .metadata(owner="x")
        .tags("a", "b")
        .input_schema({"type": "object"})
        .retry(multiplier=3)
        .concurrency(2, on_limit="reject")
        .options(default_llm="m", max_execution_time_seconds=5)
        .step("a", agent="x", function="echo")
        .build()
    )
    assert (built.description, built.metadata, built.tags) == ("d", {"owner": "x"}, ["a", "b"])
    assert (built.parameters, built.stop_on_failure, built.default_llm) == ({"type": "object"}, False, "m")
    assert (built.retry.multiplier, built.concurrency.limit, built.concurrency.on_limit) == (3, 2, "reject")


def test_a_lambda_stands_beside_the_definition_and_is_refused_by_name_where_it_would_be_stored():
    builder = review(precondition=lambda context: context["ready"])
    built = builder.build()
    assert built.steps[1].precondition.callable == "lambda:check.precondition"
    assert builder.callables["lambda:check.precondition"]({"ready": 7}) == 7
    with pytest.raises(DefinitionError, match=r'precondition of step "check".*@workflows.callable'):
        builder.to_yaml()


def test_a_registered_callable_is_named_in_the_definition():
    @workflows.callable("is_ready")
    def is_ready(context):
        return context["ready"]

    builder = review(precondition=is_ready, validation={"callable": "is_ready"})
    assert builder.callables == {}
    assert builder.build().steps[1].precondition.callable == "is_ready"
    assert WorkflowBuilder.from_yaml(builder.to_yaml()).build() == builder.build()
    assert callables.get("is_ready") is is_ready


def test_a_name_belongs_to_one_callable():
    workflows.callable("a")(lambda context: True)
    with pytest.raises(ValueError, match="registered already"):
        workflows.callable("a")(_elsewhere)
    for name in ("", "lambda:x", None):
        with pytest.raises(ValueError, match="takes a name"):
            workflows.callable(name)


def _elsewhere(context):
    return False


def test_an_unknown_callable_is_told_with_the_nearest_name():
    workflows.callable("is_ready")(_elsewhere)
    with pytest.raises(CallableNotFound, match='did you mean "is_ready"'):
        callables.get("is_redy")
    assert callables.get("x", {"x": _elsewhere}) is _elsewhere


def test_what_is_no_json_is_refused_with_its_path():
    with pytest.raises(DefinitionError) as caught:
        WorkflowBuilder("w").step("a", agent="x", function="y", when={1, 2}).build()
    assert [(p.path, p.code) for p in caught.value.problems] == [("steps[0].parameters.when", "not_json")]


def say(step_id, **options):
    return Steps().step(step_id, agent="content_creator", function="echo", message="x", **options)


def every_block():
    return (
        WorkflowBuilder("w")
        .if_("gate", "input.x == 1", then=say("a"), else_=say("b"), name="Gate", continue_on_failure=True)
        .switch("sort", "input.kind", cases={"1": say("c"), "2": say("d")}, default=say("e"))
        .for_each("all", "input.list", as_="page", steps=say("f"), max_concurrency=3, max_iterations=5)
        .while_("again", "input.more", steps=say("g").step("h", agent="x", function="y"), max_iterations=2)
        .parallel("both", {"one": say("i"), "my-two": say("j").if_("inner", "true", then=say("k"))})
        .workflow("child", "other", version=2, input={"x": "${input.x}"}, depends_on=["gate"])
        .wait("pause", seconds=5)
        .wait("until", until="2026-01-31T09:30:00Z", precondition="input.x == 1")
        .approval("ask", "Right?", options=["approve", "no"], assignees=["ada"], timeout_seconds=60, on_timeout="fail")
        .wait_for("paid", "paid-${input.order}", timeout_seconds=60)
    )


def test_every_block_can_be_built():
    echo = {"agent_id": "content_creator", "function_name": "echo", "parameters": {"message": "x"}}
    built = to_dict(every_block().build())["steps"]
    assert [list(step)[:2] for step in built][:6] == [
        ["step_id", key] for key in ("if", "switch", "for_each", "while", "parallel", "workflow")
    ]
    assert built[0] == {
        "step_id": "gate",
        "if": "input.x == 1",
        "then": [{"step_id": "a", **echo}],
        "else": [{"step_id": "b", **echo}],
        "step_name": "Gate",
        "continue_on_failure": True,
    }
    assert (built[2]["as"], built[2]["max_concurrency"], built[2]["max_iterations"]) == ("page", 3, 5)
    assert built[4]["parallel"]["my-two"][1]["then"] == [{"step_id": "k", **echo}]
    assert built[5] == {
        "step_id": "child",
        "workflow": "other",
        "version": 2,
        "input": {"x": "${input.x}"},
        "depends_on": ["gate"],
    }
    assert built[8]["approval"] == {
        "prompt": "Right?",
        "options": ["approve", "no"],
        "assignees": ["ada"],
        "timeout_seconds": 60,
        "on_timeout": "fail",
    }
    assert WorkflowBuilder.from_yaml(every_block().to_yaml()).build() == every_block().build()


def test_a_lambda_inside_a_block_runs_here_and_is_refused_by_name_where_it_would_be_stored():
    rule = lambda context: True  # noqa: E731
    built = (
        WorkflowBuilder("w")
        .if_("gate", "true", then=say("a", precondition=rule))
        .wait("pause", seconds=1, precondition=rule)
    )
    assert set(built.callables) == {"lambda:a.precondition", "lambda:pause.precondition"}
    assert built.build().steps[1].precondition.callable == "lambda:pause.precondition"
    with pytest.raises(DefinitionError) as caught:
        built.to_yaml()
    assert [(p.path, p.code) for p in caught.value.problems] == [
        ("steps[0].then[0].precondition", "callable_not_registered"),
        ("steps[1].precondition", "callable_not_registered"),
    ]


@settings(max_examples=40, deadline=None)
@given(NESTS)
def test_any_nest_of_blocks_goes_through_the_builder_to_yaml_and_back(steps):
    made = check(read_object(workflow(*steps))).definition_or_raise()
    text = WorkflowBuilder.from_definition(made).to_yaml()
    assert WorkflowBuilder.from_yaml(text).build() == made
    assert WorkflowBuilder.from_yaml(text).to_yaml() == text


@pytest.mark.parametrize("module", [builder, building])
def test_the_examples_in_docstrings_work(module):
    names = {"Steps": Steps, "WorkflowBuilder": WorkflowBuilder}
    assert doctest.testmod(module, extraglobs=names).failed == 0
