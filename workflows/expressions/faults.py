"""What CEL's library raised, said so that the author of the expression knows what to write instead."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from workflows.expressions.functions import FUNCTIONS, NATIVE, kind
from workflows.expressions.source import MACROS, Reading, Reference

PARSE = re.compile(r"ERROR: <input>:(\d+):(\d+): (?:Syntax error: )?(.*)")
CALL_FAILED = re.compile(
    r"Function '(\w+)' error: (?:Python function call failed: \w+: )?(.*?)(?:\. Check function .*)?$"
)
UNDEFINED = re.compile(r"Undefined variable or function: '([^']*)'")
HYPHENED = re.compile(r"\b([A-Za-z_]\w*)\.([A-Za-z_]\w*(?:-[A-Za-z0-9_]+)+)", re.ASCII)
PYTHON_WORDS = {"and": "&&", "or": "||", "not": "!", "True": "true", "False": "false", "None": "null"}


def syntax(text: str, error: BaseException) -> tuple[str, int | None]:
    """Message and offset for an expression that can't be parsed."""
    found = PARSE.search(str(error))
    if not found:
        return "the expression can't be read", None
    line, column, said = int(found[1]), int(found[2]), found[3]
    before = sum(len(part) + 1 for part in text.split("\n")[: line - 1])
    offset = min(before + max(column - 1, 0), len(text))
    return _said(text, said, offset) + _syntax_hint(text), offset


def _said(text: str, said: str, offset: int) -> str:
    if "<EOF>" in said and offset >= len(text.rstrip()):
        return "the expression ends too early"
    if found := re.search(r"input '\.(in|true|false|null)'", said):
        return f'{found[1]!r} at character {offset + 2} is a word of the language: the key is written ["{found[1]}"]'
    if found := re.search(r"(?:extraneous|mismatched|no viable alternative at) input '(.*?)'", said):
        return f"unexpected {found[1]!r} at character {offset + 1}"
    if found := re.search(r"token recognition error at: '(.*)'", said):
        return f"{found[1]!r} at character {offset + 1} can't be read"
    return f"{said.split(' expecting ')[0]} at character {offset + 1}"


def _syntax_hint(text: str) -> str:
    if re.search(r"(?<![=!<>])=(?!=)", text):
        return "; two values are compared with =="
    used = [word for word in PYTHON_WORDS if re.search(rf"\b{word}\b", text)]
    return f"; write {PYTHON_WORDS[used[0]]} for {used[0]}" if used else ""


def hyphen_hint(text: str, key: str = "") -> str:
    """For `steps.my-step`, which CEL reads as a subtraction (of the key `my`)."""
    found = HYPHENED.search(text)
    if not found or not found[2].startswith(f"{key}-" if key else ""):
        return ""
    return f'; "-" subtracts: a key with a hyphen is written {found[1]}["{found[2]}"]'


def explain(text: str, reading: Reading, scope: Mapping[str, Any], error: BaseException) -> str:
    """The message for an evaluation that failed."""
    match error:
        case KeyError():
            return missing_key(text, reading, scope, str(error.args[0]) if error.args else "")
        case ZeroDivisionError():
            return "division by zero"
        case IndexError():
            return f"{error}: the list is shorter; read it with get, which answers null or a fallback"
        case OverflowError():
            return f"a number or time is beyond its range: {_first_sentence(str(error))}"
        case RecursionError():
            return "the expression nests too deep"
        case TypeError():
            return _mistyped(text, reading, scope, str(error))
        case RuntimeError():
            return _undefined_or_failed(text, scope, str(error))
    return f"the expression can't be evaluated: {_first_sentence(str(error))}"


def missing_key(text: str, reading: Reading, scope: Mapping[str, Any], key: str) -> str:
    """Which key is missing where, and how `get` reads it."""
    for reference in reading.references:
        if not reference.guarded and (place := _broken_at(reference, scope)) and reference.path[place] == key:
            return _missing(text, reference, place, _at(reference, scope, place))
    return f'there is no "{key}" here; where it may be missing, read it with get("{key}", fallback)' + hyphen_hint(text)


def _missing(text: str, reference: Reference, place: int, holder: Any) -> str:
    above = Reference(reference.path[:place], 0, False)
    if isinstance(holder, Mapping):
        known = "" if reference.path[0] == "secrets" else _listed(holder)
        said = f'{above} has no "{reference.path[place]}"{known}'
    else:
        said = f'{above} is {kind(holder)}, so it has no "{reference.path[place]}"'
    if hint := hyphen_hint(text, reference.path[place]):
        return said + hint
    root, rest = reference.path[0], ".".join(reference.path[1:])
    return f'{said}; where it may be missing, read it with {root}.get("{rest}", fallback)'


def _listed(holder: Mapping[str, Any]) -> str:
    names = [f'"{name}"' for name in list(holder)[:8]]
    return f" (it has {', '.join(names)}{' …' if len(holder) > 8 else ''})" if names else " (it is empty)"


def _broken_at(reference: Reference, scope: Mapping[str, Any]) -> int:
    """Index of the first part of the path that the scope does not have; 0 where all is there."""
    value: Any = scope.get(reference.path[0])
    for place, part in enumerate(reference.path[1:], 1):
        if not isinstance(value, Mapping) or part not in value:
            return place
        value = value[part]
    return 0


def _at(reference: Reference, scope: Mapping[str, Any], place: int) -> Any:
    value: Any = scope
    for part in reference.path[:place]:
        value = value[part]
    return value


def _mistyped(text: str, reading: Reading, scope: Mapping[str, Any], said: str) -> str:
    for reference in reading.references:
        if not reference.guarded and reference.path[0] in scope and (place := _broken_at(reference, scope)):
            return _missing(text, reference, place, _at(reference, scope, place))
    if "Unsupported operation" in said:
        said = f"{_first_sentence(said)}: both sides must be of one type"
    elif "No such overload" in said:
        said = "an operator or function does not fit the types of its values"
    else:
        said = _first_sentence(said)
    return said + _type_hint(text)


def _type_hint(text: str) -> str:
    hints = []
    if re.search(r"[-+*/%]", text):
        hints.append("an int and a double meet as double(x), text is made with string(x)")
    if re.search(r"&&|\|\||!(?!=)|\?", text):
        hints.append('&&, ||, ! and ? take true or false: compare first, as in x != "", or read a fallback with get')
    if re.search(r"[<>]", text):
        hints.append("only values of one kind have an order")
    return "".join(f"; {hint}" for hint in hints)


def _undefined_or_failed(text: str, scope: Mapping[str, Any], said: str) -> str:
    if found := UNDEFINED.search(said):
        name = found[1]
        if name in FUNCTIONS or name in NATIVE or name in MACROS:
            return f"{name} does not take values of these types; json(x) makes text of lists and objects"
        return f'there is no "{name}" here; known: {", ".join(sorted(scope))}{hyphen_hint(text)}'
    if found := CALL_FAILED.search(said.replace("\n", " ")):
        message = found[2] if found[2].startswith(found[1]) else f"{found[1]}: {found[2]}"
        return message.rstrip(".")
    return _first_sentence(said)


def _first_sentence(said: str) -> str:
    return said.split(". ")[0].split("\n")[0].rstrip(".")
