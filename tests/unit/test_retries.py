import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflows.definitions import RetryPolicy
from workflows.retries import delay, may_retry

STEADY = RetryPolicy(initial_delay_seconds=1, multiplier=2, max_delay_seconds=60, jitter="none")


def test_waits_double_up_to_the_bound():
    assert [delay(STEADY, n) for n in range(1, 9)] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_full_jitter_takes_any_part_of_the_wait():
    policy = RetryPolicy(initial_delay_seconds=8, multiplier=1)
    waits = [delay(policy, 1, rng=random.Random(seed)) for seed in range(200)]
    assert min(waits) < 1
    assert 7 < max(waits) <= 8


def test_a_server_s_retry_after_is_never_undercut():
    assert delay(STEADY, 1, retry_after=90) == 90
    assert delay(STEADY, 7, retry_after=5) == 60


@given(
    st.floats(0, 31_536_000), st.floats(1, 100), st.floats(0, 31_536_000), st.sampled_from(["full", "none"]),
    st.integers(1, 10_000),
)  # fmt: skip
def test_backoff_is_bounded(initial, multiplier, most, jitter, failures):
    policy = RetryPolicy(initial_delay_seconds=initial, multiplier=multiplier, max_delay_seconds=most, jitter=jitter)
    assert 0 <= delay(policy, failures) <= most


@pytest.mark.parametrize(
    ("fields", "code", "heals", "failed", "expected"),
    [
        ({}, "FunctionFailed", True, 1, True),
        ({}, "FunctionFailed", True, 3, True),
        ({}, "FunctionFailed", True, 4, False),
        ({}, "AgentNotFound", False, 1, False),
        ({"retry_on": ["StepTimeout"]}, "StepTimeout", True, 1, True),
        ({"retry_on": ["StepTimeout"]}, "FunctionFailed", True, 1, False),
        ({"retry_on": ["AgentNotFound"]}, "AgentNotFound", False, 1, False),
        ({"never_on": ["StepTimeout"]}, "StepTimeout", True, 1, False),
        ({"retry_on": ["StepTimeout"], "never_on": ["StepTimeout"]}, "StepTimeout", True, 1, False),
    ],
)
def test_which_failures_are_retried(fields, code, heals, failed, expected):
    assert may_retry(RetryPolicy(**fields), code, heals, failed, max_retries=3) is expected
