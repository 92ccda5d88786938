"""What answers where no model is connected: extraction from the prompt and its context, never invention.

Deterministic: the same request gets the same answer. Every answer opens by saying what it is.
"""

from __future__ import annotations

import json
import re
import time
from asyncio import sleep
from collections import Counter
from collections.abc import Callable
from typing import Any

from agents.errors import RequestRefused
from agents.providers.base import Completion, Material, Request, Usage
from agents.providers.sample import sample_value
from agents.providers.structured import schema_problem
from agents.text.words import STOP_WORDS, sentences, words

NOTE = "[offline: no model is connected; put together from the request and earlier results]"
PIECE_WORDS = 4
TOPICS = 5
SENTENCES = 5
READ_CHARACTERS = 100_000


async def complete(request: Request, on_token: Callable[[str], None]) -> Completion:
    """Answer by extraction, in pieces; raises `RequestRefused` for a schema that only a model can fill."""
    started = time.monotonic()
    found = _object(request) if request.schema else None
    whole = json.dumps(found, ensure_ascii=False) if request.schema else compose(request.prompt, request.materials)
    text, cut = (whole, False) if request.schema else _cut(whole, request.sampling.max_tokens)
    for piece in _pieces(text):
        on_token(piece)
        await sleep(0)
    asked = " ".join([request.system, request.prompt, *(material.text for material in request.materials)])
    return Completion(
        text=text,
        finish_reason="length" if cut else "stop",
        usage=Usage(len(asked.split()), len(text.split()), estimated=True),
        model="offline",
        provider="offline",
        object=found,
        seconds=time.monotonic() - started,
        first_token_seconds=0.0,
    )


def compose(prompt: str, materials: tuple[Material, ...] = ()) -> str:
    """The text of an answer: the request's first sentence, its topic words, sentences that match them."""
    asked = sentences(prompt[:READ_CHARACTERS])
    topics = topic_words(prompt[:READ_CHARACTERS])
    lines = [NOTE, f"Request: {asked[0] if asked else prompt.strip()[:200] or '(empty)'}"]
    if topics:
        lines.append(f"Topics: {', '.join(topics)}.")
    lines += _quoted("From the request:", matching(asked[1:], topics))
    for material in materials:
        found = matching(sentences(material.text[:READ_CHARACTERS]), topics)
        lines += _quoted(f"From the result of {material.name}:", found)
    return "\n".join(lines)


def topic_words(text: str, count: int = TOPICS) -> list[str]:
    """The most frequent words that carry a topic, in order of frequency, then of appearance."""
    spoken = (word.lower() for word in words(text))
    topical = [word for word in spoken if len(word) > 2 and word not in STOP_WORDS and not word.isdigit()]
    return [word for word, _ in Counter(topical).most_common(count)]


def matching(candidates: list[str], topics: list[str], count: int = SENTENCES) -> list[str]:
    """The sentences that name most of the topics, in their own order."""
    wanted = set(topics)
    scores = {i: len(wanted & {w.lower() for w in words(s)}) for i, s in enumerate(candidates)}
    best = sorted((i for i in scores if scores[i]), key=lambda i: (-scores[i], i))[:count]
    return [candidates[i] for i in sorted(best)]


def _quoted(title: str, found: list[str]) -> list[str]:
    return [title, *(f"- {sentence[:400]}" for sentence in found)] if found else []


def _object(request: Request) -> Any:
    schema = request.schema or {}
    found = sample_value(schema, request.prompt)
    problem = schema_problem(found, schema)
    if problem:
        raise RequestRefused(f"the offline provider can't fill this output_schema ({problem}); connect a model")
    return found


def _cut(text: str, max_tokens: int | None) -> tuple[str, bool]:
    """The text's first `max_tokens` words, and whether any were left out."""
    parts = re.findall(r"\S+\s*", text)
    if max_tokens is None or len(parts) <= max_tokens:
        return text, False
    return "".join(parts[:max_tokens]).rstrip(), True


def _pieces(text: str) -> list[str]:
    parts = re.findall(r"\s*\S+\s*", text)
    return ["".join(parts[i : i + PIECE_WORDS]) for i in range(0, len(parts), PIECE_WORDS)]
