"""Asking a model: which server, which model, what of the context goes along.

The server is the agent's `api_endpoint`, else `KOLOSAL_INFERENCE_URL`; with neither, the offline provider
answers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from agents.conf import setting
from agents.errors import ModelNotFound, RateLimited, ServerError, ServerTimeout, ServerUnreachable
from agents.functions.base import LLMConfig
from agents.providers.base import Completion, Material, Request, Sampling

if TYPE_CHECKING:
    from agents.providers.openai import Server

logger = logging.getLogger(__name__)

NO_MODEL = (
    "No model is connected: the offline provider answers by extraction. Set KOLOSAL_INFERENCE_URL (such as "
    "http://localhost:11434/v1) and KOLOSAL_INFERENCE_MODEL, or an agent's llm_config.api_endpoint."
)
ORIGINAL_PORT = 8080  # of the original system, and of this one unless KOLOSAL_PORT says otherwise

# What another model may heal; nothing else is worth asking it.
_NEXT_MODEL = (ModelNotFound, RateLimited, ServerError, ServerTimeout, ServerUnreachable)


def model_connected(llm: LLMConfig | None = None) -> bool:
    """Whether a server would answer, rather than the offline provider."""
    return server_for(llm) is not None


def server_for(llm: LLMConfig | None, model: str | None = None) -> Server | None:
    """The server and model to ask, or None for the offline provider.

    `model` is what the step asked for. The model of an ignored endpoint yields to `KOLOSAL_INFERENCE_MODEL`.
    """
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
    models: list[str] | None = None,
    sampling: Sampling | None = None,
    schema: dict[str, Any] | None = None,
    on_token: Callable[[str], None] | None = None,
) -> Completion:
    """Answer a prompt; `on_token` gets the text in pieces as it arrives.

    `models` are asked in turn while one fails before its first text; none given: the agent's. Errors are
    those of `agents.providers.openai.complete`. Cancelling closes the connection.
    """
    request = Request(prompt, system, materials, _sampling(llm, sampling or Sampling()), schema)
    heard: list[bool] = []

    def emit(text: str) -> None:
        heard.append(True)
        if on_token:
            on_token(text)

    wanted: list[str | None] = [*models] if models else [None]
    for position, model in enumerate(wanted):
        server = server_for(llm, model)
        if server is None:
            break
        from agents.providers import openai

        try:
            return await openai.complete(server, request, emit)
        except _NEXT_MODEL as error:
            if heard or position == len(wanted) - 1:
                raise
            logger.warning("model %s failed (%s): asking %s", model, error, wanted[position + 1])
    from agents.providers import offline

    return await offline.complete(request, emit)


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
