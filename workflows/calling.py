"""Calling a function of an agent: in this loop or in a helper process, with the agent's other functions at hand."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from structlog.contextvars import get_contextvars

from agents import catalog
from agents.errors import AgentError, ArtifactRefused, FunctionFailed, error_from_json
from agents.functions import registry
from agents.functions.base import Call, Function, Result
from agents.providers.base import Usage as ModelUsage
from workflows.errors import LeaseLost, StepTimeout
from workflows.helper_processes import HelperPool
from workflows.outcomes import Footprint, Usage


@dataclass(frozen=True, slots=True)
class Others:
    """The functions of a caller's agent, each called where its kind runs, all within the caller's own time."""

    caller: Call
    timeout: float
    helpers: HelperPool
    before: Callable[[], None]

    def find(self, name: str) -> Function:
        return catalog.function(self.caller.agent, name)

    async def call(self, function: Function, call: Call, parameters: Mapping[str, Any]) -> Result | AgentError:
        try:
            result, footprint = await run_function(
                function, call, dict(parameters), self.timeout, self.helpers, self.before
            )
        except LeaseLost:
            raise
        except AgentError as error:
            return error
        used = footprint.usage
        self.caller.spend(ModelUsage(used.input_tokens, used.output_tokens, used.cost or None))
        return result


async def run_function(
    function: Function,
    call: Call,
    parameters: dict[str, Any],
    timeout: float,
    helpers: HelperPool,
    before: Callable[[], None] = lambda: None,
) -> tuple[dict[str, Any], Footprint]:
    """Call an agent's function: ``async`` ones in this loop, plain ones in a helper process.

    ``timeout`` in seconds; ``before`` is called just before. Raises what it raises, `StepTimeout`, `HelperDied`, and
    any `AgentError` of the function.
    """
    try:
        if function.is_async:
            before()
            call.functions = Others(call, timeout, helpers, before)
            async with asyncio.timeout(timeout):
                result = await _not_cancelling_itself(registry.arun(function, call, parameters))
            return result, Footprint(usage=usage_of(result))
        job, listener = _job(function.name, call, parameters), _listener(call)
        answer = await helpers.ask(job, timeout=timeout, on_message=listener, before=before)
    except TimeoutError:
        raise StepTimeout(f"{function.name} took longer than {timeout:g} s and was stopped") from None
    if "error" in answer:
        raise error_from_json(answer["error"])
    measured = Footprint(
        usage=usage_of(answer["result"]),
        cpu_seconds=answer["cpu_seconds"],
        peak_memory_bytes=answer["peak_memory_bytes"],
    )
    return answer["result"], measured


async def _not_cancelling_itself(called: Awaitable[Result]) -> Result:
    """A function that lets a cancelled task of its own through has failed; nobody has stopped it."""
    try:
        return await called
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise FunctionFailed.wrap(error) from None


def _job(name: str, call: Call, parameters: dict[str, Any]) -> dict[str, Any]:
    return {
        "kind": "call",
        "function": name,
        "agent": call.agent.to_json(),
        "context": dict(call.context),
        "idempotency_key": call.idempotency_key,
        "model": call.model,
        "output_schema": call.output_schema,
        "parameters": parameters,
        "artifacts": call.artifacts.to_json(),
        "profile": call.profile,
        "log_ids": {name: value for name, value in get_contextvars().items() if isinstance(value, str | int)},
    }


def _listener(call: Call) -> Callable[[dict[str, Any]], None]:
    def listen(message: dict[str, Any]) -> None:
        if "token" in message:
            call.emit(message["token"])
        elif "log" in message:
            call.logger.pass_on(message["log"])
        elif "artifact" in message:
            _keep(call, message["artifact"])

    return listen


def _keep(call: Call, record: dict[str, Any]) -> None:
    try:
        call.artifacts.pass_on(record, call.mask)
    except ArtifactRefused as refused:  # the helper had room; other branches of the run took it meanwhile
        call.logger.warning("%s", refused)


def usage_of(result: Mapping[str, Any]) -> Usage:
    """What a function says of the tokens and cost that it used."""
    usage = result.get("usage")
    if not isinstance(usage, Mapping):
        return Usage()
    return Usage(
        input_tokens=_bounded(usage.get("input_tokens")),
        output_tokens=_bounded(usage.get("output_tokens")),
        cost=float(usage.get("cost") or 0),
    )


def _bounded(tokens: Any) -> int:
    """What a server says of its own usage, as far as a column can hold it."""
    return min(max(int(tokens or 0), 0), 1_000_000_000)
