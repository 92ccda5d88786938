"""`code_generation`: source code for requirements, by the agent's model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import AliasChoices, Field

from agents.functions.base import EXPLICIT, Call, Parameters, Result
from agents.functions.inference import INCLUDE_CONTEXT, MAX_TOKENS, TEMPERATURE, instructions, result_of
from agents.functions.registry import function
from agents.inference import complete
from agents.providers.base import Material, Sampling
from agents.quoting import relevant_results

_BLOCK = re.compile(r"```[\w+#.-]*[ \t]*\n(.*?)(?:\n```|\Z)", re.DOTALL)


class CodeGeneration(Parameters):
    """What the code is to do, in which language and style."""

    requirements: str = Field(
        min_length=1,
        max_length=200_000,
        validation_alias=AliasChoices("requirements", "prompt"),
        description="What the code is to do, in words.",
    )
    language: str = Field("python", max_length=50, description="Programming language, such as python or go.")
    style: str = Field(
        "clean",
        max_length=500,
        json_schema_extra=EXPLICIT,
        description="How the code is to read, in words, such as: clean, with type annotations.",
    )
    max_tokens: int | None = Field(None, ge=1, le=1_000_000, description=MAX_TOKENS)
    temperature: float | None = Field(None, ge=0, le=2, description=TEMPERATURE)
    include_context: bool = Field(True, json_schema_extra=EXPLICIT, description=INCLUDE_CONTEXT)


def _prompt(parameters: CodeGeneration) -> str:
    return (
        f"Write {parameters.language} code in this style: {parameters.style}.\n"
        f"Requirements:\n{parameters.requirements}\n\n"
        "Answer with one fenced code block, then a short explanation."
    )


def materials_of(parameters: CodeGeneration, context: Mapping[str, Any]) -> tuple[Material, ...]:
    """The earlier results that go along with the requirements."""
    return relevant_results(_prompt(parameters), context) if parameters.include_context else ()


@function(
    "code_generation",
    description="Writes code for requirements, in a language and style",
    reads=materials_of,
    asks_model=True,
)
async def code_generation(call: Call, parameters: CodeGeneration) -> Result:
    """Returns `{code, explanation, language}` and the keys of `inference`.

    Without a model `code` is a comment that says so, with the requirements in it: no code is invented.
    """
    completion = await complete(
        _prompt(parameters),
        system=instructions(call),
        materials=materials_of(parameters, call.context),
        llm=call.agent.llm,
        models=[call.model] if call.model else None,
        sampling=Sampling(parameters.max_tokens, parameters.temperature),
        on_token=call.emit,
    )
    offline = completion.provider == "offline"
    code, explanation = _unwritten(parameters) if offline else _parts(completion.text)
    return {
        "code": code,
        "explanation": explanation,
        "language": parameters.language,
        **result_of(completion),
    }


def _parts(text: str) -> tuple[str, str]:
    """The code blocks of an answer, and what is said around them; an answer without a block is all code."""
    blocks = _BLOCK.findall(text)
    if not blocks:
        return text.strip(), ""
    return "\n\n".join(block.strip("\n") for block in blocks), _BLOCK.sub("", text).strip()


def _unwritten(parameters: CodeGeneration) -> tuple[str, str]:
    mark = "//" if parameters.language.lower() in _SLASH_COMMENTS else "#"
    lines = [
        "No model is connected, so no code was written. Required:",
        *parameters.requirements.splitlines(),
    ]
    return "\n".join(f"{mark} {line}".rstrip() for line in lines), "Connect a model to have this code written."


_SLASH_COMMENTS = frozenset({
    "c", "c#", "c++", "cpp", "csharp", "dart", "go", "java", "javascript", "js", "kotlin", "php", "rust",
    "scala", "swift", "ts", "typescript",
})  # fmt: skip
