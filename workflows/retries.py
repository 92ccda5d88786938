"""Whether a failed attempt is followed by another one, and after how long."""

from __future__ import annotations

import random as _random
from typing import Protocol

from workflows.definitions.models import YEAR, RetryPolicy


class Uniform(Protocol):
    """What is needed of `random`: a number between two."""

    def uniform(self, a: float, b: float) -> float: ...


def delay(policy: RetryPolicy, failed_attempts: int, retry_after: float | None = None, rng: Uniform = _random) -> float:
    """Seconds to wait after `failed_attempts` (at least 1) failures.

    The bound grows by the multiplier up to `max_delay_seconds`; full jitter takes a random part of it, as
    measured in
    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/. A server's `retry_after` is
    never undercut.
    """
    bound = _bound(policy, failed_attempts)
    wait = rng.uniform(0, bound) if policy.jitter == "full" else bound
    return wait if retry_after is None else max(wait, min(retry_after, YEAR))


def _bound(policy: RetryPolicy, failed_attempts: int) -> float:
    try:
        grown = float(policy.initial_delay_seconds) * float(policy.multiplier) ** max(failed_attempts - 1, 0)
    except OverflowError:
        return float(policy.max_delay_seconds) if policy.initial_delay_seconds else 0.0
    return min(grown, float(policy.max_delay_seconds))


def may_retry(policy: RetryPolicy, error_code: str, heals: bool, failed_attempts: int, max_retries: int) -> bool:
    """Whether another attempt may be made: it is left, the error can heal, and the policy is for that
    error type."""
    if failed_attempts > max_retries or not heals or error_code in policy.never_on:
        return False
    return not policy.retry_on or error_code in policy.retry_on
