"""Functions that the file describes and no code implements: a prompt for a model, an HTTP endpoint."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ConfigDict

from agents.errors import AgentError, MalformedAnswer, RateLimited, RequestRefused, ServerError
from agents.functions.base import Call, Function, Reads, Result
from agents.functions.http_request import parsed_json
from agents.functions.inference import instructions, result_of
from agents.inference import complete
from agents.models import ConfiguredFunction
from agents.quoting import relevant_results


class AnyParameters(BaseModel):
    """Whatever the step gives: the file describes parameters in words only."""

    model_config = ConfigDict(extra="allow")


def can_build(row: ConfiguredFunction) -> bool:
    """Whether the row says enough to be called."""
    return row.type == ConfiguredFunction.Type.LLM or (
        row.type == ConfiguredFunction.Type.EXTERNAL_API and bool(row.endpoint)
    )


def build(row: ConfiguredFunction) -> Function:
    """The row as a function; only for rows that `can_build`."""
    asks_model = row.type == ConfiguredFunction.Type.LLM
    run = _prompt(row) if asks_model else _endpoint(row)
    return Function(
        row.name,
        AnyParameters,
        run,
        is_async=True,
        description=row.description,
        reads=_materials(row) if asks_model else None,
        asks_model=asks_model,
    )


def _prompt(row: ConfiguredFunction) -> Any:
    async def run(call: Call, parameters: AnyParameters) -> Result:
        """The model follows the function's description; returns the keys of `inference`."""
        completion = await complete(
            _text(row, parameters),
            system=instructions(call),
            materials=_materials(row)(parameters, call.context),
            llm=call.agent.llm,
            models=[call.model] if call.model else None,
            schema=call.output_schema,
            on_token=call.emit,
            spend=call.spend,
        )
        return result_of(completion)

    return run


def _text(row: ConfiguredFunction, parameters: AnyParameters) -> str:
    given = parameters.model_extra or {}
    lines = [f"{name}: {_spoken(value)}" for name, value in given.items()]
    return "\n".join([row.description or row.name, *lines])


def _materials(row: ConfiguredFunction) -> Reads:
    return lambda parameters, context: relevant_results(_text(row, parameters), context)


def _endpoint(row: ConfiguredFunction) -> Any:
    async def run(call: Call, parameters: AnyParameters) -> Result:
        """The parameters as JSON to the endpoint; returns the JSON object that it answers, or `{result}`."""
        from agents.http import fetch

        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if call.idempotency_key:
            headers["Idempotency-Key"] = call.idempotency_key
        body = json.dumps(parameters.model_extra or {}, ensure_ascii=False, allow_nan=False).encode()
        limit = row.timeout_ms / 1000 if row.timeout_ms else 60.0
        answer = await fetch("POST", row.endpoint, headers=headers, content=body, timeout_seconds=limit)
        text = answer.content.decode(answer.charset, "replace")
        if not 200 <= answer.status < 300:
            raise _refused(row.name, answer.status, text)
        value = parsed_json(text)
        if value is None and text.strip() != "null":
            raise MalformedAnswer(f"the endpoint of {row.name} answered what is no JSON: {text[:120]!r}")
        return {**(value if isinstance(value, dict) else {"result": value}), "untrusted": True}

    return run


def _refused(name: str, status: int, text: str) -> AgentError:
    told = f"the endpoint of {name} answered {status}: {text.strip()[:300]}"
    if status == 429:
        return RateLimited(told)
    return ServerError(told) if status >= 500 else RequestRefused(told)


def _spoken(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
