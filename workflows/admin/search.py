"""Searching runs by the beginning of their id."""

import re
import uuid

HEXADECIMAL = re.compile(r"[0-9a-f]{6,32}")


def ids_beginning_with(text: str) -> tuple[uuid.UUID, uuid.UUID] | None:
    """The first and last UUID that begin with ``text`` (6 hex digits or more, hyphens ignored), or None.

    A range, not a pattern: it uses the primary key's index on both stores.
    """
    digits = text.strip().lower().replace("-", "")
    if not HEXADECIMAL.fullmatch(digits):
        return None
    return uuid.UUID(digits.ljust(32, "0")), uuid.UUID(digits.ljust(32, "f"))
