"""A workflow's definition as typed, frozen data; the JSON Schema and the docs table come from here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    Tag,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError

YEAR = 31_536_000
MAX_STEPS = 1000  # of a definition, those inside blocks counted
MAX_DEPTH = 20  # of blocks in blocks
MAX_ITERATIONS = 100_000
MAX_TEXT = 10_000
CONTAINERS = frozenset({"if", "switch", "for_each", "while", "parallel"})
"""Kinds of blocks that have steps inside, and do nothing else."""
DEFAULT_CASE = "default"
ID_PATTERN = r"^[A-Za-z0-9_-]{1,100}$"


def _number_as_written(value: Any, check: ValidatorFunctionWrapHandler) -> int | float:
    """Refuse what is no number; keep 60 an int and write 60.0 as 60, so that both have one checksum."""
    number: float = check(value)
    return int(number) if number.is_integer() else number


Number = Annotated[float, WrapValidator(_number_as_written)]
Identifier = Annotated[str, Field(pattern=ID_PATTERN)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class Written(BaseModel):
    """A part of a definition. It remembers in which order its fields were written, for `to_dict`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
    _keys: tuple[str, ...] = PrivateAttr(())

    @model_validator(mode="wrap")
    @classmethod
    def _remember_order(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        model = handler(value)
        if isinstance(value, Mapping):
            model._keys = tuple(value)
        return model

    def __eq__(self, other: object) -> bool:
        """Equal fields make equal parts, in whatever order they were written."""
        return type(self) is type(other) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]


class CallableName(Written):
    """A Python function registered with `@workflows.callable("name")`, in place of an expression."""

    callable: Annotated[str, Field(min_length=1, max_length=200, description="Name it was registered under.")]


def _rule_kind(value: Any) -> str:
    return "<callable>" if isinstance(value, Mapping | CallableName) else "<expression>"


Rule = Annotated[
    Annotated[str, Tag("<expression>"), Field(min_length=1, max_length=4096)]
    | Annotated[CallableName, Tag("<callable>")],
    Discriminator(_rule_kind),
]
"""An expression in text (with or without `${ }` around it), or `{callable: name}`."""


Expression = Annotated[str, Field(min_length=1, max_length=4096)]
"""An expression in text, with or without `${ }` around it."""

Template = Annotated[str, Field(pattern=r"\$\{", max_length=4096)]
"""Text that is an expression in `${ }`, in place of another type."""

Seconds = Annotated[
    Annotated[Number, Tag("<number>")] | Annotated[Template, Tag("<template>")],
    Discriminator(lambda value: "<template>" if isinstance(value, str) else "<number>"),
]
VariableName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")]


class RetryPolicy(Written):
    """How retries wait, and which errors they are for."""

    initial_delay_seconds: Annotated[
        Number, Field(ge=0, le=YEAR, description="Longest wait before the first retry.")
    ] = 1
    multiplier: Annotated[
        Number, Field(ge=1, le=100, description="Factor from one retry's longest wait to the next's.")
    ] = 2
    max_delay_seconds: Annotated[
        Number, Field(ge=0, le=YEAR, description="Bound of every wait that no server asked for.")
    ] = 60
    jitter: Annotated[
        Literal["full", "none"],
        Field(description="full: a random part of the wait, so that many runs do not come back at once."),
    ] = "full"
    retry_on: Annotated[
        list[Name],
        Field(description="Error types that are retried; empty: all that can heal."),
    ] = []
    never_on: Annotated[list[Name], Field(description="Error types that are never retried; wins over retry_on.")] = []


class Fallback(Written):
    """What is done once, when all attempts have failed: another function, or a fixed result."""

    agent_id: Annotated[Name | None, Field(description="Agent that steps in, by name or UUID.")] = None
    function_name: Annotated[Name | None, Field(description="Function of that agent.")] = None
    parameters: Annotated[
        dict[str, Any], Field(description="Its parameters; may contain `${…}`. Left out: the step's own.")
    ] = {}
    result: Annotated[dict[str, Any] | None, Field(description="The result to take, in place of a function.")] = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        given = self.model_fields_set
        whole = {"agent_id", "function_name"} <= given
        if whole == ("result" in given) or (not whole and given - {"result"}):
            raise PydanticCustomError("fallback_form", "give either agent_id and function_name, or result alone")
        return self


class Cache(Written):
    """Reuse of an earlier result of the same agent, function, parameters and key, from any run."""

    ttl_seconds: Annotated[Number, Field(gt=0, le=YEAR, description="How long a result stays good.")]
    key: Annotated[str | None, Field(description="Text that sets results apart; may contain `${…}`.")] = None


class Concurrency(Written):
    """How many runs of this workflow may be under way at once."""

    limit: Annotated[int, Field(ge=1, le=100_000, description="Runs under way at once, over all workers.")]
    on_limit: Annotated[
        Literal["queue", "reject"], Field(description="queue: further runs wait; reject: they are refused.")
    ] = "queue"


class BaseStep(Written):
    """What every step has, a block too."""

    kind: ClassVar[str]

    step_id: Annotated[Identifier, Field(description="Identity of the step, unique in the whole definition.")]
    step_name: Annotated[Name | None, Field(description="What people read; default: the id.")] = None
    description: Annotated[str, Field(description="What the step is for.")] = ""
    continue_on_failure: Annotated[bool, Field(description="The run goes on if this step fails.")] = False
    depends_on: Annotated[
        list[Identifier],
        Field(description="Earlier steps; if one of them failed or was skipped, this step is skipped."),
    ] = []
    precondition: Annotated[
        Rule | None,
        Field(description="Expression, or `{callable: name}`, called with `(context)`; false: the step is skipped."),
    ] = None
    metadata: Annotated[dict[str, Any], Field(description="Free.")] = {}

    @property
    def name(self) -> str:
        """What people read: `step_name`, else the id."""
        return self.step_name or self.step_id

    @property
    def branches(self) -> Mapping[str, Steps]:
        """The lists of steps inside a block, by the names of its branches."""
        return {}


class FunctionStep(BaseStep):
    """One call of an agent's function."""

    kind = "function"

    agent_id: Annotated[Name, Field(description="Agent, by name or UUID: who does it.")]
    function_name: Annotated[Name, Field(description="Function of that agent: what it does.")]
    parameters: Annotated[dict[str, Any], Field(description="Parameters of the function; may contain `${…}`.")] = {}
    llm_name: Annotated[Name | None, Field(description="Model to ask for, in place of the agent's own.")] = None
    timeout_seconds: Annotated[
        Number, Field(gt=0, le=YEAR, description="For one attempt; the attempt is really stopped.")
    ] = 60
    max_retries: Annotated[int, Field(ge=0, le=1000, description="Attempts after the first.")] = 3
    retry: Annotated[RetryPolicy | None, Field(description="How retries wait; default: the workflow's.")] = None
    validation: Annotated[
        Rule | None,
        Field(
            description="Expression over `result`, or `{callable: name}`, called with `(context, result)`; "
            "false: the attempt failed and is retried."
        ),
    ] = None
    result_processor: Annotated[
        Rule | None,
        Field(
            description="Expression that makes an object, or `{callable: name}`, called with "
            "`(context, result)`; what it gives replaces the result."
        ),
    ] = None
    fallback: Annotated[Fallback | None, Field(description="Used once, when all attempts have failed.")] = None
    cache: Annotated[
        Cache | None, Field(description="Reuse what the function gave before, for the same parameters.")
    ] = None
    output_schema: Annotated[
        dict[str, Any] | None,
        Field(description="JSON Schema that the result must match; `inference` also asks the model for it."),
    ] = None
    generate: Annotated[
        bool, Field(description="The list `steps` of the result is checked like a definition and run in place.")
    ] = False


class If(BaseStep):
    """One of two branches, by a condition."""

    kind = "if"

    if_: Annotated[Expression, Field(alias="if", description="true: `then` is run; false: `else`.")]
    then: Annotated[Steps, Field(strict=False, min_length=1, max_length=MAX_STEPS, description="Steps, in order.")]
    else_: Annotated[
        Steps, Field(alias="else", strict=False, max_length=MAX_STEPS, description="Steps, in order; may be left out.")
    ] = ()

    @property
    def branches(self) -> Mapping[str, Steps]:
        return {"then": self.then, "else": self.else_}


class Switch(BaseStep):
    """One of many branches, by a value."""

    kind = "switch"

    switch: Annotated[Expression, Field(description="What it gives, as text, is looked up among the cases.")]
    cases: Annotated[
        dict[Name, Branch],
        Field(
            min_length=1,
            max_length=MAX_STEPS,
            description="Value, as text → steps, in order.",
            json_schema_extra={"propertyNames": {"minLength": 1, "maxLength": 200, "not": {"const": DEFAULT_CASE}}},
        ),
    ]
    default: Annotated[
        Steps, Field(strict=False, max_length=MAX_STEPS, description="Steps for any other value; may be left out.")
    ] = ()

    @property
    def branches(self) -> Mapping[str, Steps]:
        return {**self.cases, DEFAULT_CASE: self.default}


class ForEach(BaseStep):
    """A loop over the items of a list, `max_concurrency` at once."""

    kind = "for_each"

    for_each: Annotated[Expression, Field(description="Gives the list.")]
    as_: Annotated[
        VariableName, Field(alias="as", description="Name of the item in expressions; `index` counts from 0.")
    ] = "item"
    steps: Annotated[
        Steps, Field(strict=False, min_length=1, max_length=MAX_STEPS, description="Steps for each item, in order.")
    ]
    max_concurrency: Annotated[int, Field(ge=1, le=1000, description="Items under way at once.")] = 1
    max_iterations: Annotated[
        int, Field(ge=1, le=MAX_ITERATIONS, description="A longer list fails the step before any item is begun.")
    ] = 1000

    @property
    def branches(self) -> Mapping[str, Steps]:
        return {"steps": self.steps}


class While(BaseStep):
    """A loop that goes on while a condition holds."""

    kind = "while"

    while_: Annotated[Expression, Field(alias="while", description="Asked before each iteration.")]
    steps: Annotated[
        Steps, Field(strict=False, min_length=1, max_length=MAX_STEPS, description="Steps of an iteration, in order.")
    ]
    max_iterations: Annotated[
        int, Field(ge=1, le=MAX_ITERATIONS, description="If the condition still holds after so many, the step fails.")
    ] = 100

    @property
    def branches(self) -> Mapping[str, Steps]:
        return {"steps": self.steps}


class Parallel(BaseStep):
    """Branches at once, joined at the end."""

    kind = "parallel"

    parallel: Annotated[
        dict[Identifier, Branch], Field(min_length=1, max_length=MAX_STEPS, description="Name → steps, in order.")
    ]

    @property
    def branches(self) -> Mapping[str, Steps]:
        return self.parallel


class Child(BaseStep):
    """Another workflow, as a run of its own; what its steps added to its context is the result."""

    kind = "workflow"

    workflow: Annotated[Identifier, Field(description="Id of the workflow.")]
    version: Annotated[int | None, Field(ge=1, description="Its version; default: the current one.")] = None
    input: Annotated[dict[str, Any], Field(description="Its `input_context`; may contain `${…}`.")] = {}


class WaitTime(Written):
    """How long, or until when."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["seconds"]}, {"required": ["until"]}]})

    seconds: Annotated[Seconds | None, Field(description="How long; may be a `${…}`.")] = None
    until: Annotated[
        Annotated[str, Field(min_length=1, max_length=MAX_TEXT)] | None,
        Field(description="Until when: a timestamp by RFC 3339, with its offset from UTC."),
    ] = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.seconds is None) == (self.until is None):
            raise PydanticCustomError("wait_form", "give either seconds or until")
        if isinstance(self.seconds, int | float) and not 0 <= self.seconds <= YEAR:
            raise PydanticCustomError("wait_form", "seconds are from 0 to 31,536,000 (a year)")
        return self


class Wait(BaseStep):
    """Waits for a time; nothing is held meanwhile."""

    kind = "wait"

    wait: Annotated[WaitTime, Field(description="`{seconds}` or `{until}`.")]


class Question(Written):
    """What a person is asked."""

    prompt: Annotated[str, Field(min_length=1, max_length=MAX_TEXT, description="What is asked; may contain `${…}`.")]
    options: Annotated[list[Name], Field(min_length=1, max_length=20, description="The answers that can be given.")] = [
        "approve",
        "reject",
    ]
    assignees: Annotated[
        list[Name],
        Field(description="Who may answer: user names, and groups as `group:<name>`; empty: everybody who may."),
    ] = []
    timeout_seconds: Annotated[
        Number | None, Field(gt=0, le=YEAR, description="How long it waits for an answer; default: for ever.")
    ] = None
    on_timeout: Annotated[
        Literal["fail", "approve", "reject"],
        Field(description="What happens then: the step fails, or that answer is taken."),
    ] = "fail"


class Approval(BaseStep):
    """Waits for a person's answer: `{answer, comment, answered_by}` is the result."""

    kind = "approval"

    approval: Annotated[Question, Field(description="`{prompt, options, assignees, timeout_seconds, on_timeout}`.")]


class AwaitedEvent(Written):
    """What is waited for."""

    event: Annotated[Name, Field(description="Name of the event; may contain `${…}`.")]
    timeout_seconds: Annotated[
        Number | None, Field(gt=0, le=YEAR, description="After so long the step fails; default: never.")
    ] = None


class WaitFor(BaseStep):
    """Waits for an event from outside: `{event, data}` is the result."""

    kind = "wait_for"

    wait_for: Annotated[AwaitedEvent, Field(description="`{event, timeout_seconds}`.")]


BLOCKS: dict[str, type[BaseStep]] = {
    model.kind: model for model in (If, Switch, ForEach, While, Parallel, Child, Wait, Approval, WaitFor)
}
"""Key that makes a step a block → its model. Each model's `kind` is that key."""


def step_model(value: Any) -> type[BaseStep]:
    """The model of a step as it was written: that of the first block whose key it has."""
    if isinstance(value, BaseStep):
        return type(value)
    keys = value if isinstance(value, Mapping) else ()
    return next((BLOCKS[key] for key in keys if key in BLOCKS), FunctionStep)


Step = Annotated[
    Annotated[FunctionStep, Tag("<function>")]
    | Annotated[If, Tag("<if>")]
    | Annotated[Switch, Tag("<switch>")]
    | Annotated[ForEach, Tag("<for_each>")]
    | Annotated[While, Tag("<while>")]
    | Annotated[Parallel, Tag("<parallel>")]
    | Annotated[Child, Tag("<workflow>")]
    | Annotated[Wait, Tag("<wait>")]
    | Annotated[Approval, Tag("<approval>")]
    | Annotated[WaitFor, Tag("<wait_for>")],
    Discriminator(lambda value: f"<{step_model(value).kind}>"),
]
Steps = tuple[Step, ...]
Branch = Annotated[Steps, Field(strict=False, min_length=1, max_length=MAX_STEPS)]

for _model in BLOCKS.values():  # their fields, aliases too, are known only now that `Steps` is
    _model.model_rebuild()


def walk(steps: Iterable[BaseStep]) -> Iterator[BaseStep]:
    """All steps, each before those inside it, in the order of the definition."""
    for step in steps:
        yield step
        for branch in step.branches.values():
            yield from walk(branch)


class Definition(Written):
    """A workflow: steps in order, and what holds for all of them."""

    DEFAULT_RETRY: ClassVar[RetryPolicy] = RetryPolicy()

    workflow_id: Annotated[Identifier, Field(description="Identity, unique among workflows that are not archived.")]
    workflow_name: Annotated[Name | None, Field(description="What people read; default: the id.")] = None
    description: Annotated[str, Field(description="What the workflow is for.")] = ""
    stop_on_failure: Annotated[
        bool,
        Field(
            description="A step that fails ends the run, unless it says continue_on_failure; "
            "false tolerates every failure."
        ),
    ] = True
    max_execution_time_seconds: Annotated[
        Number, Field(gt=0, le=YEAR, description="Deadline of one run, waiting time for a person excluded.")
    ] = 600
    save_intermediate_results: Annotated[
        bool, Field(description="false: a finished run keeps only the last step's result data.")
    ] = True
    global_context: Annotated[dict[str, Any], Field(description="Values that every step sees.")] = {}
    default_llm: Annotated[Name | None, Field(description="Model that steps without llm_name ask for.")] = None
    parameters: Annotated[
        dict[str, Any] | None,
        Field(description="JSON Schema that input_context must match; its defaults are filled in before a run begins."),
    ] = None
    metadata: Annotated[dict[str, Any], Field(description="Free.")] = {}
    tags: Annotated[list[Name], Field(description="Free.")] = []
    retry: Annotated[RetryPolicy | None, Field(description="The default for all steps.")] = None
    concurrency: Annotated[Concurrency | None, Field(description="Limit of runs at once.")] = None
    steps: Annotated[Steps, Field(strict=False, min_length=1, max_length=MAX_STEPS, description="Steps, in order.")]

    @property
    def name(self) -> str:
        """What people read: `workflow_name`, else the id."""
        return self.workflow_name or self.workflow_id

    @property
    def total_steps(self) -> int:
        """Steps of the definition at any depth; blocks of other steps are none themselves."""
        return sum(step.kind not in CONTAINERS for step in walk(self.steps))

    def retry_for(self, step: FunctionStep) -> RetryPolicy:
        """The step's own policy, else the workflow's, else the default."""
        return step.retry or self.retry or self.DEFAULT_RETRY

    def model_for(self, step: FunctionStep) -> str | None:
        """The model that the step asks for: `llm_name`, else `default_llm`, else None (the agent's own)."""
        return step.llm_name or self.default_llm
