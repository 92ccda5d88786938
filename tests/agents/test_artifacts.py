"""What is allowed of the files that functions make."""

import hashlib
import struct
from collections.abc import Callable

import pytest
from pytest_django import Settings

from agents import artifacts
from agents.artifacts import PNG, Artifact, Room, Shelf, checked_name, made_name
from agents.errors import ArtifactRefused
from tests.agents.factories import make_call

PIXEL = PNG + struct.pack(">II", 1, 1) + b"\x08\x06\x00\x00\x00"


def test_a_call_keeps_files_in_order_and_tells_what_they_are() -> None:
    call = make_call()
    told = call.artifact("rows.csv", "a,b\n1,2\n")
    digest = hashlib.sha256(b"a,b\n1,2\n").hexdigest()
    assert told == {"artifact": "rows.csv", "media_type": "text/csv", "size": 8, "sha256": digest}
    call.artifact("raw", b"\x00\xff")
    assert [(a.name, a.media_type, a.content) for a in call.artifacts.made] == [
        ("rows.csv", "text/csv", b"a,b\n1,2\n"),
        ("raw", "application/octet-stream", b"\x00\xff"),
    ]


def test_a_second_one_of_a_name_gets_a_number() -> None:
    shelf = Shelf(taken=["a.csv"])
    assert [shelf.add("a.csv", "x").name for _ in range(2)] == ["a-2.csv", "a-3.csv"]
    assert shelf.add("a-3.csv", "x").name == "a-3-2.csv"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a" * 151,
        "../a",
        "a/b",
        "a\\b",
        ".hidden",
        "..",
        " a",
        "a ",
        "a\nb",
        "a\x00b",
        "a\u202egpj.exe",
        "a\u2028b",
        7,
    ],
)
def test_a_name_that_misleads_is_refused(name: str) -> None:
    with pytest.raises(ArtifactRefused, match="name"):
        Shelf().add(name, "x")


def test_a_name_may_be_of_any_script() -> None:
    assert [checked_name(name) for name in ("Übersicht 2026.csv", "図.svg", "e\u0301.txt")] == [
        "Übersicht 2026.csv",
        "図.svg",
        "é.txt",
    ]


@pytest.mark.parametrize("text", ["../../etc/passwd", ".bashrc", "a\nb\u202e", "x" * 500, " ", "…"])
def test_a_name_can_be_made_of_any_text(text: str) -> None:
    name = made_name(text, "chart.svg")
    assert checked_name(name) == name


@pytest.mark.parametrize("kind", ["text", "text/html; charset=utf-8", "a/b\nSet-Cookie: x", "text/hé", "/", "a b/c"])
def test_a_media_type_that_is_none_is_refused(kind: str) -> None:
    with pytest.raises(ArtifactRefused, match="media type"):
        Shelf().add("a", "x", kind)


def test_content_is_bytes_or_text() -> None:
    with pytest.raises(ArtifactRefused, match="bytes or text, not dict"):
        Shelf().add("a", {"no": 1})  # type: ignore[arg-type]


def test_one_file_has_a_limit(settings: Settings) -> None:
    settings.ARTIFACT_MAX_BYTES = 10
    shelf = Shelf()
    shelf.add("a", b"x" * 10)
    with pytest.raises(ArtifactRefused, match=r"'b': it has 11 bytes; one may have 10 \(KOLOSAL_ARTIFACT_MAX_BYTES\)"):
        shelf.add("b", b"x" * 11)
    assert len(shelf.made) == 1


def test_all_of_a_run_have_one_together(settings: Settings) -> None:
    settings.RUN_ARTIFACTS_MAX_BYTES = 10
    room = Room()
    Shelf(room).add("a", "x" * 6)
    with pytest.raises(ArtifactRefused, match="KOLOSAL_RUN_ARTIFACTS_MAX_BYTES"):
        Shelf(room).add("b", "x" * 5)
    Shelf(room).add("b", "x" * 4)


def test_their_number_has_one_too() -> None:
    shelf = Shelf(Room(files=2))
    for _ in range(2):
        shelf.add("a", "")
    with pytest.raises(ArtifactRefused, match=f"keeps {artifacts.MOST:,} already"):
        shelf.add("a", "")


@pytest.mark.parametrize(
    ("name", "content", "shown"),
    [
        ("a.svg", b"<svg/>", True),
        ("a.png", PIXEL, True),
        ("a.png", b"<html><script>alert(1)</script>", False),
        ("a.png", PNG + struct.pack(">II", 60_000, 60_000), False),
        ("a.png", PNG, False),
        ("a.html", b"<script>alert(1)</script>", False),
        ("a.jpg", b"\xff\xd8\xff", False),
        ("a.pdf", b"%PDF", False),
    ],
)
def test_only_svg_and_real_png_are_pictures(name: str, content: bytes, shown: bool) -> None:
    assert Shelf().add(name, content).is_picture is shown


def test_secrets_are_masked_where_the_content_is_text() -> None:
    mask: Callable[[str], str] = lambda text: text.replace("hunter2", "***")  # noqa: E731
    call = make_call(mask=mask)
    call.artifact("of hunter2.txt", "it is hunter2")
    call.artifact("raw.bin", b"\xff hunter2")
    assert [(a.name, a.content) for a in call.artifacts.made] == [
        ("of ***.txt", b"it is ***"),
        ("raw.bin", b"\xff hunter2"),
    ]


def test_they_cross_to_another_process_whole() -> None:
    sent: list[Artifact] = []
    parent = Shelf(Room(bytes=100), taken=["a"])
    child = Shelf.from_json(parent.to_json(), sent.append)
    child.add("a", b"\x00\xff", "x/y")
    with pytest.raises(ArtifactRefused):
        child.add("b", b"x" * 99)
    [made] = sent
    assert parent.pass_on(made.to_json(), str) == made
    assert made.name == "a-2"


def test_a_nested_call_puts_its_files_beside_those_of_its_caller() -> None:
    call = make_call()
    call.artifact("a", "1")
    call.nested("key").artifact("a", "2")
    assert [a.name for a in call.artifacts.made] == ["a", "a-2"]
