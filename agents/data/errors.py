"""What is wrong with the data or with what was asked of it."""

from __future__ import annotations

from agents.errors import InvalidParameters


def invalid(path: str, message: str) -> InvalidParameters:
    """The error for the parameter at `path`."""
    return InvalidParameters.at("data_analysis", path, message)
