from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.plain import plain_object


def test_tuples_become_lists_and_unstorable_characters_are_replaced() -> None:
    assert plain_object({"a": (1, 2), "b": "x\x00y", "c": "\ud800z"}) == {"a": [1, 2], "b": "x�y", "c": "�z"}


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ([1], "not a list"),
        ({"a": float("nan")}, "result.a is nan"),
        ({"a": [{"b": float("inf")}]}, "result.a[0].b is inf"),
        ({"a": object()}, "result.a is an object"),
        ({"a": {1: 2}}, "result.a has the key 1"),
        ({"a": b"raw"}, "result.a is a bytes"),
    ],
)
def test_what_is_no_json_is_named_with_its_place(value: Any, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        plain_object(value)


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: dict[str, Any] = {}
    loop["self"] = loop
    with pytest.raises(ValueError, match="deeper than"):
        plain_object(loop)


@settings(max_examples=50)
@given(st.dictionaries(st.text(), st.lists(st.integers() | st.text() | st.tuples(st.text())), max_size=5))
def test_a_plain_object_is_always_utf8_json(value: dict[str, Any]) -> None:
    json.dumps(plain_object(value), ensure_ascii=False, allow_nan=False).encode()
