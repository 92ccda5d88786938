"""Artifacts: files and pictures that functions make, as plain data, and what is allowed of them."""

from __future__ import annotations

import base64
import hashlib
import mimetypes
import re
import struct
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from agents.conf import setting
from agents.errors import ArtifactRefused

MOST = 1_000  # of one run
LONGEST_NAME = 150  # characters
LARGEST_SIDE = 10_000  # pixels of a picture that pages show: a small file may unpack to gigabytes

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9.+_-]{0,60}/[a-z0-9][a-z0-9.+_-]{0,80}")


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file of a step's attempt; ``sha256`` as 64 hex digits."""

    name: str
    media_type: str
    content: bytes
    sha256: str

    @classmethod
    def of(cls, name: str, media_type: str, content: bytes) -> Artifact:
        return cls(name, media_type, content, hashlib.sha256(content).hexdigest())

    @property
    def is_picture(self) -> bool:
        """Whether pages may show it, as a picture: SVG, or what is a PNG of a sensible size and not just called one."""
        if self.media_type == "image/svg+xml":
            return True
        return self.media_type == "image/png" and self.content.startswith(PNG) and _is_small(self.content[16:24])

    @property
    def reference(self) -> dict[str, Any]:
        """What a result says of it: `{artifact, media_type, size, sha256}`."""
        return {"artifact": self.name, **self.told}

    @property
    def told(self) -> dict[str, Any]:
        return {"media_type": self.media_type, "size": len(self.content), "sha256": self.sha256}

    def to_json(self) -> dict[str, Any]:
        """For crossing to another process; `Shelf.pass_on` reads it."""
        return {"name": self.name, "media_type": self.media_type, "content": base64.b64encode(self.content).decode()}


@dataclass(slots=True)
class Room:
    """What a run may still keep."""

    bytes: int = field(default_factory=lambda: bytes_of_a_run())
    files: int = MOST

    def take(self, name: str, size: int) -> None:
        """Raises `ArtifactRefused` where it is too little."""
        if self.files < 1:
            raise ArtifactRefused(f"artifact {name!r}: the run keeps {MOST:,} already, and no more")
        if size > self.bytes:
            limit = f"{bytes_of_a_run():,} bytes together (KOLOSAL_RUN_ARTIFACTS_MAX_BYTES)"
            raise ArtifactRefused(f"artifact {name!r}: it has {size:,} bytes; the run's artifacts may have {limit}")
        self.files -= 1
        self.bytes -= size


class Shelf:
    """The artifacts of one attempt, in the order in which they were made.

    ``on_artifact`` is told of each at once; ``taken`` are names that a new one may not have.
    """

    __slots__ = ("_on_artifact", "_room", "_taken", "made")

    def __init__(
        self,
        room: Room | None = None,
        taken: list[str] | None = None,
        on_artifact: Callable[[Artifact], None] = lambda _: None,
    ) -> None:
        self.made: list[Artifact] = []
        self._room = Room() if room is None else room
        self._taken = set(taken or ())
        self._on_artifact = on_artifact

    def add(self, name: str, content: str | bytes, media_type: str = "", mask: Callable[[str], str] = str) -> Artifact:
        """Keep one. A name that is taken gets a number. Raises `ArtifactRefused`."""
        checked = checked_name(mask(name) if isinstance(name, str) else name)
        kind = _media_type(checked, media_type)
        raw = _masked(_raw(checked, content), mask)
        _require_size(checked, len(raw))
        self._room.take(checked, len(raw))
        artifact = Artifact.of(self._free(checked), kind, raw)
        self._taken.add(artifact.name)
        self.made.append(artifact)
        self._on_artifact(artifact)
        return artifact

    def pass_on(self, record: Mapping[str, Any], mask: Callable[[str], str]) -> Artifact:
        """Keep one that was made in a process which works for this one. Raises `ArtifactRefused`."""
        return self.add(record["name"], base64.b64decode(record["content"]), record["media_type"], mask)

    def to_json(self) -> dict[str, Any]:
        """For a shelf in another process, whose artifacts this one will keep: see `from_json`."""
        return {"bytes": self._room.bytes, "files": self._room.files, "taken": sorted(self._taken)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any], on_artifact: Callable[[Artifact], None]) -> Shelf:
        return cls(Room(record["bytes"], record["files"]), record["taken"], on_artifact)

    def _free(self, name: str) -> str:
        return next(other for other in _numbered(name) if other not in self._taken)


def bytes_of_a_run() -> int:
    """How many bytes the artifacts of one run may have together."""
    return int(setting("RUN_ARTIFACTS_MAX_BYTES", 50 * 1024 * 1024))


def checked_name(name: object) -> str:
    """The name, normalised. Raises `ArtifactRefused` for one with path parts or characters that nobody sees."""
    if not isinstance(name, str):
        raise ArtifactRefused(f"an artifact's name is text, not {type(name).__name__}")
    given, name = name, unicodedata.normalize("NFC", name)
    if not name or len(name) > LONGEST_NAME:
        raise ArtifactRefused(f"an artifact's name has 1 to {LONGEST_NAME} characters, not {len(name)}")
    if any(_is_hidden(character) for character in name):
        raise ArtifactRefused(f"artifact {given!r}: a name has no control characters and none that reverse text")
    if "/" in name or "\\" in name or name.startswith(".") or name != name.strip():
        raise ArtifactRefused(f"artifact {given!r}: a name has no / or \\, and no dot or space before it")
    return name


def made_name(text: str, suffix: str) -> str:
    """A name that is allowed, made of any text, such as a column's."""
    kept = "".join("_" if _is_hidden(c) or c in "/\\" else c for c in unicodedata.normalize("NFC", text))
    return kept.strip(". ")[: LONGEST_NAME - 20].strip() + suffix


def _is_hidden(character: str) -> bool:
    """Control and format characters (those that turn the direction of text too), surrogates, ends of lines."""
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"}


def _media_type(name: str, given: str) -> str:
    kind = (given or mimetypes.guess_type(name)[0] or "application/octet-stream").strip().lower()
    if not MEDIA_TYPE.fullmatch(kind):
        raise ArtifactRefused(f"artifact {name!r}: {given[:100]!r} is no media type, such as text/csv")
    return kind


def _raw(name: str, content: object) -> bytes:
    if isinstance(content, str):
        return content.encode("utf-8", "replace")
    if isinstance(content, bytes | bytearray | memoryview):
        return bytes(content)
    raise ArtifactRefused(f"artifact {name!r}: its content is bytes or text, not {type(content).__name__}")


def _masked(raw: bytes, mask: Callable[[str], str]) -> bytes:
    """With secrets hidden, where it is text."""
    try:
        return mask(raw.decode()).encode()
    except UnicodeDecodeError:
        return raw


def _require_size(name: str, size: int) -> None:
    limit = int(setting("ARTIFACT_MAX_BYTES", 5 * 1024 * 1024))
    if size > limit:
        allowed = f"one may have {limit:,} (KOLOSAL_ARTIFACT_MAX_BYTES)"
        raise ArtifactRefused(f"artifact {name!r}: it has {size:,} bytes; {allowed}")


def _is_small(sides: bytes) -> bool:
    return len(sides) == 8 and all(1 <= side <= LARGEST_SIDE for side in struct.unpack(">II", sides))


def _numbered(name: str) -> Iterator[str]:
    """``a.csv``, ``a-2.csv``, ``a-3.csv``, …"""
    yield name
    path = PurePosixPath(name)
    for number in range(2, MOST + 2):
        yield f"{path.stem}-{number}{path.suffix}"
