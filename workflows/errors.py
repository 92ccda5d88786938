"""What can go wrong in a workflow, a run or a step; the names of an agent's own errors come from
`agents.errors`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from agents.errors import AgentError, AgentNotFound, FunctionFailed, FunctionNotFound, InvalidParameters

if TYPE_CHECKING:
    from workflows.definitions.problems import Problem

__all__ = [
    "AgentNotFound",
    "AnswerRefused",
    "ApprovalNotFound",
    "ApprovalTimeout",
    "CallableNotFound",
    "ChildFailed",
    "ConcurrencyLimitReached",
    "ContextTooLarge",
    "DefinitionError",
    "EventNotFound",
    "EventTimeout",
    "ExpressionError",
    "FunctionFailed",
    "FunctionNotFound",
    "GeneratedStepsInvalid",
    "HelperDied",
    "IdempotencyKeyReused",
    "IllegalTransition",
    "InputInvalid",
    "InvalidParameters",
    "LeaseLost",
    "LoopLimitExceeded",
    "NotAsked",
    "OutputSchemaMismatch",
    "ParametersInvalid",
    "RunDeadlineExceeded",
    "RunNotFound",
    "RunStateConflict",
    "SecretNotFound",
    "StepNotFound",
    "StepTimeout",
    "Stopping",
    "TemplateExists",
    "TemplateNotFound",
    "TooManyRecoveries",
    "TooManySteps",
    "ValidationFailed",
    "VersionConflict",
    "VersionNotFound",
    "WorkflowError",
    "WorkflowExists",
    "WorkflowNotFound",
]


class WorkflowError(AgentError):
    """The base of everything that goes wrong outside an agent's function."""


class ExpressionError(WorkflowError):
    """An expression that can't be read or evaluated.

    `expression` is its text, `offset` the character in it where reading failed (from 0; None where unknown).
    """

    def __init__(self, message: str, *, expression: str = "", offset: int | None = None) -> None:
        super().__init__(message)
        self.expression = expression
        self.offset = offset


class SecretNotFound(ExpressionError):
    """An expression names a secret that has no value here."""


class StepTimeout(WorkflowError):
    """An attempt took longer than the step's `timeout_seconds`, and was stopped."""

    heals = True


class ValidationFailed(WorkflowError):
    """The step's `validation` found its result wanting."""

    heals = True


class OutputSchemaMismatch(ValidationFailed):
    """The result does not match the step's `output_schema`."""


class ContextTooLarge(WorkflowError):
    """The run's context grew past its limit; the message names the largest keys."""


class RunDeadlineExceeded(WorkflowError):
    """The run took longer than `max_execution_time_seconds`."""


class LoopLimitExceeded(WorkflowError):
    """A loop has more iterations than its `max_iterations`."""


class GeneratedStepsInvalid(WorkflowError):
    """What a step with `generate` gave is no list of steps that could be run; nothing of it was."""

    heals = True


class ChildFailed(WorkflowError):
    """The run of another workflow, which a step waited for, did not complete."""


class ApprovalTimeout(WorkflowError):
    """Nobody answered in time."""


class EventTimeout(WorkflowError):
    """The event did not come in time."""


class TooManySteps(WorkflowError):
    """The run has executed as many steps as a run may."""


class AnswerRefused(WorkflowError):
    """The answer is none of the options."""


class NotAsked(WorkflowError):
    """The answer comes from somebody who is not among the assignees."""


class TooManyRecoveries(WorkflowError):
    """The step was under way each time one worker too many was lost."""


class LeaseLost(WorkflowError):
    """The run is held by somebody else by now: its former holder must stop and write nothing."""


class IllegalTransition(WorkflowError):
    """A change of status that the table of transitions does not have."""


class HelperDied(WorkflowError):
    """The process that ran a step's function died; `signal` is the number of what killed it, None for an
    exit."""

    heals = True

    def __init__(self, message: str, *, signal: int | None = None) -> None:
        super().__init__(message)
        self.signal = signal


class DefinitionError(WorkflowError):
    """A definition was refused; `problems` holds all that is wrong with it, each with its place."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("; ".join(f"{p.path}: {p.message}" if p.path else p.message for p in self.problems[:5]))

    def to_json(self) -> dict[str, Any]:
        return {**super().to_json(), "problems": [problem.to_json() for problem in self.problems]}


class WorkflowNotFound(WorkflowError):
    """No workflow that is not archived bears that id."""


class WorkflowExists(WorkflowError):
    """A workflow that is not archived bears that id already."""


class RunNotFound(WorkflowError):
    """No run bears that id."""


class VersionConflict(WorkflowError):
    """The workflow was changed since the version that the change builds on."""


class VersionNotFound(WorkflowError):
    """The workflow has no version of that number."""


class RunStateConflict(WorkflowError):
    """The verb does not apply to a run in this state; the message says what would."""


class Stopping(WorkflowError):
    """The process ends, and what was asked of it was cut short."""


class StepNotFound(WorkflowError):
    """The run has no such step, or it can't begin there."""


class ApprovalNotFound(StepNotFound):
    """The run has come to no such step, so there is nothing to answer."""


class EventNotFound(WorkflowError):
    """No step of the run waits for an event of that name."""


class ConcurrencyLimitReached(WorkflowError):
    """As many runs of the workflow as its `concurrency` allows are under way, and it says `reject`."""


class IdempotencyKeyReused(WorkflowError):
    """The same `Idempotency-Key` came before with another body."""


class CallableNotFound(WorkflowError):
    """No callable is registered in this process under that name."""


class InputInvalid(WorkflowError):
    """`input_context` does not match the workflow's `parameters`; `problems` as in `DefinitionError`."""

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.problems = list(problems)

    def to_json(self) -> dict[str, Any]:
        return {**super().to_json(), "problems": [problem.to_json() for problem in self.problems]}


class ParametersInvalid(InputInvalid):
    """`parameters` do not match the template's JSON Schema; `problems` as in `DefinitionError`."""


class TemplateNotFound(WorkflowError):
    """No template bears that name, or no batch that id."""


class TemplateExists(WorkflowError):
    """A template bears that name already."""
