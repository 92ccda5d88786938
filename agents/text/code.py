"""A review of source code by what can be measured: Python is parsed and linted, other languages counted."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

CHECK = Path(__file__).with_name("code_check.py")
CHECK_SECONDS = 30.0
LONG_LINE = 120

FOCUS = {
    "syntax": "syntax", "correctness": "lint", "bugs": "lint", "errors": "lint", "lint": "lint",
    "linting": "lint", "security": "security", "robustness": "robustness", "error_handling": "robustness",
    "reliability": "robustness", "structure": "structure", "complexity": "structure",
    "maintainability": "structure", "readability": "structure", "style": "style", "formatting": "style",
    "documentation": "documentation", "docstrings": "documentation",
}  # fmt: skip
_COST = {"error": 2.0, "warning": 0.7, "note": 0.2}

_FENCE = re.compile(
    r"^[ \t]{0,3}(?:```|~~~)[ \t]*([A-Za-z0-9+#_-]{0,20})[^\n]{0,100}\n(.*?)^[ \t]{0,3}(?:```|~~~)",
    re.M | re.S,
)
_PYTHON = re.compile(
    r"(?m)^[ \t]*(?:(?:async )?def \w+\(|class \w+.*:|import \w+|from [\w.]+ import .+|if __name__ ==.*)"
)
_HASH, _DASHES = re.compile(r"^\s*#"), re.compile(r"^\s*--")
_SLASHES, _ANY = re.compile(r"^\s*(?://|/\*|\*)"), re.compile(r"^\s*(?:#|//)")
_COMMENTS = {
    **dict.fromkeys(("python", "ruby", "shell", "r", "perl"), _HASH),
    **dict.fromkeys(("sql", "lua"), _DASHES),
    "unknown": _ANY,
}
_TODO = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")
LANGUAGES = {
    "py": "python", "python": "python", "python3": "python", "js": "javascript",
    "javascript": "javascript", "ts": "typescript", "typescript": "typescript", "java": "java", "c": "c",
    "cpp": "c++", "c++": "c++", "cs": "c#", "c#": "c#", "csharp": "c#", "go": "go", "golang": "go",
    "rs": "rust", "rust": "rust", "rb": "ruby", "ruby": "ruby", "php": "php", "sql": "sql", "sh": "shell",
    "bash": "shell", "shell": "shell", "kotlin": "kotlin", "swift": "swift", "html": "html", "css": "css",
    "scala": "scala", "r": "r", "lua": "lua", "perl": "perl", "dart": "dart",
}  # fmt: skip


def source_of(text: str, language: str | None) -> tuple[str, str]:
    """The code in a text (its fenced blocks, or all of it) and its language, or `unknown`."""
    fenced = _FENCE.findall(text)
    named = LANGUAGES.get((language or "").strip().lower())
    first = LANGUAGES.get(fenced[0][0].lower()) if fenced else None
    wanted = named or first
    blocks = [body for tag, body in fenced if not wanted or LANGUAGES.get(tag.lower(), wanted) == wanted]
    source = "\n\n".join(blocks) if blocks else text
    return source, wanted or ("python" if _PYTHON.search(source) else "unknown")


async def review(text: str, language: str | None, focus: list[str]) -> dict[str, Any]:
    """Measures and findings of the code in `text`; `score` is 10 less what its findings cost.

    With a `focus` (words of `FOCUS`) only findings of those kinds count, and those of syntax.
    """
    source, language = source_of(text, language)
    checked = await python_check(source) if language == "python" else {"syntax_ok": None, "findings": []}
    kinds = {FOCUS[f.lower()] for f in focus if f.lower() in FOCUS}
    findings = [f for f in [*checked.pop("findings"), *_style(source)] if not kinds or f["kind"] in kinds | {"syntax"}]
    score = 10.0 - sum(_COST[f["severity"]] for f in findings)
    return {
        "language": language,
        "score": 0.0 if checked["syntax_ok"] is False else round(max(score, 0.0), 1),
        **checked,
        **line_counts(source, language),
        "issues": findings,
        "not_measured": _not_measured(language, focus),
    }


def _not_measured(language: str, focus: list[str]) -> list[dict[str, str]]:
    skipped = [{"criterion": f, "reason": "needs judgement: connect a model"} for f in focus if f.lower() not in FOCUS]
    if language != "python":
        reason = f"only Python is parsed and linted; this is {language}: lines and nesting were counted"
        skipped.append({"criterion": "syntax", "reason": reason})
    return skipped


async def python_check(source: str) -> dict[str, Any]:
    """What `code_check.check` tells, computed in a process of its own that ends with this call."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", str(CHECK),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        raw = source.encode("utf-8", "replace")
        output, _ = await asyncio.wait_for(process.communicate(raw), CHECK_SECONDS)
    except TimeoutError:
        output = b""
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await asyncio.shield(process.wait())
    if process.returncode != 0 or not output:
        message = "the parser could not finish: the source is nested too deeply or too large"
        finding = {"kind": "syntax", "severity": "error", "line": None, "message": message}
        return {"syntax_ok": False, "findings": [finding]}
    return dict(json.loads(output))


def line_counts(source: str, language: str) -> dict[str, int]:
    """Lines of code, comment and nothing, the longest line, the deepest indentation or nesting of braces."""
    lines = source.splitlines()
    full = [line for line in lines if line.strip()]
    comments = sum(bool(_COMMENTS.get(language, _SLASHES).match(line)) for line in full)
    return {
        "lines": len(lines),
        "code_lines": len(full) - comments,
        "comment_lines": comments,
        "blank_lines": len(lines) - len(full),
        "longest_line": max(map(len, lines), default=0),
        "deepest_braces": _deepest_braces(source),
    }


def _deepest_braces(source: str) -> int:
    depth = deepest = 0
    for mark in re.findall(r"[{}]", source):
        depth = max(depth + (1 if mark == "{" else -1), 0)
        deepest = max(deepest, depth)
    return deepest


def _style(source: str) -> list[dict[str, Any]]:
    found = []
    for number, line in enumerate(source.splitlines(), 1):
        if len(line) > LONG_LINE:
            found.append((number, f"line of {len(line)} characters"))
        if _TODO.search(line):
            found.append((number, f"left to do: {line.strip()[:80]}"))
    return [{"kind": "style", "severity": "note", "line": n, "message": m} for n, m in found[:100]]
