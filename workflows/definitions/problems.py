"""One thing that is wrong with a definition or an input, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from workflows.nearest import did_you_mean, nearest

__all__ = ["Path", "Problem", "did_you_mean", "nearest", "written"]

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """`path` is as in `steps[2].parameters.prompt`; `line` and `column` count from 1, None where unknown."""

    path: str
    message: str
    code: str
    line: int | None = None
    column: int | None = None
    severity: Literal["error", "warning"] = "error"

    def to_json(self) -> dict[str, Any]:
        """`{path, line?, column?, message, code, severity}`."""
        place = {} if self.line is None else {"line": self.line, "column": self.column}
        return {
            "path": self.path,
            **place,
            "message": self.message,
            "code": self.code,
            "severity": self.severity,
        }


def written(path: Path) -> str:
    """The path as people write it: `("steps", 2, "parameters", "my key")` is `steps[2].parameters["my
    key"]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.replace("-", "_").isidentifier():
            text += f".{part}" if text else part
        else:
            text += f'["{part}"]'
    return text
