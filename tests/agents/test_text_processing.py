from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from agents.errors import InvalidParameters, MalformedAnswer
from agents.functions import registry
from agents.text import code
from agents.text.measures import syllables
from agents.text.words import sentences
from tests.agents.factories import agent_at, call_function, make_agent, make_call
from tests.agents.scripted_server import Exchange, delta, scripted_server

ARTICLE = (
    "Solar power is growing fast. Solar panels turn light into power without moving parts. "
    "Many homes now have solar panels on the roof. A cat slept there. "
    "Batteries store the power of solar panels for the night."
)


def run(parameters: Mapping[str, Any], context: Mapping[str, Any] | None = None, **agent: Any) -> dict[str, Any]:
    call = make_call(agent=make_agent(**agent), context=context)
    return call_function("text_processing", dict(parameters), call)


def test_analysis_counts_words_characters_and_sentences() -> None:
    result = run({"text": "I love this. It is great!"})
    assert result["word_count"] == 6
    assert result["character_count"] == 25
    assert result["char_count_no_spaces"] == 20
    assert result["sentence_count"] == 2
    assert (result["operation_applied"], result["method"]) == ("analyze", "measured")


@pytest.mark.parametrize(
    ("text", "sentiment"),
    [
        ("I love this wonderful, excellent film.", "positive"),
        ("A horrible, disgusting failure. I hate it.", "negative"),
        ("The table has four legs.", "neutral"),
        ("", "neutral"),
    ],
)
def test_sentiment_follows_the_tone(text: str, sentiment: str) -> None:
    assert run({"text": text})["sentiment"] == sentiment


def test_readability_is_flesch_reading_ease_by_its_formula() -> None:
    # 6 words, 1 sentence, 6 syllables
    assert run({"text": "The cat sat on the mat."})["readability_score"] == round(206.835 - 1.015 * 6 - 84.6, 1)


def test_a_text_without_words_has_no_readability() -> None:
    assert run({"text": "... !"})["readability_score"] is None


@pytest.mark.parametrize(
    ("word", "count"),
    [("cat", 1), ("table", 2), ("readable", 3), ("walked", 1), ("wanted", 2), ("making", 2), ("nation", 2)],
)
def test_syllables_are_counted_as_spoken(word: str, count: int) -> None:
    assert syllables(word) == count


def test_a_text_that_is_not_english_is_marked() -> None:
    german = "Der schnelle braune Fuchs springt über den faulen Hund und läuft danach durch den Wald " * 2
    assert "not look like English" in run({"text": german})["language_note"]
    assert "language_note" not in run({"text": ARTICLE})


def test_sentences_end_where_readers_see_an_end() -> None:
    assert sentences("Dr. Smith paid 3.5 dollars. He left (happy). Why?") == [
        "Dr. Smith paid 3.5 dollars.",
        "He left (happy).",
        "Why?",
    ]


def test_a_summary_takes_the_weightiest_sentences_in_their_order() -> None:
    result = run({"text": ARTICLE, "operation": "summarize", "count": 2})
    kept = sentences(result["summary"])
    assert len(kept) == 2
    assert [s for s in sentences(ARTICLE) if s in kept] == kept
    assert "cat" not in result["summary"]
    assert result["original_length"] == len(ARTICLE)
    assert result["summary_length"] == len(result["summary"])


def test_keywords_lead_with_the_topic() -> None:
    assert run({"text": ARTICLE, "operation": "keywords", "count": 3})["keywords"][0] == "solar panels"


def test_tokens_are_words_and_marks() -> None:
    result = run({"text": "Well-known, isn't it?", "operation": "tokenize"})
    assert result["tokens"] == ["Well-known", ",", "isn't", "it", "?"]
    assert result["token_count"] == 5


def test_a_review_marks_what_can_be_measured_and_names_the_rest() -> None:
    result = run({"text": ARTICLE, "operation": "quality_review", "criteria": "accuracy, clarity"})
    assert result["score_basis"] == ["clarity"]
    assert [m["criterion"] for m in result["not_measured"]] == ["accuracy"]
    assert 0 <= result["score"] <= 10


def test_a_clumsy_text_scores_below_a_plain_one() -> None:
    clumsy = (
        "it is really very basically the the case that the aforementioned organisational restructuring of "
        "institutional responsibilities, notwithstanding considerable interdepartmental disagreement (over "
        "the operationalisation of fundamental administrative methodologies, is quite totally unavoidable and"
    )
    review = {"operation": "quality_review"}
    bad, good = run({"text": clumsy, **review}), run({"text": ARTICLE, **review})
    assert bad["score"] < good["score"] - 2
    assert any("written twice" in issue["finding"] for issue in bad["issues"])
    assert any("cut off" in issue["finding"] for issue in bad["issues"])


def test_fact_checking_is_a_review_that_lists_claims() -> None:
    result = run({"text": "Sales rose by 45 percent. It was nice.", "operation": "fact_checking"})
    assert result["operation_applied"] == "quality_review"
    assert result["claims_to_check"] == ["Sales rose by 45 percent."]
    assert [m["criterion"] for m in result["not_measured"]] == ["accuracy"]


def test_task_decomposition_extracts_what_is_to_be_done() -> None:
    text = (
        "Plan for May:\n- Write the brief\n2. Hire a cook\n\n"
        "Please review the budget. Plan B was bad. We must call Ann."
    )
    result = run({"text": text, "operation": "task_decomposition"})
    assert result["operation_applied"] == "extract"
    assert [(t["number"], t["task"], t["verb"]) for t in result["tasks"]] == [
        (1, "Write the brief", "write"),
        (2, "Hire a cook", "hire"),
        (3, "Please review the budget.", "review"),
        (4, "We must call Ann.", "call"),
    ]


def test_extraction_finds_what_is_asked_for() -> None:
    text = "Mail bob@example.com by 2024-03-05 (see https://example.com/a?b=c). It costs $1,200.50, 12 % more than 7."
    found = run({"text": text, "operation": "extract", "kinds": "emails,urls,dates,money,percentages,numbers"})[
        "extracted"
    ]
    assert found["emails"] == ["bob@example.com"]
    assert found["urls"] == ["https://example.com/a?b=c"]
    assert found["dates"] == ["2024-03-05"]
    assert found["money"] == ["$1,200.50"]
    assert found["percentages"] == ["12 %"]
    assert found["numbers"] == ["1,200.50", "12", "7"]


def test_extraction_refuses_unknown_kinds() -> None:
    with pytest.raises(InvalidParameters, match="planets"):
        run({"text": "x", "operation": "extract", "kinds": ["planets"]})


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("mail a.b+c@mail.example.co.uk now", "mail [EMAIL] now"),
        ("card 4111 1111 1111 1111.", "card [CARD]."),
        ("order 4111 1111 1111 1112", "order 4111 1111 1111 1112"),  # wrong check digit
        ("call +44 20 7946 0958 or (555) 123-4567", "call [PHONE] or [PHONE]"),
        ("from 10.0.0.1 and 2001:db8::ff00:42:8329", "from [IP] and [IP]"),
        ("version 1.2.3 at 12:30:45 on 2024-01-15", "version 1.2.3 at 12:30:45 on 2024-01-15"),
        ("300.1.2.3", "300.1.2.3"),
        ("key sk-proj-abcdefghijklmnop0123", "key [KEY]"),
        ('{"api_key": "s3cr3t-value"}', '{"api_key": [KEY]}'),
        ("password = hunter2!", "password = [KEY]"),
        ("Authorization: Bearer abcdefghijklmnop.qrst", "Authorization: Bearer [KEY]"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE+/=\n-----END RSA PRIVATE KEY-----", "[KEY]"),
    ],
)
def test_redaction_hides_details_and_nothing_else(text: str, redacted: str) -> None:
    result = run({"text": text, "operation": "redact"})
    assert result["redacted_text"] == redacted
    assert sum(result["counts"].values()) == redacted.count("[")


def test_redaction_can_be_limited_to_kinds() -> None:
    result = run({"text": "a@b.com 10.0.0.1", "operation": "redact", "kinds": "ip"})
    assert result["redacted_text"] == "a@b.com [IP]"


@pytest.mark.parametrize(
    "piece",
    ["eyJ-", "a-", "11 ", "-----BEGIN PRIVATE KEY-----", "password ", "\n", "a@b.", "```x\n", "http://a-"],
)
@pytest.mark.parametrize("operation", ["redact", "extract", "analyze", "code_review"])
def test_hostile_repetitions_take_no_more_than_linear_time(piece: str, operation: str) -> None:
    text = piece * (100_000 // len(piece))
    started = time.process_time()
    run({"text": text, "operation": operation})
    assert time.process_time() - started < 5  # quadratic patterns take minutes


def test_python_code_is_parsed_and_linted() -> None:
    source = "import os\n\ndef f(x=[]):\n    try:\n        return eval(y)\n    except:\n        pass\n"
    result = run({"text": source, "operation": "code_review"})
    found = {(issue["kind"], issue["line"]) for issue in result["issues"]}
    assert result["language"] == "python"
    assert result["syntax_ok"] is True
    assert {("lint", 1), ("lint", 5), ("security", 5), ("robustness", 3), ("robustness", 6)} <= found
    assert result["functions"][0]["name"] == "f"


def test_a_focus_leaves_other_findings_out() -> None:
    source = "import os\n\ndef f():\n    return eval('1')\n"
    result = run({"text": source, "operation": "code_review", "focus": "security, elegance"})
    assert {issue["kind"] for issue in result["issues"]} == {"security"}
    assert [m["criterion"] for m in result["not_measured"]] == ["elegance"]


def test_a_syntax_error_is_told_with_its_line() -> None:
    result = run({"text": "x = 1\ndef f(:\n", "operation": "code_review"})
    assert result["syntax_ok"] is False
    assert result["score"] == 0
    assert result["issues"][0]["line"] == 2


def test_only_the_fenced_code_of_an_answer_is_reviewed() -> None:
    result = run({"text": "Here it is:\n```python\nx = 1\n```\nEnjoy!", "operation": "code_review"})
    assert result["syntax_ok"] is True
    assert result["code_lines"] == 1


def test_code_is_never_executed(tmp_path: Path) -> None:
    source = f"import pathlib\npathlib.Path({str(tmp_path / 'made')!r}).touch()\n"
    assert run({"text": source, "operation": "code_review"})["syntax_ok"] is True
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("hostile", ["-" * 150_000 + "1", "(" * 150_000, "a" + ".a" * 70_000, "[" * 150_000])
def test_source_that_breaks_the_parser_breaks_nothing_else(hostile: str) -> None:
    result = run({"text": hostile, "operation": "code_review", "language": "python"})
    assert result["method"] == "measured"


def test_other_languages_are_counted_and_the_result_says_so() -> None:
    result = run({"text": "// adds\nfunc add(a int) {\n  return a\n}\n", "operation": "code_review", "language": "Go"})
    assert result["syntax_ok"] is None
    assert (result["code_lines"], result["comment_lines"], result["deepest_braces"]) == (3, 1, 1)
    assert "only Python is parsed" in result["not_measured"][0]["reason"]


def test_a_code_review_prefers_the_code_of_the_step_before_to_its_text() -> None:
    context = {"text": "an older answer in prose", "code": "import os\n"}
    assert run({"operation": "code_review"}, context)["issues"][0]["message"].startswith("'os' imported")
    given = run({"operation": "code_review", "text": "import re\n"}, context)
    assert given["issues"][0]["message"].startswith("'re' imported")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_cancelled_code_review_leaves_no_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    endless, pid = tmp_path / "check.py", tmp_path / "pid"
    endless.write_text(
        f"import os, pathlib\npathlib.Path({str(pid)!r}).write_text(str(os.getpid()))\nwhile True: pass\n"
    )
    monkeypatch.setattr(code, "CHECK", endless)

    async def cancelled() -> None:
        review = asyncio.create_task(code.python_check("x = 1"))
        while not (pid.exists() and pid.read_text()):
            await asyncio.sleep(0)
        review.cancel()
        with pytest.raises(asyncio.CancelledError):
            await review

    asyncio.run(asyncio.wait_for(cancelled(), 20))
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_text_comes_from_the_context_where_it_is_not_given() -> None:
    assert run({}, {"text": "one two three"})["word_count"] == 3


def test_an_operation_of_an_earlier_result_is_not_taken_for_ones_own() -> None:
    assert run({"text": "x"}, {"operation": "add"})["operation_applied"] == "analyze"


def test_the_result_of_a_step_may_be_given_whole() -> None:
    assert run({"text": {"summary": "short words"}})["word_count"] == 3


def test_text_that_is_nowhere_is_a_clear_error() -> None:
    with pytest.raises(InvalidParameters, match="text: is required"):
        run({"operation": "analyze"}, {"unrelated": 1})


def test_an_unknown_operation_names_the_nearest() -> None:
    with pytest.raises(InvalidParameters, match="did you mean 'summarize'"):
        run({"text": "x", "operation": "sumarize"})


def test_text_beyond_the_limit_is_refused() -> None:
    with pytest.raises(InvalidParameters, match="the limit is 200,000"):
        run({"text": "x" * 200_001})


def test_parameters_of_other_functions_are_ignored() -> None:
    assert run({"text": "x", "prompt": "p", "model": "m", "max_tokens": 5})["word_count"] == 1


def test_both_names_lead_to_the_function() -> None:
    assert registry.get("text_analysis") is registry.get("text_processing")


VERDICT = {
    "score": 7.5,
    "scores": {"accuracy": 7.5},
    "summary": "Sound.",
    "issues": [],
    "suggestions": ["Cite."],
}


def judge(answer: str) -> Callable[[Exchange], None]:
    """A model that says the same whatever it is asked."""
    return lambda exchange: exchange.stream(delta(answer), delta(finish="stop"), "[DONE]")


def test_a_review_asks_the_model_of_the_agent_where_there_is_one() -> None:
    with scripted_server(judge(json.dumps(VERDICT))) as server:
        llm = agent_at(server.url).llm
        result = run({"text": ARTICLE, "operation": "quality_review", "criteria": ["accuracy"]}, llm=llm)
    assert (result["method"], result["score"], result["suggestions"]) == ("model", 7.5, ["Cite."])
    assert "UNTRUSTED" in json.dumps(server.seen[0].json)
    assert "Solar panels" in json.dumps(server.seen[0].json)


def test_a_code_review_by_a_model_keeps_what_was_measured() -> None:
    with scripted_server(judge(json.dumps(VERDICT))) as server:
        result = run({"text": "import os\n", "operation": "code_review"}, llm=agent_at(server.url).llm)
    assert (result["method"], result["score"]) == ("model", 7.5)
    assert result["measured_issues"][0]["kind"] == "lint"


def test_a_model_that_does_not_answer_in_the_form_is_an_error() -> None:
    with scripted_server(judge("I like it!")) as server:
        llm = agent_at(server.url).llm
        with pytest.raises(MalformedAnswer):
            run({"text": ARTICLE, "operation": "quality_review"}, llm=llm)
