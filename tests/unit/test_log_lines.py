"""Lines of the log, whatever they tell."""

import io
import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.contextvars import bound_contextvars

from kolosal import log_lines

FORGED = "all is well\n2026-01-01T00:00:00.000Z ERROR   kolosal: forged\r\x1b[2J\x85\u2028\u202e\x00\ud800"


class Log:
    """A logger of its own, and what it wrote."""

    def __init__(self, form: str, secrets: list[str] | None = None) -> None:
        self.written = io.StringIO()
        handler = logging.StreamHandler(self.written)
        handler.setFormatter(log_lines.formatter(form, secrets or []))
        self.logger = logging.Logger("tests.log")
        self.logger.addHandler(handler)

    @property
    def lines(self) -> list[str]:
        return self.written.getvalue().split("\n")[:-1]

    @property
    def last(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.lines[-1])
        return told


@pytest.fixture
def as_json() -> Log:
    return Log("json")


def test_a_line_has_time_level_logger_message_and_ids(as_json: Log) -> None:
    with bound_contextvars(request_id="r1", run_id="0190", step="a/b", attempt=2):
        as_json.logger.warning("%d of %s", 3, "four")
    told = as_json.last
    assert told.pop("time").endswith("Z")
    assert told == {
        "level": "warning",
        "logger": "tests.log",
        "message": "3 of four",
        "run_id": "0190",
        "step": "a/b",
        "attempt": 2,
        "request_id": "r1",
    }
    assert list(told)[3:] == ["run_id", "step", "attempt", "request_id"]
    as_json.logger.warning("outside")
    assert "run_id" not in as_json.last


def test_on_the_console_too() -> None:
    log = Log("console")
    with bound_contextvars(run_id="0190", step="first step"):
        log.logger.info("hello")
    (line,) = log.lines
    assert line.partition(" ")[2] == 'INFO    tests.log: hello  run_id=0190 step="first step"'


@pytest.mark.parametrize("form", ["console", "json"])
def test_no_message_passes_for_a_line_of_its_own(form: str) -> None:
    log = Log(form)
    with bound_contextvars(step=FORGED):
        log.logger.error("%s", FORGED)
    assert len(log.written.getvalue().splitlines()) == 1  # which knows Unicode's line breaks as well
    assert log.lines[0].encode("utf-8").isascii()
    assert "\x1b" not in log.lines[0]
    assert "\\u001b[2J" in log.lines[0]


def test_json_reads_back_as_it_was(as_json: Log) -> None:
    as_json.logger.error("%s", FORGED)
    assert as_json.last["message"] == FORGED


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_any_text_is_one_line_that_can_be_stored(text: str) -> None:
    for form in ("console", "json"):
        log = Log(form)
        log.logger.error("%s", text)
        assert len(log.written.getvalue().splitlines()) == 1
        log.written.getvalue().encode("utf-8")
    assert log.last["message"] == text


def test_a_trace_is_whole_and_can_forge_nothing() -> None:
    console, as_json = Log("console"), Log("json")
    for log in (console, as_json):
        try:
            raise ValueError(FORGED)
        except ValueError:
            log.logger.exception("Crash")
    head, *trace = console.lines
    assert head.endswith("ERROR   tests.log: Crash")
    assert trace
    assert all(line.startswith("    | ") for line in trace)
    assert as_json.last["trace"].startswith("Traceback (most recent call last):\n  File ")
    assert as_json.last["trace"].endswith(f"ValueError: {FORGED}")


def test_secrets_are_masked_in_messages_ids_and_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOLOSAL_SECRET_KEY_OF_A_SHOP", 'hunter"22')
    log = Log("json", ["the site's key"])
    with bound_contextvars(step='hunter"22'):
        try:
            raise ValueError('hunter"22')
        except ValueError:
            log.logger.exception("the site's key, and %s", 'hunter"22')
    assert "hunter" not in log.lines[0]
    assert log.last["message"] == "***, and ***"
    assert log.last["step"] == "***"
    assert log.last["trace"].endswith("ValueError: ***")


def test_long_messages_are_cut(as_json: Log) -> None:
    as_json.logger.info("%s", "x" * 1_000_000)
    assert as_json.last["message"].endswith("x … (983,616 more characters)")
    assert len(as_json.lines[0]) < 20_000


def test_a_line_that_can_not_be_formatted_harms_nobody(as_json: Log, capsys: pytest.CaptureFixture[str]) -> None:
    as_json.logger.info("%d", "no number")
    assert not as_json.lines
    assert "--- Logging error ---" in capsys.readouterr().err


def test_colours_only_where_a_terminal_reads() -> None:
    line = {"time": "now", "level": "error", "logger": "a", "message": "b", "run_id": "c"}
    assert log_lines.Console(coloured=False)(None, "", line) == "now ERROR   a: b  run_id=c"
    assert log_lines.Console(coloured=True)(None, "", line) == (
        "now \x1b[31mERROR  \x1b[0m a: b  \x1b[2mrun_id=c\x1b[0m"
    )
