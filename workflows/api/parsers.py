"""Reading request bodies strictly: what can't be stored, or means two things, is refused with its place."""

from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from workflows.definitions import read_json, read_yaml
from workflows.definitions.jsonplaces import JsonText
from workflows.definitions.plainness import unfit
from workflows.definitions.problems import Problem
from workflows.definitions.reading import Source
from workflows.errors import DefinitionError


class MalformedBody(ParseError):
    """The body is no JSON that can be stored. ``problems`` as in the one error shape."""

    def __init__(self, problems: list[Problem]) -> None:
        told = "; ".join(f"{p.path}: {p.message}" if p.path else p.message for p in problems[:5])
        super().__init__(f"the request body: {told}")
        self.problems = [
            {key: value for key, value in problem.to_json().items() if key != "severity"} for problem in problems
        ]


class JSONParser(BaseParser):
    """A JSON body as plain values. Raises `MalformedBody`."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        try:
            return _plain(_text(_body(stream, parser_context)))
        except DefinitionError as error:
            raise MalformedBody(error.problems) from None


class DefinitionJSONParser(BaseParser):
    """A definition as JSON: a `Source`, whose problems the checks tell together with their own."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        return read_json(_body(stream, parser_context))


class DefinitionYAMLParser(BaseParser):
    """A definition as YAML: a `Source`."""

    media_type = "application/yaml"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        return read_yaml(_body(stream, parser_context))


class DefinitionXYAMLParser(DefinitionYAMLParser):
    """The older name of the type."""

    media_type = "application/x-yaml"


class DefinitionTextYAMLParser(DefinitionYAMLParser):
    """The oldest name of the type."""

    media_type = "text/yaml"


DEFINITION_PARSERS: list[type[BaseParser]] = [
    DefinitionJSONParser,
    DefinitionYAMLParser,
    DefinitionXYAMLParser,
    DefinitionTextYAMLParser,
]


def _body(stream: IO[Any], parser_context: Mapping[str, Any] | None) -> bytes:
    # Django's request checks the size of `body`; its stream doesn't.
    content: bytes = parser_context["request"].body if parser_context else stream.read()
    return content


def _text(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"it is not UTF-8: byte 0x{body[error.start]:02x} at position {error.start}"
        raise MalformedBody([Problem("", message, "not_utf8")]) from None


def _plain(text: str) -> Any:
    read = JsonText(text)
    source = Source(read.value, list(read.problems), _locate=read.places)
    problems = source.problems + [source.problem(*fault) for fault in unfit(read.value)]
    if problems:
        raise MalformedBody(problems)
    return read.value
