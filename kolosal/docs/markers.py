"""Renewing what stands between ``<!-- generated: NAME -->`` and ``<!-- end generated -->`` in a text."""

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches

BEGIN = re.compile(r"<!-- generated: (?P<name>\S+) -->")
END = "<!-- end generated -->"

Makers = Mapping[str, Callable[[], str]]
"""Name of a generated part → what makes its text."""


class MarkerError(ValueError):
    """A marker without its partner, or one that names no generated part; the message has the line."""


def renewed(text: str, makers: Makers) -> str:
    """The text with every generated part made anew. Raises `MarkerError`."""
    lines: list[str] = []
    name, begun = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        if match := BEGIN.fullmatch(line):
            _refuse(bool(name), number, f"the part begun in line {begun} has no {END}")
            name, begun = match["name"], number
            lines += [line, "", _made(name, number, makers), ""]
        elif line == END:
            _refuse(not name, number, f"{END} ends nothing")
            name = ""
            lines.append(line)
        elif not name:
            lines.append(line)
    _refuse(bool(name), begun, f"the part {name!r} has no {END}")
    return "\n".join(lines) + "\n"


def _made(name: str, number: int, makers: Makers) -> str:
    if name not in makers:
        nearest = get_close_matches(name, makers, n=1)
        hint = f"did you mean {nearest[0]!r}?" if nearest else f"there are {', '.join(sorted(makers))}"
        raise MarkerError(f"line {number}: no generated part is called {name!r}; {hint}")
    return makers[name]().strip("\n")


def _refuse(wrong: bool, number: int, message: str) -> None:
    if wrong:
        raise MarkerError(f"line {number}: {message}")
