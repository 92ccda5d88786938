"""`inference`: a prompt for the agent's model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import AliasChoices, Field, field_validator

from agents.functions.base import EXPLICIT, Call, Parameters, Result
from agents.functions.registry import function
from agents.inference import complete
from agents.providers.base import Completion, Material, Sampling
from agents.quoting import relevant_results
from agents.tools import NOT_CALLED, RULE, Toolbox

MAX_TOKENS = "The longest answer, in tokens of the model (about four characters each); a longer one is cut off."
TEMPERATURE = "How much the answer varies: 0 keeps to the likeliest words, 1 and more strays from them."
MODEL = "Name of the model, or a list of names: the next is asked where one fails before its first word."
TOOLS = "Other functions of the agent that the model may call; it gets their results, and they nothing of the context."
INCLUDE_CONTEXT = "Send the results of earlier steps that share words with the request along, as material."


class Inference(Parameters):
    """What to ask. Absent sampling values come from the agent's `llm_config`, else from the server."""

    prompt: str = Field(min_length=1, max_length=1_000_000, description="What to ask the model.")
    system_prompt: str | None = Field(
        None,
        json_schema_extra=EXPLICIT,
        description="What the model is told of its part, in the place of the agent's own system prompt.",
    )
    max_tokens: int | None = Field(None, ge=1, le=1_000_000, description=MAX_TOKENS)
    temperature: float | None = Field(None, ge=0, le=2, description=TEMPERATURE)
    top_p: float | None = Field(
        None, gt=0, le=1, description="Choose among the likeliest words that together have this share of probability."
    )
    seed: int | None = Field(
        None, description="Starts the model's random numbers: the same seed gives the same answer, where it can."
    )
    stop: list[str] = Field(
        default_factory=list,
        max_length=16,
        json_schema_extra=EXPLICIT,
        description="Texts at which the answer ends, at most 16; they are not part of it.",
    )
    model: str | list[str] | None = Field(
        None, validation_alias=AliasChoices("model", "models"), json_schema_extra=EXPLICIT, description=MODEL
    )
    tools: list[str] = Field(default_factory=list, max_length=64, json_schema_extra=EXPLICIT, description=TOOLS)
    max_tool_calls: int = Field(
        10, ge=1, le=100, json_schema_extra=EXPLICIT, description="Calls of tools, all together, before the step fails."
    )
    output_schema: dict[str, Any] | None = Field(
        None,
        json_schema_extra=EXPLICIT,
        description="JSON schema that the answer must match; the parsed answer is then in the result's `object`.",
    )
    include_context: bool = Field(True, json_schema_extra=EXPLICIT, description=INCLUDE_CONTEXT)

    @field_validator("stop", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return [value] if isinstance(value, str) else value


def materials_of(parameters: Inference, context: Mapping[str, Any]) -> tuple[Material, ...]:
    """The earlier results that go along with the prompt."""
    return relevant_results(parameters.prompt, context) if parameters.include_context else ()


@function("inference", description="Asks the agent's model; streams the text", reads=materials_of, asks_model=True)
async def inference(call: Call, parameters: Inference) -> Result:
    """Returns `{text, tokens_generated, tokens_per_second, engine_used, provider, model, …}`.

    Further `finish_reason`, `usage`; with a schema `object`; with tools `tool_calls`, as `Toolbox.record` has them,
    and `tools` where they were not called; from a model that shows its thoughts `reasoning`; after models that failed
    `fallbacks`. Raises as `agents.inference.complete`.
    """
    toolbox = Toolbox.of(call, parameters.tools, parameters.max_tool_calls) if parameters.tools else None
    completion = await _ask(call, parameters, toolbox)
    result = result_of(completion)
    if toolbox is not None:
        result |= {"tool_calls": toolbox.record, "usage": call.spent.to_json()}
        result |= {"tools": NOT_CALLED} if completion.provider == "offline" else {}
    return result


async def _ask(call: Call, parameters: Inference, toolbox: Toolbox | None) -> Completion:
    """Put the parameters, the agent's own words and the earlier results before the model."""
    schema = parameters.output_schema or call.output_schema
    system = parameters.system_prompt if parameters.system_prompt is not None else instructions(call)
    completion = await complete(
        parameters.prompt,
        system="\n\n".join(filter(None, (system, RULE))) if toolbox else system,
        materials=materials_of(parameters, call.context),
        llm=call.agent.llm,
        models=_models(call, parameters),
        sampling=Sampling(
            parameters.max_tokens,
            parameters.temperature,
            parameters.top_p,
            parameters.seed,
            tuple(parameters.stop),
        ),
        schema=schema,
        on_token=call.emit,
        spend=call.spend,
        toolbox=toolbox,
    )
    if completion.provider == "offline":
        call.logger.warning("no model is connected: the offline provider answered by extraction")
    for failed in completion.fallbacks:
        call.logger.warning("model %s failed, and the next was asked: %s", failed["model"], failed["error"])
    return completion


def instructions(call: Call) -> str:
    """What the model is told of its part: the agent's `system_prompt` and its `llm_config.instruction`."""
    said = [call.agent.system_prompt, call.agent.llm.instruction if call.agent.llm else ""]
    return "\n\n".join(dict.fromkeys(text.strip() for text in said if text and text.strip()))


def result_of(completion: Completion) -> Result:
    """The result keys of `inference`; times in milliseconds."""
    tokens = completion.usage.output_tokens
    result: Result = {
        "text": completion.text,
        "tokens_generated": tokens,
        "tokens_per_second": round(tokens / completion.seconds, 2) if completion.seconds else 0.0,
        "engine_used": completion.model,
        "provider": completion.provider,
        "model": completion.model,
        "finish_reason": completion.finish_reason,
        "usage": completion.usage.to_json(),
    }
    if completion.first_token_seconds is not None:
        result["first_token_ms"] = round(completion.first_token_seconds * 1000, 1)
    if completion.object is not None:
        result["object"] = completion.object
    if completion.reasoning:
        result["reasoning"] = completion.reasoning[:20_000]
    if completion.fallbacks:
        result["fallbacks"] = list(completion.fallbacks)
    return result


def _models(call: Call, parameters: Inference) -> list[str] | None:
    """The step's `model` parameter, else its `llm_name`, else (None) what the agent's configuration says."""
    asked = [parameters.model] if isinstance(parameters.model, str) else parameters.model
    return [name for name in asked or [call.model or ""] if name] or None
