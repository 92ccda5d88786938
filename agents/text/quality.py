"""A review of a text by what can be measured: how clear, concise, ordered, clean, coherent, varied it is."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from statistics import fmean
from typing import Any

from agents.text.measures import readability
from agents.text.words import STOP_WORDS, in_turns, paragraphs, sentences, shortened, words

DEFAULT_CRITERIA = ("clarity", "conciseness", "structure", "mechanics")
LONG_SENTENCE = 30  # words

_FILLER_LIST = """
very really quite just basically actually simply literally rather somewhat perhaps totally extremely
"""
_FILLERS = frozenset(_FILLER_LIST.split())
_REPEATED = re.compile(r"\b([A-Za-z]{2,30}) \1\b", re.IGNORECASE)
_ABSOLUTE = re.compile(
    r"\b(?:always|never|all|none|every|only|first|best|worst|most|least|largest|proven|guaranteed)\b", re.I
)
_FIGURE = re.compile(r"\d|\b(?:percent|million|billion|according to|study|studies|research|survey)\b", re.IGNORECASE)
_PAIRS = (("(", ")"), ("[", "]"), ("{", "}"), ("“", "”"))

Mark = dict[str, Any]


def _mark(score: float, findings: list[str], **measured: Any) -> Mark:
    return {"score": round(min(max(score, 0.0), 10.0), 1), "findings": findings, "measured": measured}


def clarity(text: str) -> Mark:
    """10 for a reading ease of 60 and more, 0 for one below 0, less the share of long sentences."""
    ease = readability(text)["readability_score"] or 0.0
    long = [s for s in sentences(text) if len(words(s)) > LONG_SENTENCE]
    share = len(long) / max(len(sentences(text)), 1)
    findings = [f"sentence of {len(words(s))} words: {shortened(s, 100)}" for s in long[:5]]
    if ease < 30:
        findings.append(f"hard to read: a reading ease of {ease}, where 50 to 70 is plain English")
    return _mark(ease / 6 - 3 * share, findings, readability_score=ease, long_sentences=len(long))


def conciseness(text: str) -> Mark:
    """10, less a point for each percent of filler words and for each two words over 20 a sentence."""
    found = [word.lower() for word in words(text)]
    fillers = [word for word in found if word in _FILLERS]
    mean = len(found) / max(len(sentences(text)), 1)
    share = len(fillers) / max(len(found), 1)
    findings = [f"filler words: {', '.join(sorted(set(fillers)))}"] if share > 0.01 else []
    if mean > 22:
        findings.append(f"sentences have {mean:.0f} words on average; 15 to 20 read easily")
    return _mark(
        10 - 100 * share - max(mean - 20, 0) / 2,
        findings,
        words_per_sentence=round(mean, 1),
        fillers=len(fillers),
    )


def structure(text: str) -> Mark:
    """10, less for paragraphs of more than 150 words and for a long text without paragraphs."""
    blocks = [len(words(p)) for p in paragraphs(text)]
    long = sum(length > 150 for length in blocks)
    headings = len(re.findall(r"(?m)^#{1,6} ", text))
    findings = [f"{long} of {len(blocks)} paragraphs have more than 150 words"] if long else []
    if sum(blocks) > 600 and not headings:
        findings.append("more than 600 words without a heading")
    score = 10 - 6 * long / max(len(blocks), 1) - (2 if len(findings) > long else 0)
    return _mark(score, findings, paragraphs=len(blocks), headings=headings, longest_paragraph=max(blocks, default=0))


def mechanics(text: str) -> Mark:
    """10, less for repeated words, unpaired brackets, small letters at the start and a missing end mark."""
    findings = [f"word written twice: {m[0]!r}" for m in list(_REPEATED.finditer(text))[:5]]
    findings += [
        f"{text.count(a)} of {a!r} but {text.count(b)} of {b!r}" for a, b in _PAIRS if text.count(a) != text.count(b)
    ]
    small = [s for s in sentences(text) if s[0].islower()]
    findings += [f"starts with a small letter: {shortened(s, 60)}" for s in small[:5]]
    if text.strip() and text.strip()[-1].isalnum():
        findings.append("ends without a full stop: the text may be cut off")
    return _mark(10 - 1.5 * len(findings), findings)


def coherence(text: str) -> Mark:
    """10 where each sentence shares a content word with the one before it, 4 where none does."""
    bags = [{w.lower() for w in words(s)} - STOP_WORDS for s in sentences(text)]
    linked = [bool(a & b) for a, b in pairwise(bags)]
    share = fmean(linked) if linked else 1.0
    findings = [] if share >= 0.3 else ["few sentences take up a word of the one before"]
    return _mark(4 + 6 * min(share / 0.5, 1), findings, linked_share=round(share, 2))


def variety(text: str) -> Mark:
    """From the share of different words, in windows of 100 words (a long text repeats more words anyway)."""
    found = [word.lower() for word in words(text)]
    windows = [found[i : i + 100] for i in range(0, max(len(found) - 50, 1), 100)]
    share = fmean(len(set(w)) / len(w) for w in windows if w) if found else 0.0
    findings = ["the same words return often"] if share < 0.5 else []
    return _mark(share / 0.07, findings, different_words=round(share, 2))


MEASURES: dict[str, Callable[[str], Mark]] = {
    "clarity": clarity,
    "conciseness": conciseness,
    "structure": structure,
    "mechanics": mechanics,
    "coherence": coherence,
    "variety": variety,
}
_SAME = {
    "readability": "clarity", "simplicity": "clarity", "understandability": "clarity",
    "brevity": "conciseness", "concision": "conciseness", "organization": "structure",
    "organisation": "structure", "formatting": "structure", "grammar": "mechanics",
    "spelling": "mechanics", "punctuation": "mechanics", "language": "mechanics", "flow": "coherence",
    "consistency": "coherence", "cohesion": "coherence", "vocabulary": "variety", "style": "variety",
}  # fmt: skip


async def review(text: str, criteria: list[str]) -> dict[str, Any]:
    """Marks from 0 to 10 for those criteria that can be measured; the others are named in `not_measured`.

    `score` is the mean of the marks. If no criterion can be measured, it is that of `DEFAULT_CRITERIA`;
    `score_basis` says which went in. `claims_to_check` lists sentences whose truth somebody should check.
    """
    named = {c: _SAME.get(c.lower(), c.lower()) for c in criteria or DEFAULT_CRITERIA}
    basis = list(dict.fromkeys(m for m in named.values() if m in MEASURES)) or list(DEFAULT_CRITERIA)
    marks = {name: MEASURES[name](text) async for name in in_turns(basis, every=1)}
    findings = [{"criterion": name, "finding": f} for name, mark in marks.items() for f in mark["findings"]]
    return {
        "score": round(fmean(mark["score"] for mark in marks.values()), 1),
        "score_basis": basis,
        "scores": marks,
        "issues": findings,
        "criteria_reviewed": list(named),
        "not_measured": [
            {"criterion": c, "reason": "needs judgement: connect a model"}
            for c, m in named.items()
            if m not in MEASURES
        ],
        "claims_to_check": claims(text),
    }


def claims(text: str) -> list[str]:
    """Sentences with figures, sources or absolute words, at most 20: what a fact check would begin with."""
    found = [s for s in sentences(text) if _FIGURE.search(s) or _ABSOLUTE.search(s)]
    return [shortened(s, 300) for s in found[:20]]
