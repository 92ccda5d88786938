"""Reading YAML with the place of every value, so that a problem can be told with line and column."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import yaml

from agents.wording import Path, dotted

MAX_BYTES = 1024 * 1024
MAX_VALUES = 50_000  # aliases counted each time they are used
MAX_DEPTH = 50
_PLAIN_TAGS = frozenset({"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a file, or (`severity` "warning") strange in it. Lines and columns count from 1."""

    message: str
    path: str = ""
    line: int | None = None
    column: int | None = None
    severity: str = "error"

    def __str__(self) -> str:
        place = f"line {self.line}, column {self.column}: " if self.line else ""
        return f"{place}{self.path + ': ' if self.path else ''}{self.message}"


@dataclass(slots=True)
class Document:
    """A document's plain value, where each part of it stands, and what is wrong with its form."""

    value: Any = None
    places: dict[Path, tuple[int, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def problem(self, path: Path, message: str, severity: str = "error") -> Problem:
        """A problem at a path; for a missing part the place of what should hold it."""
        known = path
        while known and known not in self.places:
            known = known[:-1]
        line, column = self.places.get(known, (None, None))
        return Problem(message, dotted(path), line, column, severity)


def read(raw: bytes) -> Document:
    """One YAML document. Never raises: what is wrong with it is in `problems`."""
    document = Document()
    if len(raw) > MAX_BYTES:
        document.problems.append(Problem(f"the file has {len(raw):,} bytes; at most {MAX_BYTES:,} are read"))
        return document
    try:
        _Reader(document).read(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        document.problems.append(Problem("the file is not valid UTF-8", "", line, column))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = (mark.line + 1, mark.column + 1) if mark else (None, None)
        document.problems.append(Problem(f"no valid YAML: {error.problem or error.context}", "", *place))
    except (yaml.YAMLError, RecursionError) as error:
        document.problems.append(Problem(f"no valid YAML: {error}"))
    return document


class _Reader:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.values = 0

    def read(self, text: str) -> None:
        self.loader = yaml.SafeLoader(text)
        try:
            node = self.loader.get_single_node()
            self.document.value = self._value(node, ()) if node else None
        finally:
            self.loader.dispose()

    def _value(self, node: yaml.Node, path: Path) -> Any:
        self.values += 1
        if self.values > MAX_VALUES or len(path) > MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem="too many or too deeply nested values", problem_mark=node.start_mark)
        self.document.places[path] = (node.start_mark.line + 1, node.start_mark.column + 1)
        if not isinstance(node, yaml.ScalarNode) and node.tag not in _PLAIN_TAGS:
            problem = f"the tag {node.tag} is not known here"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        seen: set[str] = set()
        for key, _ in node.value:  # before `<<` is flattened: what it brings may be overridden
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key should be text", problem_mark=key.start_mark)
            if key.value in seen:
                place = (key.start_mark.line + 1, key.start_mark.column + 1)
                self._report(f"the key {key.value!r} stands here a second time", (*path, key.value), place)
            seen.add(key.value)
        self.loader.flatten_mapping(node)
        return {key.value: self._value(value, (*path, key.value)) for key, value in node.value}

    def _scalar(self, node: yaml.Node, path: Path) -> Any:
        if node.tag.endswith(":timestamp"):
            return node.value
        value = self.loader.construct_object(node)
        if isinstance(value, float) and not math.isfinite(value):
            self._report(f"{node.value} is no number that can be used", path)
            return 0.0
        return value if isinstance(value, str | int | float | None) else node.value

    def _report(self, message: str, path: Path, place: tuple[int, int] | None = None) -> None:
        line, column = place or self.document.places[path]
        self.document.problems.append(Problem(message, dotted(path), line, column))
