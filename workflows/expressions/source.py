"""The text of an expression, read just far enough to say what it uses: paths, macros, and where `${ }` ends.

CEL's library tells names only. Which keys follow them decides how little must be handed over to an evaluation
(`steps.a.result.text` needs one text, not the whole run), what a static check can say, and what may take
long.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from workflows.expressions.functions import segments
from workflows.expressions.library import cel

LITERALS = frozenset({"true", "false", "null", "in"})
"""Literals, and the operator `in`: a bracket after them belongs to no call."""

MACROS = frozenset({"all", "exists", "exists_one", "existsOne", "map", "filter"})
CONSTANTS = LITERALS | frozenset(
    ["int", "uint", "double", "bool", "string", "bytes", "list", "map", "null_type", "type"]
)
"""Words that are no names of the scope: literals, and CEL's type names."""

TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
      | (?P<text>(?:[rR][bB]?|[bB][rR])(?:\"{3}.*?\"{3}|'{3}.*?'{3}|"[^"\n]*"|'[^'\n]*')
        | [bB]?(?:\"{3}(?:\\.|[^\\])*?\"{3}|'{3}(?:\\.|[^\\])*?'{3}|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
      | (?P<number>0[xX][0-9a-fA-F]+[uU]?|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[uU]?)
      | (?P<name>[A-Za-z_]\w*)
      | (?P<mark>&&|\|\||[=!<>]=|.)""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)


class Token(NamedTuple):
    """One word of an expression; `offset` counts characters from its start."""

    kind: str
    text: str
    offset: int


@dataclass(frozen=True, slots=True)
class Reference:
    """A use of a name of the scope, with the literal keys that follow it.

    `guarded`: it stands in `has(…)`, or the path was read by `get`, so that a missing key is no error. Its text goes
    from `offset` to `end`, without the `.get(…)` that reads the last `got` keys of the path.
    """

    path: tuple[str, ...]
    offset: int
    guarded: bool
    end: int = 0
    got: int = 0

    def __str__(self) -> str:
        return self.path[0] + "".join(f".{part}" if part.isidentifier() else f'["{part}"]' for part in self.path[1:])


@dataclass(slots=True)
class Reading:
    """What an expression uses."""

    references: list[Reference] = field(default_factory=list)
    inside: list[Reference] = field(default_factory=list)
    """Those that a macro evaluates for each item."""
    bound_uses: int = 0
    """Uses of the names that macros bind."""
    tokens: int = 0
    path_only: bool = False
    """The whole expression is one reference, as in `steps.a.result`."""
    macros: list[str] = field(default_factory=list)
    nested: bool = False
    calls: int = 0
    calls_in_macros: int = 0
    patterns: list[str | None] = field(default_factory=list)
    """Regular expressions of `matches`; None where one is not literal."""


@dataclass(slots=True)
class _Bracket:
    """An open bracket: the call it belongs to, and the name that a macro binds inside it."""

    call: str = ""
    bound: str = ""


def tokens(text: str, start: int = 0) -> Iterator[Token]:
    """The words from `start` on, without spaces and comments; what CEL would refuse, by characters."""
    for match in TOKEN.finditer(text, start):
        if match.lastgroup != "space":
            yield Token(str(match.lastgroup), match[0], match.start())


def closing_brace(text: str, start: int) -> int:
    """Where the `}` stands that balances a `{` just before `start`; -1 where there is none."""
    depth = 0
    for token in tokens(text, start):
        if token.text == "{":
            depth += 1
        elif token.text == "}":
            if depth == 0:
                return token.offset
            depth -= 1
    return -1


def read(text: str) -> Reading:
    """What the expression uses. Never fails: what CEL can't parse gives a reading of no worth."""
    return _Reader(list(tokens(text))).read()


class _Reader:
    def __init__(self, words: list[Token]) -> None:
        self.words = [*words, *[Token("end", "", -1)] * 4]
        self.reading = Reading(tokens=len(words))
        self.open: list[_Bracket] = []
        self.first_ends = 0

    def read(self) -> Reading:
        at = 0
        while self.words[at].kind != "end":
            at = self._word(at)
        self.reading.path_only = bool(self.words[0].kind == "name" and self.first_ends == self.reading.tokens)
        return self.reading

    def _word(self, at: int) -> int:
        word = self.words[at]
        if word.text == "(":
            self.open.append(self._bracket(at))
        elif word.text in ("[", "{"):
            self.open.append(_Bracket())
        elif word.text in (")", "]", "}") and self.open:
            self.open.pop()
        elif word.kind == "name" and self._is_root(at):
            return self._reference(at)
        elif word.kind == "name":
            self.reading.bound_uses += any(bracket.bound == word.text for bracket in self.open)
        return at + 1

    def _bracket(self, at: int) -> _Bracket:
        before = self.words[at - 1] if at else Token("end", "", -1)
        if before.kind != "name" or before.text in LITERALS:
            return _Bracket()
        if before.text in MACROS and at > 1 and self.words[at - 2].text == ".":
            return self._macro(at, before.text)
        self.reading.calls += 1
        self.reading.calls_in_macros += any(bracket.bound for bracket in self.open)
        if before.text == "matches":
            self.reading.patterns.append(self._pattern(at))
        return _Bracket(call=before.text)

    def _macro(self, at: int, macro: str) -> _Bracket:
        self.reading.macros.append(macro)
        self.reading.nested |= any(bracket.bound for bracket in self.open)
        return _Bracket(call=macro, bound=self.words[at + 1].text)

    def _pattern(self, at: int) -> str | None:
        """The literal argument of `text.matches("…")`; None for any other form."""
        argument, after = self.words[at + 1], self.words[at + 2]
        return argument.text if argument.kind == "text" and after.text == ")" else None

    def _is_root(self, at: int) -> bool:
        name, after = self.words[at].text, self.words[at + 1].text
        if after == "(" or name in CONSTANTS or any(bracket.bound == name for bracket in self.open):
            return False
        return at == 0 or self.words[at - 1].text != "."

    def _reference(self, at: int) -> int:
        path, start = [self.words[at].text], self.words[at].offset
        end = start + len(path[0])
        guarded = bool(self.open) and self.open[-1].call == "has"
        at += 1
        while True:
            dot, key, after = self.words[at : at + 3]
            if dot.text == "." and key.kind == "name" and after.text != "(":
                path.append(key.text)
                end, at = key.offset + len(key.text), at + 2
            elif dot.text == "[" and key.kind == "text" and after.text == "]" and (literal := _literal(key.text)):
                path.append(literal)
                end, at = after.offset + 1, at + 3
            else:
                break
        self.first_ends = self.first_ends or at
        got = self._got(at)
        found = Reference((*path, *got), start, guarded or bool(got), end, len(got))
        self.reading.references.append(found)
        if any(bracket.bound for bracket in self.open):
            self.reading.inside.append(found)
        return at

    def _got(self, at: int) -> list[str]:
        """The keys of `.get("a.b")` or `.get("a.b", fallback)` at this place."""
        dot, call, bracket, argument = self.words[at : at + 4]
        after = self.words[at + 4].text if at + 4 < len(self.words) else ""
        if (dot.text, call.text, bracket.text) != (".", "get", "(") or argument.kind != "text":
            return []
        literal = _literal(argument.text)
        return segments(literal) if literal and after in (")", ",") else []


def _literal(text: str) -> str | None:
    """The value of a text literal."""
    if "\\" not in text and text[0] in "\"'" and not text.startswith(('"""', "'''")):
        return text[1:-1]
    try:
        value = cel.evaluate(text)
    except ValueError:
        return None
    return value if isinstance(value, str) else None
