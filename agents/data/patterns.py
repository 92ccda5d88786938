# ruff: noqa: S608 - the SQL is ours: names go through `quoted`, values are bound
"""Recurring shapes in a text or a table."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from agents.data.summaries import correlation
from agents.data.table import Column, Table

_SHAPES = {
    "e-mail addresses": re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}"),
    "web addresses": re.compile(r"https?://\S{1,2000}"),
    "dates": re.compile(r"\b\d{4}-\d{2}-\d{2}\b|\b\d{1,2}[./]\d{1,2}[./]\d{4}\b"),
    "times": re.compile(r"\b\d{1,2}:\d{2}(?::\d{2})?\b"),
    "percentages": re.compile(r"\d{1,15}(?:[.,]\d{1,10})? ?%"),
    "numbers": re.compile(r"(?<![\w.])[+-]?\d{1,20}(?:\.\d{1,15})?(?![\w.])"),
}

Pattern = dict[str, Any]


def _pattern(kind: str, description: str, share: float, **more: Any) -> Pattern:
    return {"kind": kind, "description": description, "confidence": round(min(share, 1.0), 4), **more}


def of_text(text: str) -> list[Pattern]:
    """Shapes, repeated phrases and line beginnings of a text; confidence is the share of words or lines."""
    words = re.findall(r"[^\W\d_]+", text.lower())
    found = []
    for name, shape in _SHAPES.items():
        matches = shape.findall(text)
        if matches:
            found.append(
                _pattern(
                    "shape",
                    f"{len(matches)} {name}",
                    len(matches) / max(len(text.split()), 1),
                    examples=matches[:3],
                )
            )
    for phrase, n in Counter(zip(words, words[1:], words[2:], strict=False)).most_common(5):
        if n > 1:
            found.append(_pattern("phrase", f"{' '.join(phrase)!r} {n} times", 3 * n / len(words), count=n))
    return sorted(found + _line_patterns(text), key=lambda p: -p["confidence"])


def _line_patterns(text: str) -> list[Pattern]:
    lines = [line for line in text.splitlines() if line.strip()]
    starts = Counter(_shape(line.split()[0]) for line in lines)
    start, n = starts.most_common(1)[0] if starts else ("", 0)
    if n < 3 or n < 0.5 * len(lines):
        return []
    return [_pattern("line", f"{n} of {len(lines)} lines begin like {start!r}", n / len(lines), count=n)]


def _shape(value: str) -> str:
    """`AB-123` → `AA-999`, runs of more than four shortened with `+`."""
    marks = re.sub(r"\d", "9", re.sub(r"[a-z]", "a", re.sub(r"[A-Z]", "A", value[:60])))
    return re.sub(r"(.)\1{4,}", r"\1+", marks)


def of_table(table: Table) -> list[Pattern]:
    """Constant, unique and steady columns, common shapes of texts, correlations; strongest first."""
    found = [p for column in table.columns for p in _of_column(table, column)]
    numbers = table.of_kind("number")[:15]
    pairs = correlation(table, numbers, "pearson")["pairs"] if len(numbers) > 1 else []
    for pair in pairs:
        if pair["strength"] in ("strong", "moderate"):
            value = pair["correlation"]
            found.append(_pattern("correlation", f"{pair['a']} and {pair['b']}: {value:.2f}", abs(value)))
    return sorted(found, key=lambda p: -p["confidence"])


def _of_column(table: Table, column: Column) -> list[Pattern]:
    c = column.quoted
    count, distinct = table.row(f"SELECT count({c}), count(DISTINCT {c}) FROM dataset")
    if count < 3:
        return []
    if distinct == 1:
        return [_pattern("constant", f"{column.name} never changes", count / table.row_count, column_name=column.name)]
    found = _order(table, column, count)
    if distinct == count and column.kind != "number":
        found.append(_pattern("unique", f"{column.name} is different in each row", 1.0, column_name=column.name))
    return found + (_text_shape(table, column, count) if column.kind == "text" else [])


def _order(table: Table, column: Column, count: int) -> list[Pattern]:
    if column.kind not in ("number", "time"):
        return []
    c = column.quoted
    up, down = table.row(
        f"SELECT count(*) FILTER (v > before), count(*) FILTER (v < before) FROM"
        f" (SELECT {c} AS v, lag({c}) OVER (ORDER BY rowid) AS before FROM dataset WHERE {c} IS NOT NULL)"
    )
    share, word = max((up / (count - 1), "rises"), (down / (count - 1), "falls"))
    if share < 0.9:
        return []
    return [_pattern("order", f"{column.name} {word} from row to row", share, column_name=column.name)]


def _text_shape(table: Table, column: Column, count: int) -> list[Pattern]:
    c = column.quoted
    values = table.values(f"SELECT {c} FROM dataset WHERE {c} IS NOT NULL LIMIT 10000")
    shape, n = Counter(_shape(str(value)) for (value,) in values).most_common(1)[0]
    if n < 0.6 * len(values) or not re.search(r"[^a +]", shape):
        return []
    return [_pattern("shape", f"{column.name} is written like {shape!r}", n / len(values), column_name=column.name)]
