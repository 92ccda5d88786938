"""Chains of 3 tasks, one at a time and many at once: how long they take, whatever runs them."""

import statistics
import time
from collections.abc import Callable
from typing import Any

AT_ONCE = 500


def measured(start: Callable[[], Any], wait_for: Callable[[Any], object], times: int) -> dict[str, float]:
    """``start`` begins a chain, and ``wait_for`` blocks until what that gave has ended."""
    wait_for(start())
    taken = []
    for _ in range(times * 10):
        began = time.perf_counter()
        wait_for(start())
        taken.append((time.perf_counter() - began) * 1000)
        time.sleep(0.05)
    taken.sort()
    began = time.perf_counter()
    for chain in [start() for _ in range(AT_ONCE)]:
        wait_for(chain)
    rate = AT_ONCE / (time.perf_counter() - began)
    p95 = taken[len(taken) * 95 // 100]
    return {"Redis run_p50_ms": statistics.median(taken), "Redis run_p95_ms": p95, "Redis runs_per_s": rate}
