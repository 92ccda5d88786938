"""YAML text by the core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema), built from
parser events.

Events are used in place of PyYAML's loader because they bound depth and aliases before anything is built,
and because its scalars are those of YAML 1.1 (`yes`, `on`, dates, sexagesimal numbers).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import yaml

from workflows.definitions.plainness import MAX_DEPTH, MAX_VALUES
from workflows.definitions.problems import Path, Problem, written
from workflows.errors import DefinitionError

MAX_ALIASES = 100

CORE = "tag:yaml.org,2002:"
NULL = frozenset({"", "~", "null", "Null", "NULL"})
BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
INTEGER = re.compile(r"[-+]?[0-9]+", re.ASCII)
BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
ENDLESS = re.compile(r"([-+]?)\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")

Place = tuple[int, int]
Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def plain_scalar(text: str) -> Any:
    """The value of a scalar without quotes or tag."""
    if text in NULL:
        return None
    if text in BOOLS:
        return BOOLS[text]
    if INTEGER.fullmatch(text):
        return int(text) if len(text) < 30 else 2**63
    if BASED.fullmatch(text):
        return int(text[2:], 8 if text[1] == "o" else 16)
    if FLOAT.fullmatch(text):
        return float(text)
    return math.nan if ENDLESS.fullmatch(text) else text


class YamlText:
    """`value`, `problems` and `places` (path → places of key and value) of one document. Raises
    `DefinitionError`."""

    def __init__(self, text: str) -> None:
        self.problems: list[Problem] = []
        self.places: dict[Path, tuple[Place, Place]] = {}
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._aliases = self._size = 0
        self._events = self._parsed(text)
        self.value = self._document()

    def _parsed(self, text: str) -> Iterator[Any]:
        """The parser's events. Depth is bounded here: libyaml takes quadratic time over deep flow lists."""
        depth = 0
        try:
            for event in yaml.parse(text, Loader=Loader):
                depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
                if depth > MAX_DEPTH:
                    raise _refused(f"the text nests more than {MAX_DEPTH} levels deep", "too_deep", _place(event))
                yield event
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            raise _refused(f"this is no YAML: {_said(error)}", "yaml_syntax", place) from None
        except yaml.reader.ReaderError as error:
            raise _refused(_unreadable(error), "yaml_character", _character_place(text, error)) from None
        except (yaml.YAMLError, UnicodeError, ValueError) as error:
            raise _refused(f"this is no YAML: {error}", "yaml_syntax", (1, 1)) from None

    def _document(self) -> Any:
        next(self._events)
        if isinstance(next(self._events), yaml.StreamEndEvent):
            raise _refused("the text is empty; a definition is a mapping with workflow_id and steps", "empty", (1, 1))
        value = self._value(next(self._events), (), None)
        next(self._events)
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise _refused("there is a second document (---); one file holds one", "many_documents", _place(after))
        return value

    def _value(self, event: Any, path: Path, key: Place | None) -> Any:
        place = _place(event)
        self.places.setdefault(path, (key or place, place))
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        before, self._size = self._size, self._size + 1
        if self._size > MAX_VALUES:
            raise _refused(f"there are more than {MAX_VALUES:,} values in this text", "too_many_values", place)
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event, path)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._list(event, path)
        else:
            value = self._mapping(event, path)
        if event.anchor:
            self._anchors[event.anchor] = (value, self._size - before)
        return value

    def _alias(self, event: Any) -> Any:
        self._aliases += 1
        if event.anchor not in self._anchors:
            raise _refused(f"there is no finished anchor &{event.anchor} before this", "yaml_alias", _place(event))
        value, size = self._anchors[event.anchor]
        self._size += size
        if self._aliases > MAX_ALIASES or self._size > MAX_VALUES:
            message = f"too many aliases: at most {MAX_ALIASES}, and {MAX_VALUES:,} values when written out"
            raise _refused(message, "yaml_aliases", _place(event))
        return value

    def _list(self, event: Any, path: Path) -> list[Any]:
        self._check_tag(event, path, "seq")
        made: list[Any] = []
        while not isinstance(item := next(self._events), yaml.SequenceEndEvent):
            made.append(self._value(item, (*path, len(made)), None))
        return made

    def _mapping(self, event: Any, path: Path) -> dict[str, Any]:
        self._check_tag(event, path, "map")
        made: dict[str, Any] = {}
        while not isinstance(item := next(self._events), yaml.MappingEndEvent):
            key = self._key(item)
            below, place = (*path, key), _place(item)
            if key in made:
                self._double(below, place)
            # The first one counts: the places of its parts are recorded already.
            made.setdefault(key, self._value(next(self._events), below, place))
        return made

    def _key(self, event: Any) -> str:
        """A key as text, as it is written: `1`, `yes` and `null` are keys too."""
        if not isinstance(event, yaml.ScalarEvent):
            raise _refused("a key is plain text here, no list, mapping or alias", "yaml_key", _place(event))
        if event.value == "<<" and event.implicit[0]:
            message = "merge keys (<<) are no part of YAML 1.2; write the keys out"
            raise _refused(message, "yaml_merge", _place(event))
        if event.anchor:
            self._anchors[event.anchor] = (event.value, 1)
        self._size += 1
        return str(event.value)

    def _double(self, path: Path, place: Place) -> None:
        line, column = self.places[path][0]
        message = f'the key "{path[-1]}" stands here twice, first in line {line}, column {column}; keep one'
        self.problems.append(Problem(written(path), message, "duplicate_key", *place))

    def _scalar(self, event: Any, path: Path) -> Any:
        if event.tag in (None, "!") or event.implicit[0]:
            return plain_scalar(event.value) if event.implicit[0] else event.value
        if event.tag == CORE + "str":
            return event.value
        value = plain_scalar(event.value)
        names = {CORE + "int": int, CORE + "float": float, CORE + "bool": bool, CORE + "null": type(None)}
        if type(value) is names.get(event.tag):
            return value
        if type(value) is int and event.tag == CORE + "float":
            return float(value)
        self._bad_tag(event, path)
        return event.value

    def _check_tag(self, event: Any, path: Path, kind: str) -> None:
        if event.tag not in (None, "!", CORE + kind):
            self._bad_tag(event, path)

    def _bad_tag(self, event: Any, path: Path) -> None:
        tag = event.tag.replace(CORE, "!!")
        message = f"the tag {tag} does not fit here; known are !!str, !!int, !!float, !!bool, !!null, !!seq, !!map"
        self.problems.append(Problem(written(path), message, "yaml_tag", *_place(event)))


def _place(event: Any) -> Place:
    return event.start_mark.line + 1, event.start_mark.column + 1


def _said(error: yaml.MarkedYAMLError) -> str:
    problem = (error.problem or "it can't be read").replace("'\\t'", "a tab")
    hint = "; indent with spaces" if "a tab" in problem or "\\t" in problem else ""
    if "mapping values are not allowed" in problem:
        hint = '; text with ": " in it stands in quotes, and keys of one mapping in one column'
    return f"{problem}{f' ({error.context})' if error.context else ''}{hint}"


def _unreadable(error: yaml.reader.ReaderError) -> str:
    code = error.character if isinstance(error.character, int) else ord(error.character[:1] or "\0")
    return f"the character U+{code:04X} may not stand in YAML text"


def _character_place(text: str, error: yaml.reader.ReaderError) -> Place:
    """Where the character stands. It is looked for, since libyaml counts bytes."""
    code = error.character if isinstance(error.character, int) else ord(error.character[:1] or "\0")
    at = max(text.find(chr(code)), 0) if code < 0x110000 else 0
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


def _refused(message: str, code: str, place: Place) -> DefinitionError:
    return DefinitionError([Problem("", message, code, *place)])
