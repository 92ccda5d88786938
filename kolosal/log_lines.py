"""What a log line says, and how: one for each record of every library, as text for people or as JSON.

Each has the ids under which it was written: ``run_id``, ``step``, ``attempt``, ``worker``, ``request_id``. A line is
one line whatever it tells: control characters are written as escapes, so that no text can pass for a line of its own
or move a terminal's cursor. Values of secrets are masked.
"""

import json
import logging.config
import os
import re
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, WrappedLogger

from workflows.masking import EnvironmentSecrets, Mask

LONGEST = 16_384  # characters of a message
LONGEST_TRACE = 262_144
FIXED = ("time", "level", "logger")
IDS = ("run_id", "step", "attempt", "worker", "request_id")
# Control characters, line breaks of Unicode, marks that turn the direction of writing, halves of characters.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
COLOURS = {"warning": "33", "error": "31", "critical": "31"}
DIM = "2"


def configure(logging_settings: dict[str, Any]) -> None:
    """Django's ``LOGGING_CONFIG``: the standard library's loggers, and structlog's onto them."""
    logging.config.dictConfig(logging_settings)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def formatter(form: str, secrets: Iterable[str] = ()) -> ProcessorFormatter:
    """For ``form`` ``console`` or ``json``; masks ``secrets``, besides the values of ``KOLOSAL_SECRET_*``."""
    own = EnvironmentSecrets()
    mask = Mask([*(own[name] for name in own), *(value for value in secrets if value)])
    return ProcessorFormatter(
        processors=[
            _head,
            structlog.contextvars.merge_contextvars,  # in the thread that wrote the line
            structlog.processors.format_exc_info,
            _Cleaned(mask),
            as_json if form == "json" else Console(coloured=sys.stderr.isatty() and not os.environ.get("NO_COLOR")),
        ],
    )


def _head(logger: WrappedLogger, name: str, line: EventDict) -> EventDict:
    record: logging.LogRecord = line.pop("_record")
    del line["_from_structlog"]
    at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"time": at, "level": record.levelname.lower(), "logger": record.name, **line}


class _Cleaned:
    """Values as plain ones of bounded length, secrets masked; those that all lines have come first."""

    def __init__(self, mask: Mask) -> None:
        self._mask = mask

    def __call__(self, logger: WrappedLogger, name: str, line: EventDict) -> EventDict:
        told: EventDict = {key: line.pop(key, "") for key in FIXED}
        told["message"] = self._value(line.pop("event", ""), LONGEST)
        trace = line.pop("exception", None)
        for key in [*(key for key in IDS if key in line), *(key for key in line if key not in IDS)]:
            told[str(key)] = self._value(line[key], LONGEST)
        if trace:
            told["trace"] = self._value(trace, LONGEST_TRACE)
        return told

    def _value(self, value: Any, longest: int) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        text = self._mask.text(value if isinstance(value, str) else repr(value))
        if len(text) > longest:
            return f"{text[:longest]} … ({len(text) - longest:,} more characters)"
        return text


def as_json(logger: WrappedLogger, name: str, line: Mapping[str, Any]) -> str:
    """A JSON object on one line; what is escaped reads back as it was."""
    text = json.dumps(line, ensure_ascii=False)
    return UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class Console:
    """Time, level, logger, message, ids; a trace below, each of its lines marked as no line of the log."""

    def __init__(self, *, coloured: bool) -> None:
        self._coloured = coloured

    def __call__(self, logger: WrappedLogger, name: str, line: Mapping[str, Any]) -> str:
        level = str(line["level"])
        told = f"{printable(str(line['logger']))}: {printable(str(line['message']))}"
        ids = " ".join(f"{key}={_word(line[key])}" for key in line if key not in {*FIXED, "message", "trace"})
        head = f"{line['time']} {self._in(COLOURS.get(level, ''), f'{level.upper():<7}')} {told}"
        trace = [f"    | {printable(text)}" for text in str(line.get("trace", "")).splitlines()]
        return "\n".join([f"{head}  {self._in(DIM, ids)}" if ids else head, *trace])

    def _in(self, colour: str, text: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._coloured and colour else text


def printable(text: str) -> str:
    """The text on one line: what does not print is written as in JSON."""
    return UNPRINTABLE.sub(lambda found: json.dumps(found[0])[1:-1] if found[0] < "\x7f" else _escape(found[0]), text)


def _escape(character: str) -> str:
    return f"\\u{ord(character):04x}"


def _word(value: Any) -> str:
    text = printable(str(value))
    return json.dumps(text, ensure_ascii=False) if " " in text or "=" in text or not text else text
