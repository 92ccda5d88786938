"""JSON text: its value by the standard library, the places of its parts by a scan that only problems need."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from workflows.definitions.plainness import MAX_DEPTH, excess
from workflows.definitions.problems import Path, Problem, written
from workflows.errors import DefinitionError

TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
CONSTANT = re.compile(r'"(?:[^"\\]|\\.)*"|(-?Infinity|NaN)\b', re.DOTALL)
BEYOND = 2**63
"""Stands for a number with so many digits that Python would not read it."""

Place = tuple[int, int]


class JsonText:
    """`value`, `problems` (duplicate keys, NaN and the like) and `places()`. Raises `DefinitionError`."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._doubled = False
        self.value = self._load()
        if found := excess(self.value):
            raise _refused(*found, (1, 1))
        self.problems: list[Problem] = []
        if self._doubled:
            self.problems = _Scan(text).doubled()

    def places(self) -> dict[Path, tuple[Place, Place]]:
        """Path → (place of its key, place of its value)."""
        return _Scan(self._text).places

    def _load(self) -> Any:
        try:
            return json.loads(
                self._text, object_pairs_hook=self._object, parse_int=_integer, parse_constant=self._constant
            )
        except json.JSONDecodeError as error:
            raise _refused(_syntax(error), "json_syntax", (error.lineno, error.colno)) from None
        except RecursionError:
            raise _refused(f"the text nests more than {MAX_DEPTH} levels deep", "too_deep", (1, 1)) from None

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        self._doubled |= len(made) < len(pairs)
        return made

    def _constant(self, name: str) -> NoReturn:
        at = next((m.start() for m in CONSTANT.finditer(self._text) if m[1] == name), 0)
        message = f"{name} is no number in JSON; write null or text"
        raise _refused(message, "not_finite", _Scan.place_of(self._text, at))


def _integer(text: str) -> int:
    return int(text) if len(text) < 30 else BEYOND


def _syntax(error: json.JSONDecodeError) -> str:
    said = error.msg[0].lower() + error.msg[1:]
    if not error.doc.strip():
        return "the text is empty; a definition is a JSON object"
    rest = error.doc[error.pos :][:1]
    if "property name" in said and rest in "'}":
        return f"{said}: keys and text stand in double quotes, and no comma before a closing bracket"
    return f"this is no JSON: {said}"


def _refused(message: str, code: str, place: Place) -> DefinitionError:
    return DefinitionError([Problem("", message, code, *place)])


class _Scan:
    """Walks text that has been read as JSON, so it need not ask whether it is well-formed."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._line, self._line_start, self._seen = 1, 0, 0
        self.places: dict[Path, tuple[Place, Place]] = {}
        self._keys: list[tuple[Path, Place, Place]] = []
        self._walk()

    @staticmethod
    def place_of(text: str, at: int) -> Place:
        return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)

    def doubled(self) -> list[Problem]:
        """A problem for each key that its object has already."""
        return [
            Problem(written(path), f'the key "{path[-1]}" stands here twice, first in line {first[0]}, '
                    f"column {first[1]}; keep one", "duplicate_key", *again)
            for path, first, again in self._keys
        ]  # fmt: skip

    def _place(self, at: int) -> Place:
        newlines = self._text.count("\n", self._seen, at)
        if newlines:
            self._line += newlines
            self._line_start = self._text.rfind("\n", 0, at) + 1
        self._seen = at
        return self._line, at - self._line_start + 1

    def _walk(self) -> None:
        """One pass. `open` holds the brackets under way: a list's next index, or an object's current key."""
        open_: list[int | str] = []
        key_place: Place | None = None
        expects_key = False
        for match in TOKEN.finditer(self._text):
            word = match[0]
            if word == ",":
                expects_key = self._next(open_)
            elif word in "]}":
                open_.pop()
                expects_key = False
            elif word == ":":
                expects_key = False
            elif expects_key:
                key_place = self._key(open_, json.loads(word), self._place(match.start()))
            else:
                self._value(tuple(open_), key_place, self._place(match.start()))
                key_place = None
                if word in "[{":
                    open_.append(0 if word == "[" else "")
                    expects_key = word == "{"

    @staticmethod
    def _next(open_: list[int | str]) -> bool:
        if open_ and isinstance(open_[-1], int):
            open_[-1] += 1
            return False
        return True

    def _key(self, open_: list[int | str], key: str, place: Place) -> Place:
        open_[-1] = key
        path = tuple(open_)
        if path in self.places:
            self._keys.append((path, self.places[path][0], place))
        return place

    def _value(self, path: Path, key: Place | None, place: Place) -> None:
        self.places[path] = (key or place, place)
