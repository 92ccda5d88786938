"""Executing one step, without a database: prepare it from the scope, make an attempt, judge a failure.

Each returns an outcome as plain data; what it means for the run is decided by the engine.
"""

import asyncio
import json
import random
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import structlog

from agents.artifacts import Room, Shelf
from agents.errors import AgentError, FunctionFailed
from agents.functions import registry
from agents.functions.base import AgentSpec, Call, Function
from agents.plain import clean_text, plain_object
from workflows import cached_results, calling, expressions, generated, retries
from workflows.cached_results import Found
from workflows.definitions import callables
from workflows.definitions.models import BaseStep, Cache, CallableName, Definition, FunctionStep, RetryPolicy
from workflows.definitions.problems import written
from workflows.definitions.schemas import mismatches
from workflows.errors import ExpressionError, LeaseLost, OutputSchemaMismatch, ValidationFailed
from workflows.helper_processes import HelperPool
from workflows.masking import EnvironmentSecrets, Mask
from workflows.models.fields import dumps
from workflows.outcomes import ErrorRecord, Failed, Footprint, RetryAt, Reusable, Skipped, Succeeded
from workflows.scope import Scope

log = structlog.stdlib.get_logger("workflows.steps")
Rule = str | CallableName

LARGEST_REUSABLE = 4 * 1024 * 1024  # characters of JSON; larger results are not kept for other steps


@dataclass(slots=True)
class World:
    """What executing a step needs from outside: agents and their functions by name, helper processes, callables."""

    resolve: Callable[[str, str], Awaitable[tuple[AgentSpec, Function]]]
    helpers: HelperPool
    evaluators: HelperPool  # for expressions, which must not wait behind functions
    expression_seconds: float
    callables: Mapping[str, Callable[..., Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ready:
    """A step that can be attempted. ``stored`` is what is kept of its parameters, secrets masked.

    ``digest`` is that of its result, for a step with ``cache``: see `cached_results.digest`.
    """

    agent: AgentSpec
    function: Function
    parameters: dict[str, Any]
    stored: dict[str, Any]
    mask: Mask
    digest: str = ""


async def skipped(step: BaseStep, scope: Scope, world: World) -> Skipped | None:
    """Why a step that has not begun is not to be executed; None if it is. Raises `ExpressionError`."""
    for name in step.depends_on:
        status = scope.steps[name]["status"] if name in scope.steps else "not executed"
        if status != "completed":
            return Skipped("dependency", f"it depends on {name}, which is {status}")
    if step.precondition is not None and not await holds(step.precondition, scope, world):
        return Skipped("precondition")
    return None


async def prepare(
    step: FunctionStep, scope: Scope, world: World, *, begun: bool = False, model: str | None = None
) -> Ready | Skipped | Failed:
    """Whether the step is to be executed, and with what. One that has ``begun`` before is not skipped any more."""
    try:
        if not begun and (reason := await skipped(step, scope, world)):
            return reason
        ready = await _render(step.agent_id, step.function_name, step.parameters, scope, world)
        if step.cache is not None:
            ready = replace(ready, digest=await _digest(step, step.cache, ready, scope, world, model))
        return ready
    except Exception as error:
        return Failed(record_error(error))


async def decide(
    step: BaseStep, scope: Scope, world: World, make: Callable[[], Awaitable[dict[str, Any]]]
) -> dict[str, Any] | Skipped | Failed:
    """What a block decides as it begins, which ``make`` gives, unless it is not to be executed."""
    try:
        return await skipped(step, scope, world) or await make()
    except Exception as error:
        return Failed(record_error(error))


async def reuse(
    definition: Definition, step: FunctionStep, ready: Ready, found: Found, scope: Scope, world: World, path: str
) -> Succeeded | None:
    """The outcome of a step whose function gave ``found`` before; None if that does not pass the step's own checks."""
    try:
        usage = calling.usage_of(found.result)
        result = ready.mask.value(await _checked(definition, step, found.result, scope, world, path))
        told = {
            "digest": ready.digest,
            "from": f"{found.run_id or 'a deleted run'}:{found.path}",
            "saved": asdict(usage),
        }
        return Succeeded(result, *scope.encode(result), source="cache", told=told)
    except Exception:  # the function is called, and what it gives then is told as ever
        return None


async def attempt(
    definition: Definition,
    step: FunctionStep,
    ready: Ready,
    scope: Scope,
    world: World,
    *,
    path: str,
    idempotency_key: str,
    on_token: Callable[[str], None],
    require_lease: Callable[[], None],
    room: Room | None = None,
    profile: bool = False,
) -> Succeeded | Failed:
    """One attempt, stopped after the step's timeout, then its checks. Cancelling stops what is under way.

    ``require_lease`` is called when the function is about to be: much time may have passed since the attempt was
    written. ``room`` is what its artifacts may take. Raises `LeaseLost` if ``require_lease`` does.
    """
    stream = ready.mask.stream(lambda text: on_token(clean_text(text)))
    call = Call(
        agent=ready.agent,
        context=scope.context,
        idempotency_key=idempotency_key,
        model=definition.model_for(step),
        output_schema=step.output_schema,
        on_token=stream.write,
        on_log=lambda line: _keep_line(line, call),
        mask=ready.mask.text,
        artifacts=Shelf(room),
        profile=profile,
    )
    footprint = None
    try:
        result, footprint = await calling.run_function(
            ready.function, call, ready.parameters, step.timeout_seconds, world.helpers, require_lease
        )
        stream.flush()
        reusable = _reusable(step, ready, result)
        result = await _checked(definition, step, result, scope, world, path)
        result = ready.mask.value(result)
        told = {"digest": reusable.digest} if reusable else {}
        footprint = _with_traces(footprint, call, ready.mask)
        return Succeeded(result, *scope.encode(result), footprint=footprint, reusable=reusable, told=told)
    except LeaseLost:
        raise
    except Exception as error:
        used = footprint or Footprint(usage=calling.usage_of({"usage": call.spent.to_json()}))
        failed = Failed(record_error(error, ready.mask), _with_traces(used, call, ready.mask))
        log.warning(f"{failed.error.code}: {failed.error.message}", exception=failed.error.trace)
        return failed


async def fall_back(
    definition: Definition, step: FunctionStep, scope: Scope, world: World, *, path: str, **options: Any
) -> Succeeded | Failed:
    """What the step's ``fallback`` gives, once: a fixed result, or that of another function."""
    fallback = step.fallback
    assert fallback is not None
    try:
        if fallback.result is not None:
            result = plain_object(await rendered(fallback.result, scope.names(), world))
            await _check_generated(definition, step, result, scope, path)
            return Succeeded(result, *scope.encode(result), source="fallback")
        assert fallback.agent_id is not None
        assert fallback.function_name is not None
        parameters = fallback.parameters or step.parameters
        ready = await _render(fallback.agent_id, fallback.function_name, parameters, scope, world)
    except Exception as error:
        return Failed(record_error(error))
    outcome = await attempt(definition, step, ready, scope, world, path=path, **options)
    if isinstance(outcome, Succeeded):
        return Succeeded(outcome.result, outcome.encoded, outcome.sizes, outcome.footprint, source="fallback")
    return outcome


def judge(
    policy: RetryPolicy, step: FunctionStep, failed: Failed, failed_attempts: int, rng: random.Random | None = None
) -> Failed | RetryAt:
    """Whether a failed attempt is followed by another. ``failed_attempts`` counts those before this one."""
    error = failed.error
    if not retries.may_retry(policy, error.code, error.heals, failed_attempts + 1, step.max_retries):
        return failed
    delay = retries.delay(policy, failed_attempts + 1, error.retry_after, rng or random.Random())  # noqa: S311
    return RetryAt(delay, error, failed.footprint)


def record_error(error: Exception, mask: Mask | None = None) -> ErrorRecord:
    """An exception as it is stored, secrets masked."""
    mask = mask or Mask(())
    if not isinstance(error, AgentError):
        error = FunctionFailed.wrap(error)
    trace = error.trace if isinstance(error, FunctionFailed) else "".join(traceback.format_exception(error))
    message, trace = (clean_text(mask.text(text)) for text in (str(error), trace))
    return ErrorRecord(error.code, message, trace, error.heals, error.retry_after)


async def _render(agent_name: str, function: str, parameters: dict[str, Any], scope: Scope, world: World) -> Ready:
    agent, offered = await world.resolve(agent_name, function)
    secrets = EnvironmentSecrets()
    given = await rendered(parameters, scope.names(secrets=secrets), world)
    mask = Mask(secrets.used.values())
    return Ready(agent, offered, given, mask.parameters(given), mask)


async def _digest(step: FunctionStep, cache: Cache, ready: Ready, scope: Scope, world: World, model: str | None) -> str:
    key = await rendered(cache.key, scope.names(), world)
    try:
        basis = registry.basis(ready.function, ready.parameters, scope.context)
        return cached_results.digest(ready.agent, ready.function.name, basis, model, step.output_schema, key)
    except Exception:  # parameters that are wrong: the attempt will tell
        return ""


def _reusable(step: FunctionStep, ready: Ready, result: dict[str, Any]) -> Reusable | None:
    """What is kept: encoded before a processor may change it, unless it is too large."""
    if step.cache is None or not ready.digest:
        return None
    text = dumps(ready.mask.value(result))
    if len(text) > LARGEST_REUSABLE:
        return None
    return Reusable(ready.digest, text, step.cache.ttl_seconds)


async def rendered(value: Any, names: Mapping[str, Any], world: World) -> Any:
    """The value with its `${ }` replaced. Raises `ExpressionError`."""
    if not expressions.contains_expression(value):
        return expressions.render(value, names)
    if expressions.render_heavy(value, names):
        job = {"kind": "render", "value": value, "scope": expressions.reach(value, names)}
        return await _ask_for_value(job, world)
    return expressions.render(value, names)


async def evaluate(text: str, names: Mapping[str, Any], world: World) -> Any:
    """What a bare expression gives. Raises `ExpressionError`."""
    expression = expressions.compile(text)
    if expression.heavy(names):
        job = {"kind": "evaluate", "expression": text, "scope": expression.reach(names)}
        return await _ask_for_value(job, world)
    return expression.evaluate(names)


async def _ask_for_value(job: dict[str, Any], world: World) -> Any:
    limit = world.expression_seconds
    try:
        answer = await world.evaluators.ask(job, timeout=limit)
    except TimeoutError:
        text = job.get("expression") or job.get("value")
        raise ExpressionError(f"the expression took longer than {limit:g} s and was stopped: {text!s:.200}") from None
    if "error" in answer:
        raise ExpressionError(answer["error"]["message"])
    return answer["result"]


async def _rule(rule: Rule, scope: Scope, world: World, *, result: Any = None, with_result: bool = False) -> Any:
    if isinstance(rule, CallableName):
        function = world.callables.get(rule.callable) or callables.get(rule.callable)
        arguments = (scope.context, result) if with_result else (scope.context,)
        return await asyncio.to_thread(function, *arguments)  # a slow one must not hold up other runs
    names = scope.names(result=result) if with_result else scope.names()
    return await evaluate(rule, names, world)


async def holds(rule: Rule, scope: Scope, world: World, **options: Any) -> bool:
    """Whether a condition is true. Raises `ExpressionError`, also for what is neither true nor false."""
    value = await _rule(rule, scope, world, **options)
    if not isinstance(value, bool):
        given = json.dumps(value, ensure_ascii=False, default=repr)
        raise ExpressionError(f"a condition gives true or false, not {given:.100}: {rule!s:.200}")
    return value


async def _checked(
    definition: Definition, step: FunctionStep, result: dict[str, Any], scope: Scope, world: World, path: str
) -> dict[str, Any]:
    if step.output_schema is not None:
        _match_schema(step.output_schema, result)
    if step.validation is not None and not await holds(step.validation, scope, world, result=result, with_result=True):
        raise ValidationFailed(f"the result does not pass the step's validation: {step.validation!s:.200}")
    if step.result_processor is not None:
        made = await _rule(step.result_processor, scope, world, result=result, with_result=True)
        try:
            result = plain_object(made)
        except ValueError as error:
            raise ExpressionError(f"a result_processor gives a JSON object: {error}") from None
    await _check_generated(definition, step, result, scope, path)
    return result


async def _check_generated(
    definition: Definition, step: FunctionStep, result: Mapping[str, Any], scope: Scope, path: str
) -> None:
    if step.generate:
        visible = [*scope.steps, step.step_id]  # it will have its record when they begin
        await asyncio.to_thread(generated.check, definition, path, result, visible, scope.items)


def _match_schema(schema: dict[str, Any], result: dict[str, Any]) -> None:
    # `inference` puts the structured answer beside its text.
    found = mismatches(result.get("object", result), schema)
    if found:
        told = "; ".join(f"{written(path)}: {message}" if path else message for path, message in found[:5])
        raise OutputSchemaMismatch(f"the result does not match output_schema: {told}")


def _keep_line(line: dict[str, Any], call: Call) -> None:
    call.log_lines.append(line)
    write = {"debug": log.debug, "warning": log.warning, "error": log.error}.get(line["level"], log.info)
    write(call.mask(str(line["message"])))


def _with_traces(footprint: Footprint, call: Call, mask: Mask) -> Footprint:
    """The footprint with what the call left on its way: log lines, masked, and artifacts, which are masked already."""
    if not call.log_lines and not call.artifacts.made:
        return footprint
    lines = [line | {"message": mask.text(str(line["message"]))} for line in call.log_lines]
    return replace(footprint, logs=lines, artifacts=tuple(call.artifacts.made))
