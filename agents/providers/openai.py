"""A client for servers that speak OpenAI's chat completions, streamed.

https://platform.openai.com/docs/api-reference/chat. The many servers that copy it differ, so: what a server
refuses by name (`stream_options`, `response_format` …) is left out and asked again; an answer that is not a
stream is read whole; usage, finish reason and content may be absent. Imported when first needed.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

import httpx2

from agents.errors import (
    AgentError,
    AnswerTooLarge,
    AuthenticationRefused,
    MalformedAnswer,
    ModelNotFound,
    RateLimited,
    RequestRefused,
    ServerError,
    ServerTimeout,
    ServerUnreachable,
    StreamCut,
)
from agents.http import CONNECT_SECONDS, shown_url, tls_context, typed_errors
from agents.providers.base import Completion, Request, Round, ToolCall, Usage, estimated_tokens
from agents.providers.structured import instruction
from agents.quoting import fenced

SILENCE_SECONDS = 300.0  # without a byte; the step's timeout usually comes first
ANSWER_CHARACTERS = 4_000_000
ERROR_BYTES = 65_536

# What a server may refuse, in the order of asking without it.
_OPTIONAL = ("stream_options", "response_format", "seed", "top_p", "temperature", "stop", "stream")

# How servers that answer 400 for an unknown model put it; LiteLLM's proxy is one.
_NO_SUCH_MODEL = re.compile(r"model_not_found|(?:invalid|unknown) model|model\b.{0,80}not (?:exist|found)", re.I)


@dataclass(frozen=True, slots=True)
class Server:
    """Where to ask, for which model."""

    url: str
    model: str
    api_key: str = ""
    timeout_seconds: float | None = None


@dataclass(slots=True)
class _Asked:
    """A call of a tool, as far as it has arrived."""

    index: Any
    id: str
    name: str = ""
    arguments: list[str] = field(default_factory=list)

    def goes_on_with(self, piece: dict[str, Any], name: str) -> bool:
        """Whether a piece belongs to this call. Servers tell calls apart by `index`, by `id`, or by a new name."""
        index, id = piece.get("index"), piece.get("id")
        return bool(self.index == index and (id == self.id if id else index is not None or not name))


@dataclass(slots=True)
class _Answer:
    """What has arrived so far."""

    on_token: Callable[[str], None]
    started: float = field(default_factory=time.monotonic)
    first_token_seconds: float | None = None
    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    asked: list[_Asked] = field(default_factory=list)
    size: int = 0
    finish_reason: str | None = None
    usage: dict[str, Any] | None = None
    model: str = ""

    def take(self, event: Any) -> None:
        """Add one event of the stream, or a whole answer: the same shape but for `delta` and `message`."""
        if not isinstance(event, dict):
            raise MalformedAnswer(f"the server sent {json.dumps(event)[:80]} where an object was due")
        if event.get("error"):
            raise _refusal(_status_in(event["error"]), json.dumps(event), {}, self.model)
        self.usage = event["usage"] if isinstance(event.get("usage"), dict) else self.usage
        self.model = event["model"] if isinstance(event.get("model"), str) else self.model
        choices = event.get("choices")
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            self._take_choice(choices[0])

    def _take_choice(self, choice: dict[str, Any]) -> None:
        part = choice.get("delta") or choice.get("message") or {}
        part = part if isinstance(part, dict) else {}
        thought = _text_of(part.get("reasoning_content") or part.get("reasoning"))
        text = _text_of(part.get("content")) or _text_of(choice.get("text"))
        self.finish_reason = choice.get("finish_reason") or self.finish_reason
        if thought:
            self.reasoning.append(thought)
        if text:
            if self.first_token_seconds is None:
                self.first_token_seconds = time.monotonic() - self.started
            self.text.append(text)
            self.on_token(text)
        self.size += len(text) + len(thought)
        pieces = part.get("tool_calls")
        for piece in pieces if isinstance(pieces, list) else ():
            self._take_call(piece if isinstance(piece, dict) else {})
        if self.size > ANSWER_CHARACTERS:
            raise AnswerTooLarge(f"the model's answer is longer than {ANSWER_CHARACTERS:,} characters")

    def _take_call(self, piece: dict[str, Any]) -> None:
        """Add a piece of a call, or a whole one; the first of a call has its name."""
        function = piece.get("function")
        function = function if isinstance(function, dict) else {}
        name, arguments = str(function.get("name") or ""), function.get("arguments") or ""
        asked = next((a for a in reversed(self.asked) if a.goes_on_with(piece, name)), None)
        if asked is None:
            asked = _Asked(piece.get("index"), str(piece.get("id") or f"call_{len(self.asked) + 1}"))
            self.asked.append(asked)
        asked.name = asked.name or name
        asked.arguments.append(arguments if isinstance(arguments, str) else json.dumps(arguments))
        self.size += len(asked.arguments[-1])


async def complete(server: Server, request: Request, on_token: Callable[[str], None]) -> Completion:
    """Ask the server, passing on text as it arrives. The answer is not held against the request's schema here.

    Raises `AnswerTooLarge`, `AuthenticationRefused`, `MalformedAnswer`, `ModelNotFound`, `RateLimited`,
    `RequestRefused`, `ServerError`, `ServerTimeout`, `ServerUnreachable`, `StreamCut`. Nothing is tried again
    here after a failure: that is the engine's to decide.
    """
    answer = _Answer(on_token, model=server.model)
    try:
        async with asyncio.timeout(server.timeout_seconds):
            with typed_errors(server.url):
                await _ask(server, _body(server, request), answer)
    except ServerUnreachable as error:
        hint = "start the model server, or correct the agent's llm_config.api_endpoint or KOLOSAL_INFERENCE_URL"
        raise ServerUnreachable(f"{error}; {hint}") from None
    except TimeoutError:
        limit = server.timeout_seconds or 0
        raise ServerTimeout(f"{shown_url(server.url)} did not finish within {limit:g} s") from None
    return _completion(server, request, answer)


async def _ask(server: Server, body: dict[str, Any], answer: _Answer) -> None:
    headers = {"Accept": "text/event-stream, application/json"}
    if server.api_key:
        headers["Authorization"] = f"Bearer {server.api_key}"
    timeout = httpx2.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS)
    # A client for each call: opening one costs 0.3 ms, and nothing stays open when the call ends or is
    # cancelled.
    async with httpx2.AsyncClient(verify=tls_context(), timeout=timeout, headers=headers) as client:
        for _ in range(len(_OPTIONAL) + 1):
            async with client.stream("POST", _endpoint(server.url), json=body) as response:
                if response.status_code < 300:
                    await _read(response, answer)
                    return
                text = await _error_text(response)
            refused = _without(body, text) if response.status_code in {400, 422} else None
            if refused is None:
                text = text.replace(server.api_key, "***") if server.api_key else text
                raise _refusal(response.status_code, text, response.headers, server.model)
            body = refused


async def _read(response: httpx2.Response, answer: _Answer) -> None:
    if "event-stream" not in response.headers.get("content-type", ""):
        await _read_whole(response, answer)
        return
    ended = False
    async for data in _events(response):
        if data.startswith("[DONE]"):
            ended = True
            break
        answer.take(_parsed(data))
    if not ended and answer.finish_reason is None:
        raise StreamCut(f"the stream ended in the middle, after {answer.size} characters")


async def _events(response: httpx2.Response) -> AsyncIterator[str]:
    try:
        async for event in httpx2.EventSource(response):
            if event.data.strip():
                yield event.data.strip()
    except (httpx2.ReadError, httpx2.RemoteProtocolError) as error:
        raise StreamCut(f"the connection broke in the middle of the stream: {error}") from None


async def _read_whole(response: httpx2.Response, answer: _Answer) -> None:
    """An answer of a server that ignores `stream`, or that streams under another content type."""
    raw = bytearray()
    async for chunk in response.aiter_bytes():
        raw += chunk
        if len(raw) > 4 * ANSWER_CHARACTERS:
            raise AnswerTooLarge(f"the server's answer is larger than {4 * ANSWER_CHARACTERS:,} bytes")
    text = raw.decode("utf-8", "replace").strip()
    lines = [line[5:].strip() for line in text.splitlines() if line.startswith("data:")]
    for data in lines or [text]:
        if not data.startswith("[DONE]"):
            answer.take(_parsed(data))
    if not lines and answer.size == 0 and not answer.asked and answer.finish_reason is None:
        raise MalformedAnswer(f"the server's answer has no choices: {text[:120]!r}")


def _parsed(data: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise MalformedAnswer(f"the server sent what is no JSON: {data[:120]!r}") from None


def _completion(server: Server, request: Request, answer: _Answer) -> Completion:
    text = "".join(answer.text)
    return Completion(
        text=text,
        finish_reason=str(answer.finish_reason or "stop"),
        usage=_usage(answer, request, text),
        model=answer.model or server.model,
        provider="openai-compatible",
        reasoning="".join(answer.reasoning),
        seconds=time.monotonic() - answer.started,
        first_token_seconds=answer.first_token_seconds,
        tool_calls=tuple(ToolCall(a.id, a.name, "".join(a.arguments)) for a in answer.asked),
    )


def _usage(answer: _Answer, request: Request, text: str) -> Usage:
    told = answer.usage or {}
    sent, received, cost = (told.get(name) for name in ("prompt_tokens", "completion_tokens", "cost"))
    if isinstance(sent, int) and isinstance(received, int):
        return Usage(sent, received, float(cost) if isinstance(cost, int | float) else None)
    earlier = [piece for r in request.rounds for piece in (r.text, *(c.arguments for c in r.calls), *r.results)]
    sent = estimated_tokens("".join([request.system, fenced(request.materials), request.prompt, *earlier]))
    said = [text, *answer.reasoning, *(piece for asked in answer.asked for piece in asked.arguments)]
    return Usage(sent, estimated_tokens("".join(said)), estimated=True)


def _body(server: Server, request: Request) -> dict[str, Any]:
    sampling = request.sampling
    wished = {
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": sampling.seed,
        "stop": list(sampling.stop) or None,
    }
    body: dict[str, Any] = {
        "model": server.model,
        "messages": _messages(request),
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if request.tools:
        body["tools"] = [{"type": "function", "function": asdict(tool)} for tool in request.tools]
    elif request.schema:  # not both: servers that hold the model to a form keep it from asking for tools
        form = {"name": "result", "schema": request.schema}
        body["response_format"] = {"type": "json_schema", "json_schema": form}
    return body | {name: value for name, value in wished.items() if value is not None}


def _messages(request: Request) -> list[dict[str, Any]]:
    system = [request.system, instruction(request.schema) if request.schema else ""]
    said = "\n\n".join(filter(None, system))
    asked = "\n\n".join(filter(None, (fenced(request.materials), request.prompt)))
    opening = [{"role": "system", "content": said}] * bool(said) + [{"role": "user", "content": asked}]
    return [*opening, *(message for earlier in request.rounds for message in _round(earlier))]


def _round(earlier: Round) -> list[dict[str, Any]]:
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": _readable(call.arguments)}}
        for call in earlier.calls
    ]
    told = zip(earlier.calls, earlier.results, strict=True)
    return [
        {"role": "assistant", "content": earlier.text or None, "tool_calls": calls},
        *({"role": "tool", "tool_call_id": call.id, "content": result} for call, result in told),
    ]


def _readable(arguments: str) -> str:
    """Arguments as a server can read them back; the model learns from the call's result that they were not JSON."""
    try:
        return arguments if isinstance(json.loads(arguments), dict) else "{}"
    except (ValueError, RecursionError):
        return "{}"


def _without(body: dict[str, Any], complaint: str) -> dict[str, Any] | None:
    """The body without the option that the server complains of, or None if it complains of something else."""
    if "max_completion_tokens" in complaint and "max_tokens" in body:
        return {("max_completion_tokens" if name == "max_tokens" else name): v for name, v in body.items()}
    for name in _OPTIONAL:
        if name in body and name in complaint:
            dropped = {name, "stream_options"} if name == "stream" else {name}
            return {key: value for key, value in body.items() if key not in dropped}
    return None


def _endpoint(url: str) -> str:
    base = url.rstrip("/")
    if base.endswith("/chat/completions"):
        return base
    _, _, rest = base.partition("://")
    return f"{base}/chat/completions" if "/" in rest else f"{base}/v1/chat/completions"


async def _error_text(response: httpx2.Response) -> str:
    raw = bytearray()
    async for chunk in response.aiter_bytes():
        raw += chunk
        if len(raw) > ERROR_BYTES:
            break
    return raw.decode("utf-8", "replace")


def _refusal(status: int, text: str, headers: Any, model: str) -> AgentError:
    said = _said(text)
    told = f"the model server answered {status}: {said}" if said else f"the model server answered {status}"
    wait = _retry_after(headers)
    if status in {401, 403}:
        return AuthenticationRefused(f"{told}; check KOLOSAL_INFERENCE_API_KEY")
    if status == 404 and "model" not in said.lower():
        return RequestRefused(f"{told}; the server has no chat completions there: is the base URL right?")
    if status == 404 or (status in {400, 422} and _NO_SUCH_MODEL.search(text)):
        return ModelNotFound(f"the model server does not have the model {model!r}: {said}")
    if status == 429:
        return RateLimited(told, retry_after=wait)
    if status == 408:
        return ServerTimeout(told, retry_after=wait)
    return ServerError(told, retry_after=wait) if status >= 500 else RequestRefused(told)


def _said(text: str) -> str:
    """The message in an error body, whatever its shape."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        body = text
    for name in ("error", "message", "detail"):
        if isinstance(body, dict) and body.get(name):
            body = body[name]
    return " ".join((body if isinstance(body, str) else json.dumps(body)).split())[:500]


def _status_in(error: Any) -> int:
    code = str(error.get("status") or error.get("code")) if isinstance(error, dict) else ""
    return int(code) if len(code) == 3 and code.isdecimal() and code[0] in "45" else 500


def _retry_after(headers: Any) -> float | None:
    """Seconds out of `Retry-After` (seconds or a date, RFC 9110 10.2.3) or `retry-after-ms`."""
    text = headers.get("retry-after", "")
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        return max(0.0, float(text)) if text else None
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


def _text_of(content: Any) -> str:
    """Text content, also where it comes as a list of parts."""
    if isinstance(content, list):
        return "".join(_text_of(part.get("text")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""
