"""Taking named things out of a text: addresses, dates, numbers, list items, tasks."""

from __future__ import annotations

import re
from typing import Any

from agents.text.words import in_turns, sentences, shortened, words

LIMIT = 500  # items of one kind

_PATTERNS: dict[str, re.Pattern[str]] = {
    "emails": re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}"),
    "urls": re.compile(r"\bhttps?://[^\s<>\"'`]{1,2000}[^\s<>\"'`.,;:!?)\]]"),
    "dates": re.compile(
        r"\b\d{4}-\d{2}-\d{2}\b|\b\d{1,2}[./]\d{1,2}[./]\d{4}\b"
        r"|\b(?:\d{1,2} )?(?:January|February|March|April|May|June|July|August|September|October|November"
        r"|December)(?: \d{1,2})?,? \d{4}\b"
    ),
    "money": re.compile(
        r"[$€£¥] ?\d(?:[\d,.]{0,20}\d)?(?: (?:million|billion|thousand))?"
        r"|\b\d(?:[\d,.]{0,20}\d)? (?:USD|EUR|GBP)\b"
    ),
    "percentages": re.compile(r"(?<![\w.])[+-]?\d{1,15}(?:[.,]\d{1,10})? ?(?:%|percent\b)"),
    "numbers": re.compile(r"(?<![\w.,:/+-])[+-]?(?:\d{1,3}(?:,\d{3}){1,8}|\d{1,20})(?:\.\d{1,15})?(?![\w]|[.,:/-]\d)"),
    "headings": re.compile(r"(?m)^#{1,6} {1,3}(\S.{0,200})$"),
    "hashtags": re.compile(r"(?<![\w&/])#[^\W\d_]\w{0,100}"),
}
_ITEM = re.compile(r"(?m)^[ \t]{0,20}(?:[-*•+]|\d{1,3}[.)]|\[[ xX]?\])[ \t]+(\S.{0,1000})$")
_CHECKBOX = re.compile(r"^\[[ xX]?\]\s*")
_OPENING = re.compile(
    r"^(?:(?:please|then|next|now|first|second|third|finally|also|and|lastly|afterwards)[ ,]{1,3}){0,3}"
    r"(?:to )?([A-Za-z]{2,20})\b",
    re.IGNORECASE,
)
_OBLIGATION = re.compile(
    r"\b(?:must|should|needs? to|ha(?:s|ve) to|(?:is|are) to|let's|to-?do:?|action:?)\s{1,3}([a-z]{2,20})\b",
    re.IGNORECASE,
)
# Verbs that open an instruction. Those that are as often nouns ("plan", "report") count only before
# an article or another word that a command goes on with; see `_is_task`.
_VERB_LIST = """
add agree allocate analyse analyze announce arrange ask assess assign attach automate avoid book build
buy calculate call cancel check choose clarify clean close collect communicate compare compile complete
conduct configure confirm connect consider contact convert coordinate copy correct create decide define
delete deliver deploy describe determine develop discuss distribute divide document download draft draw
edit email ensure establish estimate evaluate examine execute explain explore export extend extract file
fill find finish fix follow gather generate get give hire hold identify implement import improve include
inform inspect install integrate interview investigate invite keep launch learn list load make map
measure meet merge migrate monitor move negotiate notify obtain open optimise optimize order organise
organize outline pay perform pick plan prepare present prioritise prioritize produce promote provide
publish purchase put read record recruit reduce refactor register release remove rename repair replace
report request research resolve respond restart review revise rewrite run save schedule secure select
send set share sign specify start stop store study submit summarise summarize support switch take talk
teach tell test track train translate try turn update upgrade upload use validate verify visit watch
write
"""
_VERBS = frozenset(_VERB_LIST.split())
_AFTER_VERB_LIST = """
a an the all any each every your our their its his her this that these those some both how what which who
"""
_AFTER_VERB = frozenset(_AFTER_VERB_LIST.split())
KINDS = (*_PATTERNS, "list_items", "tasks")


async def extract(text: str, kinds: list[str]) -> dict[str, list[Any]]:
    """What the text contains of each of the `kinds` (of `KINDS`), in order, each once, at most 500."""
    return {kind: _of_kind(text, kind) async for kind in in_turns(kinds, every=1)}


def _of_kind(text: str, kind: str) -> list[Any]:
    if kind == "tasks":
        return tasks(text)
    found = list_items(text) if kind == "list_items" else _PATTERNS[kind].findall(text)
    return list(dict.fromkeys(item.strip() for item in found))[:LIMIT]


def list_items(text: str) -> list[str]:
    """The items of bulleted and numbered lists, without their marks."""
    return [_CHECKBOX.sub("", item).strip() for item in _ITEM.findall(text)][:LIMIT]


def tasks(text: str) -> list[dict[str, Any]]:
    """List items and sentences that tell somebody to do something: `[{number, task, verb, found_in}]`.

    A sentence counts if it opens with a verb of a fixed list, or says what must, should or needs to be done.
    Where there are lists, each of their items counts, verb or not.
    """
    items = list_items(text)
    rest = _ITEM.sub("\n\n", text)
    candidates = [(item, "list") for item in items] + [(s, "sentence") for s in sentences(rest) if _verb_of(s)]
    unique = list(dict.fromkeys(candidates))[:LIMIT]
    return [
        {"number": number, "task": shortened(task, 500), "verb": _verb_of(task), "found_in": place}
        for number, (task, place) in enumerate(unique, 1)
    ]


def _verb_of(sentence: str) -> str | None:
    opening = _OPENING.match(sentence)
    if opening and _is_task(sentence[opening.start(1) :]):
        return opening[1].lower()
    obligation = _OBLIGATION.search(sentence)
    return obligation[1].lower() if obligation else None


def _is_task(clause: str) -> bool:
    found = [word.lower() for word in words(clause[:200])[:2]]
    if not found or found[0] not in _VERBS:
        return False
    ambiguous = {
        "plan",
        "report",
        "test",
        "file",
        "list",
        "map",
        "order",
        "record",
        "research",
        "support",
        "study",
    }
    return found[0] not in ambiguous or (len(found) > 1 and found[1] in _AFTER_VERB)
