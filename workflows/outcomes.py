"""What executing a step can come to, as plain data; :mod:`workflows.transitions` turns it into rows and events."""

from dataclasses import dataclass, field
from typing import Any

from agents.artifacts import Artifact


@dataclass(frozen=True, slots=True)
class ErrorRecord:
    """An error as it is stored: machine code, message, and the Python trace where there is one."""

    code: str
    message: str
    trace: str = ""
    heals: bool = False
    retry_after: float | None = None  # seconds, where a server named them


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens and cost of model calls; cost in US dollars, 0 where unknown."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.input_tokens + other.input_tokens, self.output_tokens + other.output_tokens, self.cost + other.cost
        )


@dataclass(frozen=True, slots=True)
class Footprint:
    """What an attempt left besides its result: log lines, files, and what a helper process measured of itself."""

    logs: list[dict[str, Any]] = field(default_factory=list)
    usage: Usage = Usage()
    cpu_seconds: float | None = None
    peak_memory_bytes: int | None = None
    artifacts: tuple[Artifact, ...] = ()


@dataclass(frozen=True, slots=True)
class Reusable:
    """What a function gave, for other steps that ask for the same: JSON text from before its step's own checks."""

    digest: str
    result: str
    ttl_seconds: float


@dataclass(frozen=True, slots=True)
class Succeeded:
    """``encoded`` is the result as the JSON text that is stored, ``sizes`` the bytes of each of its keys.

    ``result`` is an object, but for a loop over items: a list. ``source`` says where it came from, if not from the
    step's own function; ``told`` is what the event adds.
    """

    result: Any
    encoded: str
    sizes: dict[str, int]
    footprint: Footprint = Footprint()
    source: str = ""
    reusable: Reusable | None = None
    told: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failed:
    error: ErrorRecord
    footprint: Footprint = Footprint()


@dataclass(frozen=True, slots=True)
class RetryAt:
    """The attempt failed and another one is due in ``delay`` seconds."""

    delay: float
    error: ErrorRecord
    footprint: Footprint = Footprint()


@dataclass(frozen=True, slots=True)
class Skipped:
    reason: str
    detail: str = ""


Outcome = Succeeded | Failed | RetryAt | Skipped
