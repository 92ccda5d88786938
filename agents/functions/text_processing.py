"""`text_processing`: measuring, summarising, reviewing, searching and redacting text."""

from __future__ import annotations

import json
from asyncio import sleep
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from agents.errors import InvalidParameters
from agents.functions.base import EXPLICIT, Call, Parameters, Result, Words
from agents.functions.registry import function
from agents.text import code, extraction, measures, model_review, quality, redaction, summaries
from agents.text.words import looks_english, sentences, shortened, tokens, words
from agents.wording import hint

MAX_CHARACTERS = 200_000  # about 35,000 words; no measure of them holds the event loop longer than 0.2 s
MAX_TOKENS_SHOWN = 2_000


def _as_text(value: Any) -> Any:
    """Objects and lists, such as an earlier step's whole result, are read as their JSON."""
    return json.dumps(value, ensure_ascii=False, indent=1) if isinstance(value, dict | list) else value


Text = Annotated[str, BeforeValidator(_as_text)]


class TextProcessing(Parameters):
    """What to do with which text."""

    text: Text | None = Field(
        None, description=f"The text, at most {MAX_CHARACTERS:,} characters; a list or object is read as its JSON."
    )
    code: Text | None = Field(None, description="For code_review: source code, preferred to `text`.")
    operation: str = Field(
        "analyze",
        json_schema_extra=EXPLICIT,
        description="What to do with the text: analyze, summarize, keywords, tokenize, quality_review, code_review, "
        "extract or redact.",
    )
    count: int | None = Field(
        None,
        ge=1,
        le=100,
        json_schema_extra=EXPLICIT,
        description="For summarize: how many sentences (default: a fifth of them, 5 at most); "
        "for keywords: how many (default 10).",
    )
    criteria: Words = Field(
        default_factory=list,
        description=f"For quality_review: what to mark, as a list or divided by commas; {', '.join(quality.MEASURES)} "
        "can be measured, others need a model.",
    )
    focus: Words = Field(
        default_factory=list,
        description="For code_review: which findings count, as a list or divided by commas, "
        "such as correctness, security, robustness, complexity, style, documentation.",
    )
    language: str | None = Field(
        None, description="For code_review: the programming language, where it is not to be guessed."
    )
    kinds: Words = Field(
        default_factory=list,
        json_schema_extra=EXPLICIT,
        description=f"For extract: {', '.join(extraction.KINDS)}; for redact: {', '.join(redaction.KINDS)}; "
        "as a list or divided by commas (default: all).",
    )


# Async, so that a short text costs no process: the measures take turns with other runs (`words.in_turns`) and
# can be cancelled midway, a model is awaited, and parsing code, which may crash, has a process of its own.
@function(
    "text_processing",
    "text_analysis",
    description="Analyse, summarise, review, extract from or redact a text",
    reads=lambda parameters, context: [context.get("text"), context.get("code")],
)
async def text_processing(call: Call, parameters: TextProcessing) -> Result:
    """Every result has `operation_applied`, `method` (`measured` or `model`), `how`, and text in `result`.

    Raises `InvalidParameters` for an unknown operation, a missing text and one over 200,000 characters.
    """
    name = _operation_name(parameters.operation)
    _check_text(_text_for(name, call, parameters))
    result = await OPERATIONS[name](call, parameters)
    return {"operation_applied": name, "method": "measured", **result}


def _operation_name(asked: str) -> str:
    name = asked.strip().lower().replace("-", "_").replace(" ", "_")
    name = ALIASES.get(name, name)
    if name in OPERATIONS:
        return name
    told = f"there is no operation {asked!r}; {hint(name, [*OPERATIONS, *ALIASES], shown=OPERATIONS)}"
    raise _invalid("operation", told)


def _text_for(operation: str, call: Call, parameters: TextProcessing) -> str | None:
    """The text to work on: for a code review `code`, unless only `text` was given by the step itself."""
    text, code = parameters.text, parameters.code
    if operation != "code_review" or not code:
        return text
    # code_generation leaves its code in the context next to an older `text`.
    given = text is not None and text != call.context.get("text")
    return text if given and code == call.context.get("code") else code


def _check_text(text: str | None) -> None:
    if text is None:
        message = "is required: give it as a parameter, or let an earlier step's result have a key 'text'"
        raise _invalid("text", message)
    if len(text) > MAX_CHARACTERS:
        raise _invalid("text", f"has {len(text):,} characters; the limit is {MAX_CHARACTERS:,}")


def _invalid(path: str, message: str) -> InvalidParameters:
    return InvalidParameters.at("text_processing", path, message)


async def _analyze(call: Call, parameters: TextProcessing) -> Result:
    text = parameters.text or ""
    counted, felt = measures.sizes(text), await measures.sentiment(text)
    ease = measures.readability(text)
    await sleep(0)
    reading = f"reading ease {ease['readability_score']}" if ease["readability_score"] is not None else "no words"
    return {
        **counted,
        **felt,
        **ease,
        **measures.language_note(text),
        "score": (await quality.review(text, []))["score"],
        "how": "sentiment by VADER, readability by Flesch, score by measurable quality (0 to 10)",
        "result": f"words: {counted['word_count']}, sentences: {counted['sentence_count']}; "
        f"{felt['sentiment']} sentiment; {reading}",
    }


async def _summarize(call: Call, parameters: TextProcessing) -> Result:
    text = parameters.text or ""
    total = len(sentences(text))
    count = parameters.count or min(max(total // 5, 1), 5)
    summary = " ".join(await summaries.summary(text, count))
    return {
        "summary": summary,
        "original_length": len(text),
        "summary_length": len(summary),
        "sentence_count": total,
        "how": "extractive: the sentences of the text that SumBasic scores highest, as they stand",
        "result": summary,
    }


async def _keywords(call: Call, parameters: TextProcessing) -> Result:
    text = parameters.text or ""
    found = summaries.keywords(text, parameters.count or 10)
    note = {} if looks_english(words(text)) else {"language_note": "phrases are divided at English stop words"}
    return {
        "keywords": [k["keyword"] for k in found],
        "keyword_scores": found,
        **note,
        "how": "RAKE: phrases between stop words, by their words' degree over frequency",
        "result": ", ".join(k["keyword"] for k in found),
    }


async def _tokenize(call: Call, parameters: TextProcessing) -> Result:
    found = tokens(parameters.text or "")
    return {
        "token_count": len(found),
        "unique_token_count": len({t.lower() for t in found}),
        "tokens": found[:MAX_TOKENS_SHOWN],
        "tokens_truncated": len(found) > MAX_TOKENS_SHOWN,
        "how": "words and punctuation marks; a model's own tokenizer counts differently",
        "result": f"{len(found)} tokens",
    }


async def _quality_review(call: Call, parameters: TextProcessing) -> Result:
    text = parameters.text or ""
    asks_for_facts = parameters.operation.strip().lower().startswith("fact")
    criteria = parameters.criteria or (["accuracy"] if asks_for_facts else [])
    if model_review.available(call):
        return await model_review.of_text(call, text, criteria or [*quality.DEFAULT_CRITERIA, "accuracy"])
    result = await quality.review(text, criteria)
    left = ", ".join(m["criterion"] for m in result["not_measured"])
    return {
        **result,
        **measures.language_note(text),
        "how": "readability, lengths and mechanics are measured; truth and taste need a model",
        "result": f"score {result['score']} of 10 for {', '.join(result['score_basis'])}"
        + (f"; not measurable without a model: {left}" if left else ""),
    }


async def _code_review(call: Call, parameters: TextProcessing) -> Result:
    text = _text_for("code_review", call, parameters) or ""
    result = await code.review(text, parameters.language, parameters.focus)
    result["result"] = f"{result['language']}, {result['code_lines']} lines of code, {len(result['issues'])} findings"
    if model_review.available(call):
        return await model_review.of_code(call, text, parameters.focus, result)
    tools = "syntax by Python's own parser, lint by pyflakes, " if result["language"] == "python" else ""
    return {**result, "how": f"{tools}structure and style by counting; nothing was executed"}


async def _extract(call: Call, parameters: TextProcessing) -> Result:
    wanted = parameters.kinds or (["tasks"] if _asks_for_tasks(parameters) else list(extraction.KINDS))
    unknown = [kind for kind in wanted if kind not in extraction.KINDS]
    if unknown:
        raise _invalid("kinds", f"{unknown[0]!r} is not known; {hint(unknown[0], extraction.KINDS)}")
    found = await extraction.extract(parameters.text or "", wanted)
    counts = {kind: len(items) for kind, items in found.items()}
    return {
        "extracted": found,
        "counts": counts,
        **({"tasks": found["tasks"]} if "tasks" in found else {}),
        "how": "found by pattern; tasks are list items and sentences that begin with, or demand, an action",
        "result": ", ".join(f"{n} {kind.replace('_', ' ')}" for kind, n in counts.items() if n) or "nothing found",
    }


def _asks_for_tasks(parameters: TextProcessing) -> bool:
    return parameters.operation.strip().lower().startswith("task")


async def _redact(call: Call, parameters: TextProcessing) -> Result:
    unknown = [kind for kind in parameters.kinds if kind not in redaction.KINDS]
    if unknown:
        raise _invalid("kinds", f"{unknown[0]!r} is not known; {hint(unknown[0], redaction.KINDS)}")
    redacted, counts = await redaction.redact(parameters.text or "", parameters.kinds or redaction.KINDS)
    return {
        "redacted_text": redacted,
        "counts": counts,
        "how": "found by pattern, card numbers by their check digit; names and postal addresses stay",
        "result": shortened(redacted, 500),
    }


OPERATIONS: dict[str, Callable[[Call, TextProcessing], Awaitable[Result]]] = {
    "analyze": _analyze,
    "summarize": _summarize,
    "keywords": _keywords,
    "tokenize": _tokenize,
    "quality_review": _quality_review,
    "code_review": _code_review,
    "extract": _extract,
    "redact": _redact,
}
# Spellings, and what files of the original system ask for.
ALIASES = {
    "analyse": "analyze",
    "analysis": "analyze",
    "sentiment": "analyze",
    "readability": "analyze",
    "summary": "summarize",
    "summarise": "summarize",
    "keyword_extraction": "keywords",
    "extract_keywords": "keywords",
    "tokenise": "tokenize",
    "review": "quality_review",
    "fact_checking": "quality_review",
    "fact_check": "quality_review",
    "task_decomposition": "extract",
    "task_extraction": "extract",
}
