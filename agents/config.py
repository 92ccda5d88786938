"""`config/agents.yaml`: its models, and reading it with all problems at once.

The keys are those of the original system; unknown ones are kept and warned about.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from agents import places
from agents.places import Document, Problem
from agents.wording import Path as Place
from agents.wording import mistakes


class AgentsFileError(Exception):
    """The file was refused; `problems` holds all that is wrong with it, each with its place."""

    def __init__(self, path: Path, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(f"{path}: {problem}" for problem in problems))


def _usable_name(name: str) -> str:
    if not re.fullmatch(r"[^\s/\x00-\x1f](?:[^/\x00-\x1f]*[^\s/\x00-\x1f])?", name):
        raise ValueError("a name has no slash, no control character and no space at its ends")
    try:
        UUID(name)
    except ValueError:
        return name
    raise ValueError("a name must not look like a UUID: agents can be named by theirs")


def _http_url(url: str) -> str:
    if not re.fullmatch(r"https?://[^\s/]+\S*", url):
        raise ValueError("should be an http or https URL, such as http://localhost:11434/v1")
    return url


Name = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_usable_name)]
Url = Annotated[str, Field(max_length=500), AfterValidator(_http_url)]
Texts = list[Annotated[str, Field(min_length=1, max_length=200)]]


class _Section(BaseModel):
    """A mapping of the file. Unknown keys are kept in `model_extra`."""

    model_config = ConfigDict(extra="allow", coerce_numbers_to_str=True, protected_namespaces=())


class GlobalSettings(_Section):
    """Accepted for the sake of the original's files: steps say their own timeouts and retries."""

    default_timeout_ms: int = Field(60_000, ge=1)
    max_retries: int = Field(3, ge=0)
    enable_metrics: bool = True


class System(_Section):
    """Settings of the original's server process; environment variables set workers and logging here."""

    global_settings: GlobalSettings = Field(default_factory=GlobalSettings)
    log_level: str = "info"
    worker_threads: int = Field(8, ge=1)
    health_check_interval_seconds: float = Field(30, gt=0)


class EngineEntry(_Section):
    """An inference engine: named in the API; this server loads no model itself."""

    name: Name
    type: str = Field("llama_cpp", max_length=100)
    model_path: str = Field("", max_length=1_000)
    settings: dict[str, Any] = Field(default_factory=dict)
    auto_load: bool = False


class FunctionEntryConfig(_Section):
    """A function: a built-in one, a prompt for a model (`llm`), or an HTTP endpoint (`external_api`)."""

    name: Name
    type: Literal["builtin", "llm", "external_api"] = "builtin"
    description: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)
    endpoint: Url | None = None
    timeout_ms: int | None = Field(None, ge=1, le=86_400_000)


class LLMEntry(_Section):
    """An agent's model. Absent values: those of the server and the environment."""

    model_name: str | None = Field(None, max_length=200)
    models: Texts | None = None
    api_endpoint: Url | None = None
    instruction: str | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    max_tokens: int | None = Field(None, ge=1)
    timeout_seconds: float | None = Field(None, gt=0)
    max_retries: int | None = Field(None, ge=0)
    input_price_per_million: float | None = Field(None, ge=0, allow_inf_nan=False)
    output_price_per_million: float | None = Field(None, ge=0, allow_inf_nan=False)


class AgentEntry(_Section):
    """An agent: who it is, what it may do, which model speaks for it."""

    name: Name
    type: str = Field("general", max_length=100)
    role: str = Field("", max_length=500)
    system_prompt: str = ""
    capabilities: Texts = Field(default_factory=list)
    functions: Texts = Field(default_factory=list)
    auto_start: bool = True
    max_concurrent_jobs: int | None = Field(None, ge=1)
    heartbeat_interval_seconds: float | None = Field(None, gt=0)
    custom_settings: dict[str, Any] = Field(default_factory=dict)
    llm_config: LLMEntry | None = None


class AgentsFile(BaseModel):
    """The whole file. `warnings` tells what is strange and was accepted."""

    model_config = ConfigDict(extra="allow")

    system: System = Field(default_factory=System)
    inference_engines: list[EngineEntry] = Field(default_factory=list)
    functions: list[FunctionEntryConfig] = Field(default_factory=list)
    agents: list[AgentEntry] = Field(default_factory=list)
    _warnings: list[Problem] = PrivateAttr(default_factory=list)

    @property
    def warnings(self) -> list[Problem]:
        return self._warnings


def load(path: Path) -> AgentsFile:
    """Read and check the file; raises `AgentsFileError` with every problem."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise AgentsFileError(path, [Problem(f"can't be read: {error.strerror}")]) from None
    return parse(raw, path)


def parse(raw: bytes, path: Path = Path("agents.yaml")) -> AgentsFile:
    """Check the text of such a file; `path` is for messages."""
    document = places.read(raw)
    problems = list(document.problems)
    if not problems and not isinstance(document.value, dict):
        problems.append(Problem("the file should be a mapping with the key `agents`", "", 1, 1))
    if isinstance(document.value, dict):
        problems += _repeated_names(document)
        value = _without_empty(document.value)
        try:
            file = AgentsFile.model_validate(value)
        except ValidationError as error:
            problems += [document.problem(*mistake) for mistake in mistakes(error, value)]
    if problems:
        raise AgentsFileError(path, sorted(problems, key=lambda p: (p.line or 0, p.column or 0)))
    file._warnings = _unknown_keys(document, file, ())
    return file


def _without_empty(value: dict[str, Any]) -> dict[str, Any]:
    """A key without a value (`agents:`) counts as absent."""
    return {key: item for key, item in value.items() if item is not None}


def _repeated_names(document: Document) -> list[Problem]:
    problems = []
    for section in ("inference_engines", "functions", "agents"):
        entries = document.value.get(section)
        seen: dict[Any, int] = {}
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            name = entry.get("name") if isinstance(entry, dict) else None
            if isinstance(name, str) and name in seen:
                message = f"the name {name!r} is taken by {section}[{seen[name]}]"
                problems.append(document.problem((section, index, "name"), message))
            elif isinstance(name, str):
                seen[name] = index
    return problems


def _unknown_keys(document: Document, section: BaseModel, path: Place) -> list[Problem]:
    known = type(section).model_fields
    found = [_unknown_key(document, (*path, key), known) for key in section.model_extra or {}]
    for name in known:
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            found += _unknown_keys(document, value, (*path, name))
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, BaseModel):
                    found += _unknown_keys(document, item, (*path, name, index))
    return found


def _unknown_key(document: Document, path: Place, known: Any) -> Problem:
    nearest = get_close_matches(str(path[-1]), list(known), n=1)
    hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
    return document.problem(path, f"unknown key, kept without effect{hint}", "warning")
