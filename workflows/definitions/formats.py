"""The `format`s of JSON Schema that are checked. All others are notes, as the 2020-12 draft has them."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from ipaddress import IPv4Address, IPv6Address

DATE = r"\d{4}-\d{2}-\d{2}"
MOMENT = re.compile(DATE + r"[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,6})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)
UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)


def _date(text: str) -> None:
    _like(re.compile(DATE, re.ASCII))(text)
    date.fromisoformat(text)


def _moment(text: str) -> None:
    _like(MOMENT)(text)
    datetime.fromisoformat(text.upper())


def _like(pattern: re.Pattern[str]) -> Callable[[str], object]:
    def check(text: str) -> None:
        if not pattern.fullmatch(text):
            raise ValueError

    return check


CHECKED: dict[str, tuple[Callable[[str], object], str]] = {
    "date": (_date, "2026-01-31"),
    "date-time": (_moment, "2026-01-31T09:30:00Z"),
    "email": (_like(re.compile(r"[^@\s]+@[^@\s]+")), "ada@example.com"),
    "ipv4": (IPv4Address, "192.0.2.1"),
    "ipv6": (IPv6Address, "2001:db8::1"),
    "uri": (_like(re.compile(r"[a-z][a-z0-9+.-]*:\S+", re.IGNORECASE | re.ASCII)), "https://example.com/"),
    "uuid": (_like(UUID), "123e4567-e89b-12d3-a456-426614174000"),
}
"""Name → a check that raises ValueError, and an example."""


def format_fault(text: str, wanted: str) -> str | None:
    """What is wrong with the text, and how it would be right; None where nothing is."""
    if wanted not in CHECKED:
        return None
    check, example = CHECKED[wanted]
    try:
        check(text)
    except ValueError:
        return f"{text!r} is no {wanted}, such as {example}"
    return None
