"""Functions that behave as a test needs. State is kept in files, since plain functions run in other processes."""

import asyncio
import base64
import logging
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from agents.functions.base import Call, Parameters
from agents.functions.registry import function

NAMES = [
    "note",
    "flaky",
    "spin",
    "hang",
    "dictated",
    "die",
    "speak",
    "nap",
    "grow",
    "spawn",
    "measure",
    "raise_text",
    "hostile",
    "give",
    "cancel_itself",
    "make",
    "make_plain",
    "burn",
    "tell",
]


class Note(Parameters):
    file: str
    text: str = "x"


@function("note")
async def note(call: Call, parameters: Note) -> dict[str, Any]:
    """Append a line to a file: an outside witness that counts executions."""
    with Path(parameters.file).open("a") as file:
        file.write(f"{parameters.text} {call.idempotency_key}\n")
    call.logger.info("noted %s", parameters.text)
    return {"noted": parameters.text}


class Give(Parameters):
    value: dict[str, Any]


@function("give")
async def give(call: Call, parameters: Give) -> dict[str, Any]:
    """Whatever it is given."""
    return parameters.value


class Flaky(Parameters):
    file: str
    failures: int


@function("flaky")
async def flaky(call: Call, parameters: Flaky) -> dict[str, Any]:
    """Fail so many times, then succeed."""
    path = Path(parameters.file)
    before = len(path.read_text()) if path.exists() else 0
    with path.open("a") as file:
        file.write("x")
    if before < parameters.failures:
        raise RuntimeError(f"failure {before + 1} of {parameters.failures}")
    return {"text": "at last", "tries": before + 1}


class Nothing(Parameters):
    pass


@function("spin")
def spin(call: Call, parameters: Nothing) -> dict[str, Any]:
    """An endless loop."""
    while True:
        pass


class Hang(Parameters):
    port: int


@function("hang")
def hang(call: Call, parameters: Hang) -> dict[str, Any]:
    """Wait for ever for an answer on a socket."""
    with socket.create_connection(("127.0.0.1", parameters.port)) as connection:
        return {"text": connection.recv(1).decode()}


class Die(Parameters):
    signal: int = 11


@function("die")
def die(call: Call, parameters: Die) -> dict[str, Any]:
    """End the process that runs this, as a crash in C code would."""
    os.kill(os.getpid(), parameters.signal)
    return {}


class Speak(Parameters):
    words: list[str]
    pause: float = 0.0


@function("speak")
async def speak(call: Call, parameters: Speak) -> dict[str, Any]:
    """Stream words, with a pause (seconds) after each."""
    for word in parameters.words:
        call.emit(word)
        await asyncio.sleep(parameters.pause)
    return {"text": "".join(parameters.words)}


class Dictated(Parameters):
    file: str


@function("dictated")
async def dictated(call: Call, parameters: Dictated) -> dict[str, Any]:
    """Stream the lines of a file as somebody writes them, until a lone full stop."""
    said: list[str] = []
    while True:
        for line in Path(parameters.file).read_text().splitlines()[len(said) :]:
            if line == ".":
                return {"text": "".join(said)}
            call.emit(line)
            said.append(line)
        await asyncio.sleep(0.01)


class Nap(Parameters):
    seconds: float


@function("nap")
async def nap(call: Call, parameters: Nap) -> dict[str, Any]:
    await asyncio.sleep(parameters.seconds)
    return {"slept": parameters.seconds}


class Grow(Parameters):
    size: int
    key: str = "text"


@function("grow")
async def grow(call: Call, parameters: Grow) -> dict[str, Any]:
    """A result of so many characters."""
    return {parameters.key: "x" * parameters.size}


class Spawn(Parameters):
    file: str


@function("spawn")
def spawn(call: Call, parameters: Spawn) -> dict[str, Any]:
    """Start a process of one's own, write down its id, and wait."""
    child = subprocess.Popen(["sleep", "300"])
    Path(parameters.file).write_text(str(child.pid))
    child.wait()
    return {}


class Measure(Parameters):
    megabytes: int = 1
    seconds: float = 0.0


@function("measure")
def measure(call: Call, parameters: Measure) -> dict[str, Any]:
    """Use memory and processor time."""
    block = bytearray(parameters.megabytes * 1024 * 1024)
    until = time.process_time() + parameters.seconds
    while time.process_time() < until:
        pass
    call.logger.info("used %d MiB", parameters.megabytes)
    return {"bytes": len(block)}


HOSTILE = "nul \0 and half an emoji \ud83d"


class Hostile(Parameters):
    fail: bool = False


@function("hostile")
async def hostile(call: Call, parameters: Hostile) -> dict[str, Any]:
    """Stream, log, and return or raise text that not every store can hold; claim more tokens than a column can."""
    call.emit(HOSTILE)
    call.logger.info(HOSTILE)
    await asyncio.sleep(0.1)
    if parameters.fail:
        raise RuntimeError(HOSTILE)
    return {"text": HOSTILE, "usage": {"input_tokens": 2**40}}


class RaiseText(Parameters):
    text: str


@function("raise_text")
async def raise_text(call: Call, parameters: RaiseText) -> dict[str, Any]:
    raise RuntimeError(parameters.text)


@function("cancel_itself")
async def cancel_itself(call: Call, parameters: Nothing) -> dict[str, Any]:
    """As a library does that lets a cancelled task of its own through."""
    raise asyncio.CancelledError


class Make(Parameters):
    files: list[dict[str, Any]]  # name, content or base64, media_type
    fail: bool = False
    file: str = ""  # where it is noted that it was called


def _make(call: Call, parameters: Make) -> dict[str, Any]:
    made = []
    for file in parameters.files:
        content = base64.b64decode(file["base64"]) if "base64" in file else file.get("content", "")
        made.append(call.artifact(file["name"], content, file.get("media_type", "")))
    if parameters.fail:
        raise RuntimeError("made, and failed")
    return {"made": made}


@function("make")
async def make(call: Call, parameters: Make) -> dict[str, Any]:
    """Make artifacts, in the loop."""
    return _make(call, parameters)


@function("make_plain")
def make_plain(call: Call, parameters: Make) -> dict[str, Any]:
    """Make artifacts, in a helper process."""
    return _make(call, parameters)


class Burn(Parameters):
    seconds: float = 0.1
    fail: bool = False


@function("burn")
def burn(call: Call, parameters: Burn) -> dict[str, Any]:
    """Spend nearly all of its time in one function of its own."""
    _hot_and_slow(parameters.seconds)
    if parameters.fail:
        raise RuntimeError("burnt")
    return {"text": "burnt"}


def _hot_and_slow(seconds: float) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        sum(range(1000))


class Tell(Parameters):
    line: str
    error: str = ""


@function("tell")
def tell(call: Call, parameters: Tell) -> dict[str, Any]:
    """Write a line into the step's log, and one by a logger of its own, in a helper process; then perhaps fail."""
    call.logger.info("told: %s", parameters.line)
    logging.getLogger("tests.library").warning("beside: %s", parameters.line)
    if parameters.error:
        raise RuntimeError(parameters.error)
    return {}
