"""Hiding personal details and keys in a text, and finding the parts that a reader asks for."""

from __future__ import annotations

import ipaddress
import re
from asyncio import sleep
from collections.abc import Callable, Iterable

# Every repetition is bounded and no two of them can match the same characters, so that a search stays linear.
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}")
_PHONE = re.compile(
    r"(?<![\w.+-])(?:\+\d{1,3}[ .-]?)?(?:\(\d{1,5}\)[ .-]?)?\d{2,5}(?:[ .-]\d{2,5}){1,4}(?![\w-])"
    r"|(?<![\w.+-])\+\d{8,15}(?!\w)"
)
_CARD = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-])")
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f:]{2,39}(?:(?:\d{1,3}\.){3}\d{1,3})?(?![\w:])")
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY-----"
    r"(?:[A-Za-z0-9+/=\s:,.]|-(?!-)){0,20000}-----END [A-Z0-9 ]{0,30}PRIVATE KEY-----"
)
_TOKEN = re.compile(
    r"(?<![\w-])(?:(?:sk|pk|rk)[-_](?:[a-z]{2,10}[-_])?[A-Za-z0-9_-]{16,200}"
    r"|gh[pousr]_[A-Za-z0-9]{20,255}|github_pat_[A-Za-z0-9_]{20,255}|glpat-[A-Za-z0-9_-]{20,100}"
    r"|(?:AKIA|ASIA)[A-Z0-9]{16}\b|AIza[A-Za-z0-9_-]{35}|xox[abeprs]-[A-Za-z0-9-]{10,200}|hf_[A-Za-z0-9]{20,100}"
    r"|eyJ[A-Za-z0-9_-]{8,2000}\.[A-Za-z0-9_-]{8,4000}\.[A-Za-z0-9_-]{8,1000})"
)
_NAMED_SECRET = re.compile(
    r"(?i)(?<![\w-])(?P<name>[a-z_-]{0,60}"
    r"(?:password|passwd|secret|api[_-]?key|access[_-]?key|auth[_-]?token|access[_-]?token))"
    r"(?P<sign>[\"']?\s{0,3}[:=]\s{0,3})(?P<value>\"[^\"\n]{4,200}\"|'[^'\n]{4,200}'|[^\s\"',;]{4,200})"
)
_BEARER = re.compile(r"(?i)\b(?P<name>bearer|basic)(?P<sign>\s{1,3})(?P<value>[A-Za-z0-9+/_.=~-]{16,2000})")


def luhn_valid(digits: str) -> bool:
    """Whether a row of digits carries the check digit of ISO/IEC 7812 that payment cards have."""
    doubled = [int(d) * (2 if place % 2 else 1) for place, d in enumerate(reversed(digits))]
    return sum(n - 9 if n > 9 else n for n in doubled) % 10 == 0


def _is_card(match: re.Match[str]) -> bool:
    digits = re.sub(r"\D", "", match[0])
    return len(set(digits)) > 1 and luhn_valid(digits)


def _is_phone(match: re.Match[str]) -> bool:
    digits = sum(c.isdigit() for c in match[0])
    is_date = re.fullmatch(r"\d{4}[-.]\d{2}[-.]\d{2}|\d{2}[-.]\d{2}[-.]\d{4}", match[0])
    return 7 <= digits <= 15 and not is_date


def _is_address(match: re.Match[str]) -> bool:
    try:
        ipaddress.ip_address(match[0])
    except ValueError:
        return False
    return match[0] != "::"


def _always(match: re.Match[str]) -> bool:
    return True


# Keys first: they may contain what looks like an address or a phone number.
KINDS: dict[str, tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], bool]], ...]] = {
    "key": ((_PRIVATE_KEY, _always), (_TOKEN, _always), (_BEARER, _always), (_NAMED_SECRET, _always)),
    "email": ((_EMAIL, _always),),
    "card": ((_CARD, _is_card),),
    "ip": ((_IPV4, _is_address), (_IPV6, _is_address)),
    "phone": ((_PHONE, _is_phone),),
}


async def redact(text: str, kinds: Iterable[str] = KINDS) -> tuple[str, dict[str, int]]:
    """The text with `[EMAIL]`, `[CARD]` and so on in the place of what was found, and how many of each.

    Kinds: `key` (private keys, tokens, passwords given by name), `email`, `card` (with a valid check digit),
    `ip` (version 4 and 6), `phone`. Found by pattern: names and postal addresses stay.
    """
    wanted = set(kinds)
    counts = {}
    for kind in (k for k in KINDS if k in wanted):
        counts[kind] = 0
        for pattern, accepts in KINDS[kind]:
            text, found = _replaced(text, kind, pattern, accepts)
            counts[kind] += found
            await sleep(0)
    return text, counts


def _replaced(
    text: str, kind: str, pattern: re.Pattern[str], accepts: Callable[[re.Match[str]], bool]
) -> tuple[str, int]:
    found = 0

    def replacement(match: re.Match[str]) -> str:
        nonlocal found
        if not accepts(match) or match.groupdict().get("value", "").startswith("["):
            return match[0]
        found += 1
        named = match.groupdict()
        return f"{named['name']}{named['sign']}[{kind.upper()}]" if named else f"[{kind.upper()}]"

    return pattern.sub(replacement, text), found
