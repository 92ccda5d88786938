"""Text to plain JSON values, with the place of each in the text. Knows nothing about workflows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path as File
from typing import Any

from agents.plain import clean_text
from workflows.definitions.jsonplaces import JsonText
from workflows.definitions.plainness import excess, unfit
from workflows.definitions.problems import Path, Problem, written
from workflows.definitions.yamltext import YamlText
from workflows.errors import DefinitionError

MAX_BYTES = 1024 * 1024
MAX_PROBLEMS = 100

Place = tuple[int, int]
"""Line and column, from 1."""


@dataclass(slots=True)
class Source:
    """A value that was read, what is wrong with its form, and where its parts stand."""

    value: Any
    problems: list[Problem] = field(default_factory=list)
    _locate: Callable[[], dict[Path, tuple[Place, Place]]] | None = None
    _places: dict[Path, tuple[Place, Place]] | None = None

    @property
    def positions(self) -> dict[Path, tuple[Place, Place]]:
        """Path → (place of the key, place of the value); empty where the value did not come from text.

        Found at first use: places cost several times what reading JSON does, and a good definition needs
        none.
        """
        if self._places is None:
            self._places = self._locate() if self._locate else {}
        return self._places

    def place(self, path: Path, *, of_key: bool = False) -> Place | None:
        """Where the path, or the nearest part above it that has a place, stands."""
        for length in range(len(path), -1, -1):
            if found := self.positions.get(path[:length]):
                return found[0] if of_key and length == len(path) else found[1]
        return None

    def below(self, key: str) -> Source:
        """The value under this key as a source of its own; its problems have their places in the whole text."""

        def places() -> dict[Path, tuple[Place, Place]]:
            return {path[1:]: place for path, place in self.positions.items() if path[:1] == (key,)}

        return Source(self.value[key], _locate=places)

    def problem(self, path: Path, message: str, code: str, *, of_key: bool = False, warning: bool = False) -> Problem:
        """A problem at this path, with its place. It may quote what is no text, and can be told nevertheless."""
        line, column = self.place(path, of_key=of_key) or (None, None)
        at = clean_text(written(path))
        return Problem(at, clean_text(message), code, line, column, "warning" if warning else "error")


def read_file(path: File) -> Source:
    """`.json` as JSON, anything else as YAML. Raises `DefinitionError`, and `OSError` for want of a file."""
    content = path.read_bytes()
    return read_json(content) if path.suffix.lower() == ".json" else read_yaml(content)


def read_json(content: bytes | str) -> Source:
    """A JSON text. Raises `DefinitionError` where it can't be read; lesser faults are in the source's
    `problems`."""
    read = JsonText(_decoded(content))
    source = Source(read.value, _locate=read.places)
    return _with_problems(source, read.problems)


def read_yaml(content: bytes | str) -> Source:
    """One YAML document, by the core schema of YAML 1.2. Raises as `read_json` does."""
    read = YamlText(_decoded(content))
    source = Source(read.value, _places=read.places)
    return _with_problems(source, read.problems)


def read_object(value: Any) -> Source:
    """A value made by a program; what is no plain JSON in it is in the source's `problems`."""
    if found := excess(value):
        raise _refused(*found)
    return _with_problems(Source(value), [])


def _with_problems(source: Source, problems: list[Problem]) -> Source:
    source.problems += problems
    found = islice(unfit(source.value), MAX_PROBLEMS)
    source.problems += [source.problem(path, message, code) for path, message, code in found]
    return source


def _decoded(content: bytes | str) -> str:
    if len(content) > MAX_BYTES:
        raise _refused(f"the definition has {len(content):,} bytes; at most {MAX_BYTES:,} are allowed", "too_large")
    if isinstance(content, str):
        return content
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8")
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        message = f"the text is not UTF-8: byte 0x{content[error.start]:02x} at position {error.start}"
        raise _refused(message, "not_utf8", line, column) from None


def _refused(message: str, code: str, line: int | None = None, column: int | None = None) -> DefinitionError:
    return DefinitionError([Problem("", message, code, line, column)])
