"""A workflow's definition as typed, frozen data; the JSON Schema and the docs table come from here."""

from __future__ import annotations

from collections.abc import Mapping
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


class Step(Written):
    """One call of an agent's function."""

    step_id: Annotated[Identifier, Field(description="Identity of the step, unique in the whole definition.")]
    step_name: Annotated[Name | None, Field(description="What people read; default: the id.")] = None
    description: Annotated[str, Field(description="What the step is for.")] = ""
    agent_id: Annotated[Name, Field(description="Agent, by name or UUID: who does it.")]
    function_name: Annotated[Name, Field(description="Function of that agent: what it does.")]
    parameters: Annotated[dict[str, Any], Field(description="Parameters of the function; may contain `${…}`.")] = {}
    llm_name: Annotated[Name | None, Field(description="Model to ask for, in place of the agent's own.")] = None
    timeout_seconds: Annotated[
        Number, Field(gt=0, le=YEAR, description="For one attempt; the attempt is really stopped.")
    ] = 60
    max_retries: Annotated[int, Field(ge=0, le=1000, description="Attempts after the first.")] = 3
    retry: Annotated[RetryPolicy | None, Field(description="How retries wait; default: the workflow's.")] = None
    continue_on_failure: Annotated[bool, Field(description="The run goes on if this step fails.")] = False
    depends_on: Annotated[
        list[Identifier],
        Field(description="Earlier steps; if one of them failed or was skipped, this step is skipped."),
    ] = []
    precondition: Annotated[
        Rule | None,
        Field(description="Expression, or `{callable: name}`, called with `(context)`; false: the step is skipped."),
    ] = None
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
    metadata: Annotated[dict[str, Any], Field(description="Free.")] = {}

    @property
    def name(self) -> str:
        """What people read: `step_name`, else the id."""
        return self.step_name or self.step_id


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
    steps: Annotated[
        tuple[Step, ...], Field(strict=False, min_length=1, max_length=1000, description="Steps, in order.")
    ]

    @property
    def name(self) -> str:
        """What people read: `workflow_name`, else the id."""
        return self.workflow_name or self.workflow_id

    def retry_for(self, step: Step) -> RetryPolicy:
        """The step's own policy, else the workflow's, else the default."""
        return step.retry or self.retry or self.DEFAULT_RETRY

    def model_for(self, step: Step) -> str | None:
        """The model that the step asks for: `llm_name`, else `default_llm`, else None (the agent's own)."""
        return step.llm_name or self.default_llm
