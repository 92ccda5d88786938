"""Steps that wait: for a time, for a person, for an event from outside, for the run of another workflow."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone

from workflows import children, execution, requests, transitions
from workflows.attempts import Means, described
from workflows.claims import Claimed
from workflows.control import Control
from workflows.definitions.models import YEAR, Approval, BaseStep, Child, Wait, WaitFor
from workflows.errors import ApprovalTimeout, EventTimeout, ExpressionError, LeaseLost, WorkflowError
from workflows.expressions.functions import as_text
from workflows.models import RunRequest, new_run_id
from workflows.outcomes import Failed, Footprint, Skipped, Succeeded
from workflows.scope import Scope
from workflows.states import StepStatus

Decision = dict[str, Any]
Outcome = Succeeded | Failed


@dataclass(frozen=True, slots=True)
class _Begun:
    """A wait that stands in the run's rows. ``decision`` is its row's ``parameters``."""

    step: BaseStep
    scope: Scope
    path: str
    decision: Decision

    @property
    def due(self) -> datetime | None:
        until = self.decision.get("until")
        return datetime.fromisoformat(until) if until else None


class Waits:
    """Carries out the waiting steps of one held run."""

    def __init__(self, claimed: Claimed, control: Control, means: Means) -> None:
        self._run = claimed.row
        self._rows = {row.path: row for row in claimed.steps if row.status == StepStatus.WAITING}
        self._control = control
        self._held = control.held
        self._ledger = means.ledger
        self._world = means.world
        self._offer = means.offer

    async def carry_out(self, step: BaseStep, scope: Scope, path: str) -> Succeeded | Failed | Skipped:
        """Until the wait has ended; returns how."""
        if self._held.step(path).status == StepStatus.PENDING:
            self._control.let_go_if_stopped()
            columns = described(step)
            decision = await execution.decide(step, scope, self._world, lambda: self._decide(step, scope))
            if not isinstance(decision, dict):
                transitions.skip_or_fail(self._held, path, decision, columns)
                return decision
            begun = _Begun(step, scope, path, decision)
            told = {key: decision[key] for key in TOLD if key in decision}
            transitions.wait_step(self._held, path, columns | {"parameters": decision}, begun.due, **told)
            await self._control.commit()
        else:
            begun = _Begun(step, scope, path, self._rows[path].parameters or {})
        outcome = await self._wait(begun)
        if isinstance(outcome, Succeeded):
            transitions.finish_step(self._held, path, outcome)
        else:
            transitions.fail_step(self._held, path, outcome)
        return outcome

    async def cancel_children(self, below: str) -> None:
        """Cancel the child runs that steps inside the block ``below`` wait for."""
        inside = (f"{below}.", f"{below}[")
        if any(step.kind == "workflow" and step.path.startswith(inside) for step in self._held.steps.values()):
            await self._ledger.insist(requests.to_children, self._run.pk, RunRequest.Verb.CANCEL, inside)

    async def _decide(self, step: BaseStep, scope: Scope) -> Decision:
        """What stands in the step's row, rendered. Raises `WorkflowError`."""
        match step:
            case Wait():
                return {"until": (await self._until(step, scope)).isoformat()}
            case Approval():
                asked = step.approval
                return {
                    "prompt": await self._text(asked.prompt, scope),
                    "options": asked.options,
                    "assignees": [await self._text(name, scope) for name in asked.assignees],
                    "on_timeout": asked.on_timeout,
                } | _until_in(asked.timeout_seconds)
            case WaitFor():
                awaited = step.wait_for
                return {"event": await self._text(awaited.event, scope)} | _until_in(awaited.timeout_seconds)
            case Child():
                given = await execution.rendered(step.input, scope.names(), self._world)
                version = {"version": step.version} if step.version else {}
                return {"workflow": step.workflow, **version, "input": given, "run_id": str(new_run_id())}
        raise AssertionError(step.kind)

    async def _until(self, step: Wait, scope: Scope) -> datetime:
        now = timezone.now()
        if step.wait.seconds is not None:
            seconds = await execution.rendered(step.wait.seconds, scope.names(), self._world)
            if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= YEAR:
                raise ExpressionError(f"wait needs seconds from 0 to {YEAR:,}, not {seconds!r:.100}")
            return now + timedelta(seconds=seconds)
        text = await execution.rendered(step.wait.until, scope.names(), self._world)
        try:
            until = datetime.fromisoformat(str(text))
        except ValueError:
            raise ExpressionError(f"wait needs a timestamp such as 2027-01-31T09:00:00Z, not {text!r:.100}") from None
        return until if until.tzinfo else until.replace(tzinfo=UTC)

    async def _text(self, text: str, scope: Scope) -> str:
        return as_text(await execution.rendered(text, scope.names(), self._world))

    # --- What ends each ----------------------------------------------------------------------------------------------

    async def _wait(self, begun: _Begun) -> Outcome:
        match begun.step:
            case Wait():
                await self._control.wait(begun.path, begun.due)
                return _succeeded(begun.scope, begun.decision)
            case Approval():
                return await self._answer(begun)
            case WaitFor():
                return await self._event(begun)
        return await self._child(begun)

    async def _answer(self, begun: _Begun) -> Outcome:
        request = await self._request(begun, lambda found: requests.is_answer(found, begun.path))
        if request is not None:
            given, by = request.arguments, request.actor
            answer, comment = given["answer"], given.get("comment", "")
            told = {"answer": answer, "comment": comment, "answered_at": request.created_at.isoformat()}
            transitions.take_input(self._held, begun.path, "approval_answered", request.pk, by, **told)
            return _succeeded(begun.scope, {"answer": answer, "comment": comment, "answered_by": by})
        on_timeout = begun.decision["on_timeout"]
        if on_timeout != "fail":
            return _succeeded(begun.scope, {"answer": on_timeout, "comment": "", "answered_by": None})
        return _failed(ApprovalTimeout(f"nobody answered until {begun.decision['until']}"))

    async def _event(self, begun: _Begun) -> Outcome:
        name = begun.decision["event"]
        request = await self._request(begun, lambda found: requests.is_event(found, name))
        if request is None:
            return _failed(EventTimeout(f"the event {name!r} did not come until {begun.decision['until']}"))
        told = {"event": name, "sent_at": request.created_at.isoformat()}
        transitions.take_input(self._held, begun.path, "event_received", request.pk, request.actor, **told)
        return _succeeded(begun.scope, {"event": name, "data": request.arguments.get("data")})

    async def _request(self, begun: _Begun, takes: Callable[[RunRequest], bool]) -> RunRequest | None:
        """What has come for the step already, or comes in time; None when it is due."""
        if found := await self._come(takes):
            return found
        came = await self._control.wait(begun.path, begun.due, takes, counts=False)
        return came or await self._come(takes)  # what came in time may not have been read yet

    async def _come(self, takes: Callable[[RunRequest], bool]) -> RunRequest | None:
        return self._control.take(await self._ledger.insist(requests.of_run, self._run.pk), takes)

    async def _child(self, begun: _Begun) -> Outcome:
        decision, path = begun.decision, begun.path
        child_id = uuid.UUID(decision["run_id"])
        try:
            ended = await self._ledger.insist(children.ensure, self._held.id, self._held.epoch, path, decision)
        except LeaseLost:
            raise
        except WorkflowError as error:
            return _failed(error)
        self._offer(child_id)
        while ended is None:
            await self._control.wait(path, None, lambda found: requests.is_child_end(found, str(child_id)))
            ended = await self._ledger.insist(children.outcome, child_id)
        self._held.open().requests += ended.requests
        footprint = Footprint(usage=ended.usage)
        if ended.error is not None:
            return Failed(ended.error, footprint)
        try:
            return Succeeded(ended.output, *begun.scope.encode(ended.output), footprint=footprint)
        except WorkflowError as error:
            return Failed(execution.record_error(error), footprint)


TOLD = ("prompt", "options", "assignees", "event", "workflow", "run_id")
"""Parts of a decision that its event tells."""


def _until_in(seconds: float | None) -> Decision:
    return {} if seconds is None else {"until": (timezone.now() + timedelta(seconds=seconds)).isoformat()}


def _succeeded(scope: Scope, result: dict[str, Any]) -> Outcome:
    try:
        return Succeeded(result, *scope.encode(result))
    except WorkflowError as error:
        return _failed(error)


def _failed(error: Exception) -> Failed:
    return Failed(execution.record_error(error))
