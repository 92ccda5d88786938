"""Words, sentences and counts of a text."""

from __future__ import annotations

import re
from asyncio import sleep
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

Item = TypeVar("Item")

_WORD = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")
_TOKEN = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*|[^\w\s]|_+")
_SENTENCE_END = re.compile(
    r"(?<=[.!?。！？])[\"'”’)\]]{0,2}\s+(?=[\"'“‘(\[]{0,2}[^\W_a-z])|(?<=[。！？])|\n\s*\n|\n(?=\s*(?:[-*•]|\d{1,3}[.)])\s)"
)
_ABBREVIATION = re.compile(r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|vs|etc|e\.g|i\.e|cf|Fig|No|approx)\.|\b[A-Z]\.)$")

# Common English words that carry no topic; also the sign by which a text is taken for English.
_STOP_WORDS = """
a about above after again against all also am an and any are as at be because been before being below
between both but by can could did do does doing down during each either else etc every few for from
further had has have having he her here hers herself him himself his how however i if in into is it its
itself just may me might more most much must my myself neither no nor not now of off on once one only or
other our ours ourselves out over own per rather same shall she should since so some such than that the
their theirs them themselves then there these they this those though through thus to too under until up
upon us very was we were what when where whether which while who whom whose why will with within without
would yet you your yours yourself yourselves it's don't doesn't didn't isn't aren't wasn't can't won't
i'm you're we're they're that's there's let's
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())


def words(text: str) -> list[str]:
    """The words as written; a hyphen or apostrophe inside a word belongs to it."""
    return _WORD.findall(text)


def tokens(text: str) -> list[str]:
    """Words and punctuation marks, in order."""
    return _TOKEN.findall(text)


def sentences(text: str) -> list[str]:
    """The sentences; list items and paragraphs without a full stop count as one each."""
    found: list[str] = []
    for piece in _SENTENCE_END.split(text):
        piece = " ".join(piece.split())
        if found and _ABBREVIATION.search(found[-1]):
            found[-1] += f" {piece}"
        elif piece:
            found.append(piece)
    return [s for s in found if _WORD.search(s)]


def paragraphs(text: str) -> list[str]:
    """Blocks of text that an empty line divides."""
    return [p.strip() for p in re.split(r"\n[ \t]*\n", text) if p.strip()]


def looks_english(found: list[str]) -> bool:
    """Whether at least one word in eight is a common English one; texts under 20 words pass."""
    common = sum(word.lower() in STOP_WORDS for word in found)
    return len(found) < 20 or common * 8 >= len(found)


def shortened(text: str, length: int) -> str:
    """The text on one line, cut at `length` characters with an ellipsis."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


async def in_turns(items: Iterable[Item], every: int = 50) -> AsyncIterator[Item]:
    """The items, giving way to the other runs of the event loop after each `every` of them.

    So a long text delays nobody by more than a few milliseconds, and its step can be cancelled midway.
    """
    for number, item in enumerate(items, 1):
        yield item
        if number % every == 0:
            await sleep(0)
