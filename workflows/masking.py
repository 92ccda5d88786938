"""Secrets: where their values come from, and how they are kept out of everything that is stored or shown."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any
from urllib.parse import quote, quote_plus

MASKED = "***"
PREFIX = "KOLOSAL_SECRET_"
SHORTEST = 4
"""Shorter values are not searched for: they would mask ordinary text everywhere, and guard nothing."""

LOSSY = "surrogateescape"
"""Variables of the environment may hold bytes that are no UTF-8; they come as such surrogates."""

WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")
SECRET_WORDS = frozenset(
    [
        "password",
        "passwd",
        "passphrase",
        "secret",
        "secrets",
        "token",
        "authorization",
        "cookie",
        "credential",
        "credentials",
        "apikey",
    ]
)


class EnvironmentSecrets(Mapping[str, str]):
    """`secrets.NAME` is the environment variable `KOLOSAL_SECRET_NAME`. `used` holds those that were read."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = os.environ if environment is None else environment
        self.used: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        value = self._environment[PREFIX + name]
        self.used[name] = value
        return value

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and PREFIX + name in self._environment

    def __iter__(self) -> Iterator[str]:
        return (name.removeprefix(PREFIX) for name in self._environment if name.startswith(PREFIX))

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Mask:
    """Replaces the given values by `***`, also where they stand URL-encoded, in base64 or escaped as in
    JSON."""

    def __init__(self, secret_values: Iterable[str] = ()) -> None:
        forms = {form for value in secret_values if len(value) >= SHORTEST for form in _forms(value)}
        # Longest first, so that no form leaves the rest of a longer one standing.
        longest_first = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if forms else None
        self._longest = len(longest_first[0]) if forms else 0

    def text(self, text: str) -> str:
        return text if self._pattern is None else self._pattern.sub(MASKED, text)

    def value(self, value: Any) -> Any:
        """A copy of the JSON value with every string masked, keys included; the value itself without
        secrets."""
        return value if self._pattern is None else self._masked(value)

    def parameters(self, value: Any) -> Any:
        """What is stored of parameters: masked, and texts under keys such as `password` or `api_key` left
        out."""
        return self.value(redacted(value))

    def stream(self, emit: Callable[[str], None]) -> MaskedStream:
        """What passes pieces of a text on to ``emit``, masked also where a secret is split over pieces."""
        return MaskedStream(emit, self._pattern, self._longest)

    def _masked(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(key): self._masked(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._masked(item) for item in value]
        return value


class MaskedStream:
    """Keeps back the end of what was written, as long as a secret may begin in it. ``flush`` gives the rest."""

    def __init__(self, emit: Callable[[str], None], pattern: re.Pattern[str] | None, longest: int) -> None:
        self._emit = emit
        self._pattern = pattern
        self._keep = max(longest - 1, 0)
        self._held = ""

    def write(self, piece: str) -> None:
        if self._pattern is None:
            self._emit(piece)
            return
        text = self._held + piece
        cut = max(len(text) - self._keep, 0)
        for found in self._pattern.finditer(text):
            if found.start() < cut < found.end():
                cut = found.end()  # a whole secret may go at once
        self._give(text[:cut])
        self._held = text[cut:]

    def flush(self) -> None:
        self._give(self._held)
        self._held = ""

    def _give(self, text: str) -> None:
        if text:
            self._emit(self._pattern.sub(MASKED, text) if self._pattern else text)


def redacted(value: Any) -> Any:
    """A copy in which everything but numbers, true, false and null under a secret's key is `***`."""
    if isinstance(value, dict):
        return {key: _hidden(item) if is_secret_key(key) else redacted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [redacted(item) for item in value]
    return value


def _hidden(value: Any) -> Any:
    return MASKED if isinstance(value, str | list | dict) and value else value


def is_secret_key(key: str) -> bool:
    """`password`, `X-Api-Key`, `accessToken` are; `max_tokens`, `tokenizer` are not."""
    words = [word.lower() for word in WORD.findall(key)]
    pairs = {a + b for a, b in pairwise(words)}
    return not SECRET_WORDS.isdisjoint(words) or "apikey" in pairs


def _forms(value: str) -> Iterator[str]:
    yield value
    for encoded in (
        quote(value, errors=LOSSY),
        quote(value, safe="", errors=LOSSY),
        quote_plus(value, errors=LOSSY),
    ):
        yield encoded
        yield re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), encoded)
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield from _base64_forms(value.encode("utf-8", LOSSY))


def _base64_forms(value: bytes) -> Iterator[str]:
    """The letters that the value alone decides, for each of the three places where it may begin in a
    longer text."""
    for before in range(3):
        first, end = -(-before * 8 // 6), (before + len(value)) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            form = encode(bytes(before) + value).decode("ascii")[first:end]
            if len(form) >= SHORTEST:
                yield form
