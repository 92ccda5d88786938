"""The limit that figures are compared with: a fixed piece of work in Python and, of what writes, three INSERTs."""

import hashlib
import json
import statistics
import time
from collections.abc import Callable

from django.db import connection

Beside = list[tuple[float, float]]  # what was measured, and what the limit took around it, in milliseconds


def insert_ms() -> float:
    """Milliseconds of one INSERT of half a kilobyte, with its commit, in this process."""
    with connection.cursor() as cursor:
        if "bench_limit" not in connection.introspection.table_names(cursor):
            cursor.execute("CREATE TABLE bench_limit (text VARCHAR(1000))")
        started = time.perf_counter()
        cursor.execute("INSERT INTO bench_limit VALUES (%s)", ["x" * 500])
        return (time.perf_counter() - started) * 1000


def work_ms() -> float:
    """Milliseconds of encoding and hashing a hundred small objects."""
    started = time.perf_counter()
    for number in range(100):
        text = json.dumps({"number": number, "words": ["one", "two", "three"], "more": {"a": None, "b": 1.5}})
        hashlib.sha256(text.encode()).hexdigest()
        json.loads(text)
    return (time.perf_counter() - started) * 1000


def limit_ms(rest: float = 0.0) -> float:
    """Both, one after the other, as they are just now: a machine may be twice as fast a minute later.

    Three INSERTs, so that the store's own processes weigh about as much as Python. ``rest``: seconds before each, for
    what is measured after such a rest: then nothing is in the processor's caches.
    """

    def taken() -> float:
        time.sleep(rest)
        return work_ms() + insert_ms() + insert_ms() + insert_ms()

    return statistics.median(taken() for _ in range(60))


def reading_limit_ms() -> float:
    """The same of what only reads: the work alone."""
    return statistics.median(work_ms() for _ in range(100))


def beside_limit(take: Callable[[], float], times: int, limit: Callable[[], float] = limit_ms) -> Beside:
    """What ``take`` gives, so many times, each with the limit before and after it."""
    found, before = [], limit()
    for _ in range(times):
        value, after = take(), limit()
        found.append((value, (before + after) / 2))
        before = after
    return found


def durations(name: str, found: Beside) -> dict[str, float]:
    """The median of durations (milliseconds), and of how many times the limit they took."""
    return {
        name: statistics.median(value for value, _ in found),
        f"{name}_by_limit": statistics.median(value / limit for value, limit in found),
    }


def rates(name: str, found: Beside) -> dict[str, float]:
    """The median of rates (a second), and of how many times the limit each one took."""
    return {
        name: statistics.median(value for value, _ in found),
        f"{name}_by_limit": statistics.median(1000 / value / limit for value, limit in found),
    }
