"""What a provider is asked and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the text is to be drawn. None: the server's own default."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Material:
    """An earlier step's result that goes along with a prompt. `untrusted`: strangers wrote it."""

    name: str
    text: str
    untrusted: bool = False


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that a model may ask for; `parameters` is a JSON schema."""

    name: str
    description: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that a model asks for; `arguments` as it wrote them, which should be a JSON object."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Round:
    """What a model said and asked for, and what it was told of each call, in the same order."""

    text: str
    calls: tuple[ToolCall, ...]
    results: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """A prompt with all that goes with it; `rounds` came after it."""

    prompt: str
    system: str = ""
    materials: tuple[Material, ...] = ()
    sampling: Sampling = field(default_factory=Sampling)
    schema: dict[str, Any] | None = None
    tools: tuple[Tool, ...] = ()
    rounds: tuple[Round, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of answers; `cost` in US dollars, None where unknown. `estimated`: counted by us."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None
    estimated: bool = False

    def __add__(self, other: Usage) -> Usage:
        costs = [cost for cost in (self.cost, other.cost) if cost is not None]
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            sum(costs) if costs else None,
            self.estimated or other.estimated,
        )

    def to_json(self) -> dict[str, Any]:
        record: dict[str, Any] = {
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "total_tokens": self.input_tokens + self.output_tokens,
            "cost": self.cost,
        }
        return record | ({"estimated": True} if self.estimated else {})


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer, unless it has `tool_calls`: then the model waits for what comes of them.

    `object` is the parsed answer where a schema was given; times in seconds. `fallbacks` are the models that
    failed before: `{model, error}`.
    """

    text: str
    finish_reason: str
    usage: Usage
    model: str
    provider: str
    object: dict[str, Any] | list[Any] | None = None
    reasoning: str = ""
    seconds: float = 0.0
    first_token_seconds: float | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    fallbacks: tuple[dict[str, str], ...] = ()


def estimated_tokens(text: str) -> int:
    """About how many tokens the text is: four characters each, the rule of thumb for English."""
    return -(-len(text) // 4)
