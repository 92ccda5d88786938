"""Asking a model: which server, which model, what of the context goes along.

The server is the agent's `api_endpoint`, else `KOLOSAL_INFERENCE_URL`; with neither, the offline provider
answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from agents.conf import setting
from agents.errors import ModelNotFound, RateLimited, ServerError, ServerTimeout, ServerUnreachable, StreamCut
from agents.functions.base import LLMConfig
from agents.providers.base import Completion, Material, Request, Round, Sampling, Usage
from agents.providers.structured import read_object
from agents.tools import Toolbox

if TYPE_CHECKING:
    from agents.providers.openai import Server

NO_MODEL = (
    "No model is connected: the offline provider answers by extraction. Set KOLOSAL_INFERENCE_URL (such as "
    "http://localhost:11434/v1) and KOLOSAL_INFERENCE_MODEL, or an agent's llm_config.api_endpoint."
)
ORIGINAL_PORT = 8080  # of the original system, and of this one unless KOLOSAL_PORT says otherwise

# What another model may heal; nothing else is worth asking it.
_NEXT_MODEL = (ModelNotFound, RateLimited, ServerError, ServerTimeout, ServerUnreachable, StreamCut)


def model_connected(llm: LLMConfig | None = None) -> bool:
    """Whether a server would answer, rather than the offline provider."""
    return server_for(llm) is not None


OFFLINE = "offline"
"""The model's name that stands for the offline provider."""


def server_for(llm: LLMConfig | None, model: str | None = None) -> Server | None:
    """The server and model to ask, or None for the offline provider.

    `model` is what the step asked for; "offline" asks for the offline provider, whatever is connected. The model of an
    ignored endpoint yields to `KOLOSAL_INFERENCE_MODEL`.
    """
    if model == OFFLINE:
        return None
    llm = llm or LLMConfig()
    site, site_model = str(setting("INFERENCE_URL") or ""), str(setting("INFERENCE_MODEL") or "")
    ignored = bool(llm.api_endpoint) and _is_this_server(str(llm.api_endpoint))
    url = site if ignored or not llm.api_endpoint else llm.api_endpoint
    if not url:
        return None
    from agents.providers.openai import Server

    named = (site_model or llm.model_name) if ignored else (llm.model_name or site_model)
    return Server(url, model or named or "default", _key_for(url, site), llm.timeout_seconds)


async def complete(
    prompt: str,
    *,
    system: str = "",
    materials: tuple[Material, ...] = (),
    llm: LLMConfig | None = None,
    models: Sequence[str] | None = None,
    sampling: Sampling | None = None,
    schema: dict[str, Any] | None = None,
    on_token: Callable[[str], None] = lambda _: None,
    spend: Callable[[Usage], None] = lambda _: None,
    toolbox: Toolbox | None = None,
) -> Completion:
    """Answer a prompt; `on_token` gets the text in pieces as it arrives, `spend` the usage of each answer.

    `models` are asked in turn while one fails before its first text; none given: the agent's. What they ask of the
    `toolbox` is carried out until one answers without asking. Errors are those of `agents.providers.openai.complete`
    and of the toolbox, and `MalformedAnswer` for one that breaks the schema. Cancelling closes the connection.
    """
    asking = _Asking(llm, models, on_token)
    tools = toolbox.offered if toolbox else ()
    request = Request(prompt, system, materials, _sampling(llm, sampling or Sampling()), schema, tools)
    completion = await asking.answer(request)
    spend(completion.usage)
    while toolbox is not None and completion.tool_calls:
        if completion.text:
            on_token("\n\n")
        results = await toolbox.carry_out(completion.tool_calls)
        asked = Round(completion.text, completion.tool_calls, results)
        request = replace(request, rounds=(*request.rounds, asked))
        answer = await asking.answer(request)
        spend(answer.usage)
        completion = _after(completion, answer)
    if schema and completion.provider != "offline":
        completion = replace(completion, object=read_object(completion.text, schema))
    return replace(completion, fallbacks=tuple(asking.failed))


class _Asking:
    """Models in turn: one that failed is asked no more, and none takes over once text was heard."""

    def __init__(self, llm: LLMConfig | None, models: Sequence[str] | None, on_token: Callable[[str], None]) -> None:
        self._llm = llm or LLMConfig()
        self._models: list[str | None] = [*(models or _listed(self._llm))]
        self._on_token = on_token
        self._heard = False
        self.failed: list[dict[str, str]] = []  # {model, error}

    async def answer(self, request: Request) -> Completion:
        while (server := server_for(self._llm, self._models[0])) is not None:
            from agents.providers import openai

            try:
                return _priced(await openai.complete(server, request, self._emit), self._llm)
            except _NEXT_MODEL as error:
                if self._heard or len(self._models) == 1:
                    raise
                self._models.pop(0)
                self.failed.append({"model": server.model, "error": f"{error.code}: {error}"})
        from agents.providers import offline

        return await offline.complete(request, self._emit)

    def _emit(self, text: str) -> None:
        self._heard = True
        self._on_token(text)


def _listed(llm: LLMConfig) -> list[str | None]:
    """What an agent's configuration says, `model_name` first; None is for `server_for` to name."""
    first = [None] if llm.model_name or not llm.models else []
    return [*first, *(model for model in llm.models if model != llm.model_name)]


def _after(earlier: Completion, answer: Completion) -> Completion:
    """An answer with what was spent on those that led to it."""
    first = answer.first_token_seconds
    return replace(
        answer,
        usage=earlier.usage + answer.usage,
        seconds=earlier.seconds + answer.seconds,
        first_token_seconds=None if first is None else earlier.seconds + first,
    )


def _priced(completion: Completion, llm: LLMConfig) -> Completion:
    """The completion with the cost that the agent's prices make, where the server told none."""
    usage, prices = completion.usage, (llm.input_price_per_million, llm.output_price_per_million)
    if usage.cost is not None or prices == (None, None):
        return completion
    cost = (usage.input_tokens * (prices[0] or 0) + usage.output_tokens * (prices[1] or 0)) / 1_000_000
    return replace(completion, usage=replace(usage, cost=cost))


def _sampling(llm: LLMConfig | None, asked: Sampling) -> Sampling:
    if llm is None:
        return asked
    return replace(
        asked,
        max_tokens=asked.max_tokens if asked.max_tokens is not None else llm.max_tokens,
        temperature=asked.temperature if asked.temperature is not None else llm.temperature,
    )


def _key_for(url: str, site: str) -> str:
    """The key, for the server that it was given for; without `KOLOSAL_INFERENCE_URL`, for the agents' own."""
    key = str(setting("INFERENCE_API_KEY") or "")
    return key if not site or _origin(url) == _origin(site) else ""


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()


def endpoint_warning(url: str) -> str | None:
    """What to tell of an agent's `api_endpoint` when the file is read, or None.

    Files of the original system point their agents at its own port. Where this server has moved to another,
    that address is somebody else's: it is asked, as nobody can know that no model server was meant.
    """
    if _is_this_server(url):
        return f"{url} is this server itself: ignored, KOLOSAL_INFERENCE_URL applies"
    if _port_here(url) == ORIGINAL_PORT:
        return (
            f"{url} is not this server, which listens on port {setting('PORT')}: a model server must answer there; "
            "take api_endpoint away if none does, then KOLOSAL_INFERENCE_URL applies"
        )
    return None


def _is_this_server(url: str) -> bool:
    return _port_here(url) == int(setting("PORT") or ORIGINAL_PORT)


def _port_here(url: str) -> int | None:
    """The port, if the address is on this machine."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return None
    return port if _is_loopback(parts.hostname or "") else None


def _is_loopback(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified
