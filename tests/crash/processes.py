"""Finding and striking processes: by what they descend from, and by what they do."""

import contextlib
import os
import signal
from pathlib import Path

from tests.workers.conftest import alive, descendants

__all__ = ["alive", "children", "descendants", "kill_all", "named", "parent"]


def named(family: set[int], name: str) -> set[int]:
    """Those whose name in the kernel it is."""
    return {pid for pid in family if _read(pid, "comm").strip() == name}


def parent(pid: int) -> int:
    fields = _read(pid, "stat").rpartition(")")[2].split()
    return int(fields[1]) if fields else 0


def children(pid: int) -> set[int]:
    return {child for child in descendants(pid) if parent(child) == pid}


def group(pid: int) -> int:
    """The leader of a process's group; 0 for a process that is gone."""
    fields = _read(pid, "stat").rpartition(")")[2].split()
    return int(fields[2]) if fields else 0


def strike(pid: int, number: signal.Signals = signal.SIGKILL) -> bool:
    """Send a signal; whether the process was there."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False


def kill_all(family: set[int]) -> None:
    """Stop them first, so that none can start another before it is killed."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in family:
            strike(pid, number)


def _read(pid: int, file: str) -> str:
    try:
        return Path(f"/proc/{pid}/{file}").read_text()
    except OSError:
        return ""
