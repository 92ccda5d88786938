"""What can go wrong in an agent's function, and whether another attempt may help.

Every class carries its machine code (`code`, the class name) and `heals`: true where a retry may succeed.
`retry_after` is in seconds, and only set where a server named it.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from typing import Any, ClassVar


class AgentError(Exception):
    """The base of everything that calling an agent's function can end with, apart from its result."""

    code: ClassVar[str] = "AgentError"
    heals: ClassVar[bool] = False

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.code = cls.__name__

    def to_json(self) -> dict[str, Any]:
        """The error as plain JSON, for crossing to another process; `error_from_json` reads it back."""
        return {"code": self.code, "message": str(self), **self.__dict__}


class AgentNotFound(AgentError):
    """No agent bears that name or UUID."""


class AgentDisabled(AgentError):
    """The agent exists and is switched off."""


class FunctionNotFound(AgentError):
    """No function of that name exists here, or the agent does not offer it."""


class InvalidParameters(AgentError):
    """The parameters do not fit the function; `problems` is a list of `{"path", "message"}`."""

    def __init__(self, message: str, problems: list[dict[str, Any]] | None = None) -> None:
        super().__init__(message)
        self.problems: list[dict[str, Any]] = problems or []

    @classmethod
    def at(cls, function: str, path: str, message: str) -> InvalidParameters:
        """The error for what is wrong with one parameter."""
        return cls(f"{function}: {path}: {message}", [{"path": path, "message": message}])


class FunctionFailed(AgentError):
    """The function raised, or returned what is not a JSON object.

    `trace` is the Python traceback as text, `cause_type` the class of what was raised ("" where nothing was).
    """

    heals = True
    trace: str = ""
    cause_type: str = ""

    def __init__(self, message: str, *, trace: str = "", cause_type: str = "") -> None:
        super().__init__(message)
        self.trace = trace
        self.cause_type = cause_type

    @classmethod
    def wrap(cls, cause: BaseException) -> FunctionFailed:
        name = type(cause).__name__
        trace = "".join(traceback.format_exception(cause))
        return cls(f"{name}: {cause}" if str(cause) else name, trace=trace, cause_type=name)


class ServerUnreachable(AgentError):
    """No connection to the server: refused, no route, no such host, TLS failure."""

    heals = True


class AuthenticationRefused(AgentError):
    """The server answered 401 or 403."""


class ModelNotFound(AgentError):
    """The server does not have the model that was asked for."""


class RateLimited(AgentError):
    """The server answered 429."""

    heals = True


class RequestRefused(AgentError):
    """The server refused the request with another 4xx."""


class ServerError(AgentError):
    """The server answered 5xx, or reported a failure of its own in the stream."""

    heals = True


class StreamCut(AgentError):
    """The connection broke before the answer was complete."""

    heals = True


class MalformedAnswer(AgentError):
    """The server's answer is not what the protocol says."""

    heals = True


class ServerTimeout(AgentError):
    """The server did not answer in time."""

    heals = True


class TooManyToolCalls(AgentError):
    """The model asked for more calls of tools than `max_tool_calls` allows."""


class AddressRefused(AgentError):
    """The address is not one that this server may call (see `agents/network.py`)."""


class AnswerTooLarge(AgentError):
    """The answer is larger than the limit."""


class ArtifactRefused(AgentError):
    """A file that a function made is not kept: its name, its type or its size is not allowed."""


def error_from_json(record: dict[str, Any]) -> AgentError:
    """The error that `AgentError.to_json` wrote; an unknown code becomes a `FunctionFailed`."""
    fields = {"retry_after": None, **record}
    code, message = fields.pop("code", ""), fields.pop("message", "")
    kind = next((cls for cls in _subclasses(AgentError) if cls.code == code), FunctionFailed)
    error = kind.__new__(kind, message)  # not __init__: what it would set is in the record
    error.__dict__.update(fields)
    return error


def _subclasses(cls: type[AgentError]) -> Iterator[type[AgentError]]:
    for child in cls.__subclasses__():
        yield child
        yield from _subclasses(child)
