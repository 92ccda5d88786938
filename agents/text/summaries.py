"""Keywords and extractive summaries."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from agents.text.words import STOP_WORDS, in_turns, sentences, words

PHRASE_WORDS = 3
SENTENCES = 500  # the candidates for a summary; a longer text is thinned out evenly


def keywords(text: str, count: int) -> list[dict[str, Any]]:
    """The `count` strongest phrases, as `{keyword, score, occurrences}`; ties go to the earlier one.

    RAKE: a phrase is a run of words between stop words and punctuation, its score the sum of its words'
    degree over frequency; here times its occurrences, so that one long odd phrase doesn't lead.

    Source: Rose, Engel, Cramer & Cowley, Automatic keyword extraction, in Text Mining (2010).
    """
    phrases = Counter(phrase for sentence in sentences(text) for phrase in _phrases(sentence))
    frequency: Counter[str] = Counter()
    degree: defaultdict[str, int] = defaultdict(int)
    for phrase, times in phrases.items():
        for word in phrase:
            frequency[word] += times
            degree[word] += times * len(phrase)
    scored = [(sum(degree[w] / frequency[w] for w in p) * n, n, p) for p, n in phrases.items()]
    scored.sort(key=lambda item: -item[0])
    return [{"keyword": " ".join(p), "score": round(s, 3), "occurrences": n} for s, n, p in scored[:count]]


def _phrases(sentence: str) -> list[tuple[str, ...]]:
    """Runs of at most three words that are neither stop words, numbers nor divided by punctuation."""
    found: list[tuple[str, ...]] = []
    run: list[str] = []
    for chunk in sentence.split():
        inside = words(chunk)
        for word in inside:
            if word.lower() in STOP_WORDS or word.isdigit() or len(word) < 2:
                _close(run, found)
            else:
                run.append(word.lower())
        if not inside or not chunk[-1].isalnum():
            _close(run, found)
    _close(run, found)
    return found


def _close(run: list[str], found: list[tuple[str, ...]]) -> None:
    found.extend(tuple(run[i : i + PHRASE_WORDS]) for i in range(0, len(run), PHRASE_WORDS))
    run.clear()


async def summary(text: str, count: int) -> list[str]:
    """The `count` sentences that say most, in the order of the text.

    SumBasic: sentences are scored by the mean probability of their content words; after each choice the
    probabilities of its words are squared, so that the next one says something else.

    Source: Nenkova & Vanderwende, The impact of frequency on summarization, MSR-TR-2005-101.
    """
    every = sentences(text)
    step = -(-len(every) // SENTENCES) or 1
    bags = {index: _content(every[index]) for index in range(0, len(every), step)}
    probability = _probabilities(bags)
    chosen: list[int] = []
    async for _ in in_turns(range(min(count, len(bags))), every=1):
        best = max(bags, key=lambda index: (_mean(bags[index], probability), -index))
        for word in set(bags.pop(best)):
            probability[word] **= 2
        chosen.append(best)
    return [every[index] for index in sorted(chosen)]


def _content(sentence: str) -> list[str]:
    return [w.lower() for w in words(sentence) if w.lower() not in STOP_WORDS and not w.isdigit()]


def _probabilities(bags: dict[int, list[str]]) -> dict[str, float]:
    counts = Counter(word for bag in bags.values() for word in bag)
    return {word: n / counts.total() for word, n in counts.items()}


def _mean(bag: list[str], probability: dict[str, float]) -> float:
    # Very short sentences ("Really?") would win by a single frequent word: they count as four words long.
    return sum(probability[word] for word in bag) / max(len(bag), 4)
