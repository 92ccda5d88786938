"""What a function of an agent is given (`Call`, `AgentSpec`) and what it is (`Function`)."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, Protocol

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict

from agents.artifacts import Shelf
from agents.errors import AgentError
from agents.providers.base import Usage

LOG_LINES = 1_000
LOG_LINE_BYTES = 4_096

LogLine = dict[str, Any]

# For a parameter that is never filled from the context: `Field(json_schema_extra=EXPLICIT)`.
EXPLICIT: dict[str, Any] = {"x-explicit": True}

# What every agent offers, whether its list names it or not.
ALWAYS_OFFERED = frozenset({"add", "data_transform", "delay", "echo", "list_tools"})


class Parameters(BaseModel):
    """A convenient base for a function's parameters: ignores unknown ones, lets numbers be text."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True, allow_inf_nan=False)


def _as_words(value: Any) -> Any:
    """`"price, units"` → `["price", "units"]`."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


# A parameter that is a list of words, or one text in which commas divide them.
Words = Annotated[list[str], BeforeValidator(_as_words)]


@dataclass(frozen=True, slots=True)
class LLMConfig:
    """An agent's `llm_config`. None: not given, so the server's or the function's own default applies.

    `models` are asked in turn where `model_name` fails. Prices in US dollars for a million tokens.
    """

    model_name: str | None = None
    api_endpoint: str | None = None
    instruction: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    timeout_seconds: float | None = None
    max_retries: int | None = None
    models: tuple[str, ...] = ()
    input_price_per_million: float | None = None
    output_price_per_million: float | None = None

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> LLMConfig:
        known = {f.name for f in fields(cls)}
        given = {key: value for key, value in record.items() if key in known}
        return cls(**{**given, "models": tuple(given.get("models") or ())})


@dataclass(frozen=True, slots=True)
class AgentSpec:
    """An agent as its functions see it: plain values, so that it crosses to a child process as JSON."""

    id: str
    name: str
    type: str = "general"
    role: str = ""
    system_prompt: str = ""
    capabilities: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    llm: LLMConfig | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    max_concurrent_jobs: int | None = None  # over all workers; None: no limit

    def to_json(self) -> dict[str, Any]:
        record = {f.name: getattr(self, f.name) for f in fields(self)}
        return record | {
            "capabilities": list(self.capabilities),
            "functions": list(self.functions),
            "llm": asdict(self.llm) if self.llm else None,
            "settings": dict(self.settings),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> AgentSpec:
        llm = record.get("llm")
        return cls(
            **{
                **record,
                "capabilities": tuple(record.get("capabilities", ())),
                "functions": tuple(record.get("functions", ())),
                "llm": LLMConfig.from_json(llm) if llm else None,
            }
        )


class StepLogger:
    """Lines that a function writes into its step's log: `{"at": unix seconds, "level", "message"}`.

    Keeps `LOG_LINES` lines of `LOG_LINE_BYTES` bytes; says once that more were dropped.
    """

    __slots__ = ("_on_log", "_written")

    def __init__(self, on_log: Callable[[LogLine], None]) -> None:
        self._on_log = on_log
        self._written = 0

    def debug(self, message: str, *args: object) -> None:
        self._write("debug", message, args)

    def info(self, message: str, *args: object) -> None:
        self._write("info", message, args)

    def warning(self, message: str, *args: object) -> None:
        self._write("warning", message, args)

    def error(self, message: str, *args: object) -> None:
        self._write("error", message, args)

    def pass_on(self, line: LogLine) -> None:
        """A line that another logger made, of a process that works for this one."""
        self._written += 1
        if self._written <= LOG_LINES:
            self._on_log(line)
        elif self._written == LOG_LINES + 1:
            self._on_log(_line("warning", f"more than {LOG_LINES} log lines: the rest is dropped"))

    def _write(self, level: str, message: str, args: tuple[object, ...]) -> None:
        if self._written <= LOG_LINES:
            self.pass_on(_line(level, _shortened(_formatted(message, args))))


class Call:
    """One execution of one function.

    `context` is read-only. `model` is the model that the step or its workflow asked for; it wins over the
    agent's. `output_schema` is the step's JSON schema for the result. Without `on_token` streamed text is
    ignored; without `on_log` the log lines are collected in `log_lines`. `mask` hides secrets in a text. `functions`
    are the agent's, where an engine carries out the call; `spent` is what its models have used so far. `artifacts` are
    the files that it has made. `profile`: a plain function's time is measured, function by function.
    """

    __slots__ = (
        "_on_token", "agent", "artifacts", "context", "functions", "idempotency_key", "log_lines", "logger", "mask",
        "model", "output_schema", "profile", "spent",
    )  # fmt: skip

    def __init__(
        self,
        *,
        agent: AgentSpec,
        context: Mapping[str, Any] | None = None,
        idempotency_key: str = "",
        model: str | None = None,
        output_schema: dict[str, Any] | None = None,
        on_token: Callable[[str], None] | None = None,
        on_log: Callable[[LogLine], None] | None = None,
        mask: Callable[[str], str] = str,
        artifacts: Shelf | None = None,
        profile: bool = False,
    ) -> None:
        self.agent = agent
        self.context: Mapping[str, Any] = MappingProxyType(dict(context or {}))
        self.idempotency_key = idempotency_key
        self.model = model
        self.output_schema = output_schema
        self.log_lines: list[LogLine] = []
        self.logger = StepLogger(on_log or self.log_lines.append)
        self._on_token = on_token
        self.mask = mask
        self.functions: Functions | None = None
        self.spent = Usage()
        self.artifacts = Shelf() if artifacts is None else artifacts
        self.profile = profile

    def nested(self, idempotency_key: str) -> Call:
        """For calling another function of the agent: the same log and artifacts, no context, nothing streamed."""
        call = Call(agent=self.agent, idempotency_key=idempotency_key, model=self.model, mask=self.mask)
        call.log_lines, call.logger = self.log_lines, self.logger
        call.artifacts, call.profile = self.artifacts, self.profile
        return call

    def spend(self, usage: Usage) -> None:
        """Count what a model has used, also where the call fails later."""
        self.spent += usage

    def emit(self, token: str) -> None:
        """Stream a piece of text to whoever follows the run."""
        if token and self._on_token:
            self._on_token(token)

    def artifact(self, name: str, content: str | bytes, media_type: str = "") -> dict[str, Any]:
        """Keep a file or picture beside the step's result; text is written as UTF-8, and secrets in it are masked.

        Without a ``media_type`` the name tells it. Returns `{artifact, media_type, size, sha256}`, which a result may
        hold; its name is another where the attempt has an artifact of that name already. Raises `ArtifactRefused`.
        """
        return self.artifacts.add(name, content, media_type, self.mask).reference


Result = dict[str, Any]
Reads = Callable[[Any, Mapping[str, Any]], Any]


@dataclass(frozen=True, slots=True)
class Function:
    """A function that agents may offer. `run(call, parameters)` gives a JSON object, or a promise of one.

    `reads(parameters, context)` is what it takes from the context by itself, beside its parameters, as JSON:
    results are reused only where it is the same. One that `asks_model` for its whole work is no tool of a model.
    """

    name: str
    parameters: type[BaseModel]
    run: Callable[[Call, Any], Result | Awaitable[Result]]
    is_async: bool
    aliases: tuple[str, ...] = ()
    description: str = ""
    reads: Reads | None = None
    asks_model: bool = False

    def known_parameters(self) -> set[str]:
        """Every name by which a parameter may be given, aliases included."""
        return {name for names in self.spellings().values() for name in names}

    def spellings(self) -> Mapping[str, Sequence[str]]:
        """Field of the parameters' model → the names by which it may be given, its own first."""
        return _spellings(self.parameters)


@cache
def _spellings(model: type[BaseModel]) -> Mapping[str, Sequence[str]]:
    found = {}
    for name, info in model.model_fields.items():
        given = info.validation_alias
        aliases = given.choices if isinstance(given, AliasChoices) else [given]
        found[name] = list(dict.fromkeys([name, *(alias for alias in aliases if isinstance(alias, str))]))
    return found


class Functions(Protocol):
    """The functions of a call's agent, called where functions of their kind run."""

    def find(self, name: str) -> Function:
        """The one of that name or alias. Raises `FunctionNotFound` with what the agent offers."""
        ...

    async def call(self, function: Function, call: Call, parameters: Mapping[str, Any]) -> Result | AgentError:
        """Its result, or what it failed with. Raises only what ends the caller too. Cancelling stops it."""
        ...


def _line(level: str, message: str) -> LogLine:
    return {"at": time.time(), "level": level, "message": message}


def _formatted(message: str, args: tuple[object, ...]) -> str:
    try:
        return str(message) % args if args else str(message)
    except (TypeError, ValueError):
        return f"{message} {args!r}"  # a wrong format in a log line must not fail the step


def _shortened(text: str) -> str:
    raw = text.encode("utf-8", "replace")
    if len(raw) <= LOG_LINE_BYTES:
        return text
    return raw[: LOG_LINE_BYTES - 4].decode("utf-8", "ignore") + " …"
