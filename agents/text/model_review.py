"""Reviews by the agent's model, where one is connected; the measures go along as its evidence."""

from __future__ import annotations

import json
from typing import Any

from agents.functions.base import Call
from agents.inference import complete, model_connected
from agents.providers.base import Completion, Material, Sampling

MAX_CHARACTERS = 60_000

_ISSUE = {
    "type": "object",
    "properties": {
        "criterion": {"type": "string"},
        "finding": {"type": "string"},
        "line": {"type": ["integer", "null"]},
    },
    "required": ["criterion", "finding"],
}
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "score": {"type": "number", "minimum": 0, "maximum": 10},
        "scores": {"type": "object", "additionalProperties": {"type": "number", "minimum": 0, "maximum": 10}},
        "summary": {"type": "string"},
        "issues": {"type": "array", "items": _ISSUE},
        "suggestions": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["score", "scores", "summary", "issues", "suggestions"],
}


def available(call: Call) -> bool:
    """Whether a model would answer this agent; the offline provider is none."""
    return model_connected(call.agent.llm)


async def of_text(call: Call, text: str, criteria: list[str]) -> dict[str, Any]:
    """`{score, scores, summary, issues, suggestions}`; marks from 0 to 10. Raises as `inference.complete`."""
    prompt = (
        f"Review the text in the material 'text' by these criteria: {', '.join(criteria)}. Give each a mark "
        "from 0 (useless) to 10 (faultless) in 'scores', and the whole one in 'score'. List what is wrong, "
        "naming the place."
    )
    answer, told = await _ask(call, prompt, text)
    return {**answer, "criteria_reviewed": criteria, **told}


async def of_code(call: Call, text: str, focus: list[str], measured: dict[str, Any]) -> dict[str, Any]:
    """Like `of_text`, next to what was measured; what parser and linter found stays in `measured_issues`."""
    found = json.dumps(measured["issues"][:50], ensure_ascii=False)
    prompt = (
        f"Review the {measured['language']} code in the material 'text'"
        + (f", above all its {', '.join(focus)}" if focus else "")
        + ". Give marks from 0 (useless) to 10 (faultless): in 'scores' for each point of view, in 'score' "
        "for the whole. "
        f"List what is wrong, with lines. A parser and a linter found: {found}"
    )
    answer, told = await _ask(call, prompt, text)
    return {
        **measured,
        "measured_score": measured["score"],
        "measured_issues": measured["issues"],
        **answer,
        **told,
    }


async def _ask(call: Call, prompt: str, text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    cut = len(text) > MAX_CHARACTERS
    if cut:
        call.logger.warning("only the first %d characters go to the model", MAX_CHARACTERS)
    completion = await complete(
        prompt,
        system="You review the work of others: exactly, fairly, and only by what is there.",
        materials=(Material("text", text[:MAX_CHARACTERS], untrusted=True),),
        llm=call.agent.llm,
        models=[call.model] if call.model else None,
        sampling=Sampling(temperature=0.0),
        schema=_SCHEMA,
        on_token=call.emit,
    )
    answer = completion.object if isinstance(completion.object, dict) else {}
    return answer, _told(completion, answer, cut)


def _told(completion: Completion, answer: dict[str, Any], cut: bool) -> dict[str, Any]:
    reviewed = f"by the model {completion.model}" + (f", of the first {MAX_CHARACTERS} characters" if cut else "")
    return {
        "method": "model",
        "how": reviewed,
        "provider": completion.provider,
        "model": completion.model,
        "usage": completion.usage.to_json(),
        "result": str(answer.get("summary", "")),
    }
