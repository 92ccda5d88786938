"""Lists of steps written in Python: blocks take them as arguments, and `WorkflowBuilder` is one itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, Self, TypedDict, Unpack

from workflows.definitions import callables
from workflows.definitions.models import FunctionStep
from workflows.definitions.tree import RULES

Rule = str | Mapping[str, str] | Callable[..., Any]
"""An expression, `{"callable": name}`, a registered function, or any function (in this process only)."""

OPTIONS = frozenset(FunctionStep.model_fields) - {"step_id", "agent_id", "function_name", "step_name", "parameters"}
"""Keywords of `step` that are fields of the step; every other keyword is a parameter of its function."""


class BlockOptions(TypedDict, total=False):
    """What every block takes beside its own keywords; `name` is its `step_name`."""

    name: str
    description: str
    continue_on_failure: bool
    depends_on: list[str]
    precondition: Rule
    metadata: Mapping[str, Any]


class Steps:
    """Steps in order, as the branch of a block.

    >>> cheap = Steps().step("look_up", agent="research_assistant", function="echo", message="${input.question}")
    >>> dear = Steps().step("ask", agent="content_creator", function="inference", prompt="${input.question}")
    >>> both = Steps().if_("known", "input.question in context.answers", then=cheap, else_=dear)
    """

    def __init__(self) -> None:
        self._steps: list[dict[str, Any]] = []
        self.callables: dict[str, Callable[..., Any]] = {}
        """The functions given to steps that are not registered, by the names that stand for them."""

    def step(
        self,
        step_id: str,
        *,
        agent: str,
        function: str,
        name: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        **options_and_parameters: Any,
    ) -> Self:
        """Add a call of an agent's function. Keywords that are fields of a step are options, all others are parameters
        of the function.

        A parameter that bears an option's name goes into `parameters`. `precondition`, `validation` and
        `result_processor` take an expression in text, a registered callable, or any function (this process
        only).
        """
        step: dict[str, Any] = {"step_id": step_id, "agent_id": agent, "function_name": function}
        if name is not None:
            step["step_name"] = name
        given = dict(parameters or {})
        for key, value in options_and_parameters.items():
            (step if key in OPTIONS else given)[key] = value
        if given:
            step["parameters"] = given
        return self._add(step)

    def if_(
        self, step_id: str, condition: str, *, then: Steps, else_: Steps | None = None, **more: Unpack[BlockOptions]
    ) -> Self:
        """Add one of two branches, by an expression that is true or false."""
        return self._block(step_id, more, {"if": condition, "then": then, "else": else_})

    def switch(
        self,
        step_id: str,
        value: str,
        *,
        cases: Mapping[str, Steps],
        default: Steps | None = None,
        **more: Unpack[BlockOptions],
    ) -> Self:
        """Add one of many branches, by an expression whose value is looked up, as text, among the cases."""
        return self._block(step_id, more, {"switch": value, "cases": cases, "default": default})

    def for_each(
        self,
        step_id: str,
        items: str,
        *,
        steps: Steps,
        as_: str | None = None,
        max_concurrency: int | None = None,
        max_iterations: int | None = None,
        **more: Unpack[BlockOptions],
    ) -> Self:
        """Add a loop over the list that an expression gives; `as_` names the item, else it is `item`."""
        loop = {"steps": steps, "max_concurrency": max_concurrency, "max_iterations": max_iterations}
        return self._block(step_id, more, {"for_each": items, "as": as_, **loop})

    def while_(
        self,
        step_id: str,
        condition: str,
        *,
        steps: Steps,
        max_iterations: int | None = None,
        **more: Unpack[BlockOptions],
    ) -> Self:
        """Add a loop that goes on while an expression is true."""
        return self._block(step_id, more, {"while": condition, "steps": steps, "max_iterations": max_iterations})

    def parallel(self, step_id: str, branches: Mapping[str, Steps], **more: Unpack[BlockOptions]) -> Self:
        """Add branches that run at once and are joined at the end."""
        return self._block(step_id, more, {"parallel": branches})

    def workflow(
        self,
        step_id: str,
        workflow_id: str,
        *,
        version: int | None = None,
        input: Mapping[str, Any] | None = None,
        **more: Unpack[BlockOptions],
    ) -> Self:
        """Add another workflow, as a run of its own with this input."""
        return self._block(step_id, more, {"workflow": workflow_id, "version": version, "input": input})

    def wait(
        self,
        step_id: str,
        *,
        seconds: float | str | None = None,
        until: str | None = None,
        **more: Unpack[BlockOptions],
    ) -> Self:
        """Add a wait, for so long or until a timestamp with its offset from UTC; both may be a `${…}`."""
        return self._block(step_id, more, {"wait": _given({"seconds": seconds, "until": until})})

    def approval(
        self,
        step_id: str,
        prompt: str,
        *,
        options: list[str] | None = None,
        assignees: list[str] | None = None,
        timeout_seconds: float | None = None,
        on_timeout: Literal["fail", "approve", "reject"] | None = None,
        **more: Unpack[BlockOptions],
    ) -> Self:
        """Add a question to a person; `options` are the answers, if not approve and reject."""
        question = {"prompt": prompt, "options": options, "assignees": assignees}
        timeout = {"timeout_seconds": timeout_seconds, "on_timeout": on_timeout}
        return self._block(step_id, more, {"approval": _given({**question, **timeout})})

    def wait_for(
        self, step_id: str, event: str, *, timeout_seconds: float | None = None, **more: Unpack[BlockOptions]
    ) -> Self:
        """Add a wait for an event from outside."""
        return self._block(step_id, more, {"wait_for": _given({"event": event, "timeout_seconds": timeout_seconds})})

    def _block(self, step_id: str, more: BlockOptions, fields: Mapping[str, Any]) -> Self:
        block = {"step_id": step_id, **_given({key: self._plain(value) for key, value in fields.items()})}
        return self._add(block | {"step_name" if key == "name" else key: value for key, value in more.items()})

    def _add(self, step: dict[str, Any]) -> Self:
        for field in RULES:
            if callable(rule := step.get(field)):
                step[field] = {"callable": self._name(f"{step['step_id']}.{field}", rule)}
        self._steps.append(step)
        return self

    def _name(self, place: str, rule: Callable[..., Any]) -> str:
        name = callables.name_of(rule)
        if name is None:
            name = f"{callables.LAMBDA}{place}"
            self.callables[name] = rule
        return name

    def _plain(self, value: Any) -> Any:
        """The steps of branches as data; their functions become this list's."""
        if isinstance(value, Steps):
            self.callables |= value.callables
            return list(value._steps)
        if isinstance(value, Mapping):
            return {key: self._plain(item) for key, item in value.items()}
        return value


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None}
