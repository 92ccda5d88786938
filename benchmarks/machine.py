"""What processes take of a machine, as Linux tells it."""

import os
import time
from collections.abc import Iterable
from pathlib import Path


def family(root: int) -> list[int]:
    """Process ids of ``root`` and of all below it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            children.setdefault(int(_stat(int(entry.name))[1]), []).append(int(entry.name))
    found, new = [], [root]
    while new:
        found += new
        new = [child for pid in new for child in children.get(pid, [])]
    return found


def pss_mib(pids: Iterable[int]) -> float:
    """Memory, pages that are shared counted by their share; MiB."""
    return sum(map(_pss_kib, pids)) / 1024


def cpu_percent(pids: Iterable[int], seconds: float) -> float:
    """Processor time over the next seconds, in percent of one core."""
    pids = list(pids)
    before = cpu_seconds(pids)
    time.sleep(seconds)
    return (cpu_seconds(pids) - before) / seconds * 100


def cpu_seconds(pids: Iterable[int]) -> float:
    """Processor time that the processes have taken so far."""
    fields = [_stat(pid) for pid in pids]
    return sum(int(field[11]) + int(field[12]) for field in fields) / os.sysconf("SC_CLK_TCK")


def command(pid: int) -> str:
    """How the process was called."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ["Z", *["0"] * 20]


def _pss_kib(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
