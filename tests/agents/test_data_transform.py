from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.errors import InvalidParameters
from tests.agents.factories import call_function


def run(data: Any, operation: str = "identity", **parameters: Any) -> dict[str, Any]:
    return call_function("data_transform", {"data": data, "operation": operation, **parameters})


@pytest.mark.parametrize(
    ("operation", "data", "expected"),
    [
        ("identity", [1, "a", None], [1, "a", None]),
        ("uppercase", ["a", {"k": ["b"]}, 1], ["A", {"k": ["B"]}, 1]),
        ("lowercase", ["A"], ["a"]),
        ("trim", [" a ", 1], ["a", 1]),
        ("reverse", [1, 2, 3], [3, 2, 1]),
        ("sort", [3, None, "b", 1, "a"], [1, 3, "a", "b", None]),
        ("unique", [1, 1, 1.0, True, "1"], [1, 1.0, True, "1"]),
        ("flatten", [1, [2, [3, []]], 4], [1, 2, 3, 4]),
        ("filter_empty", [0, "", " ", None, [], {}, False, "a"], [0, False, "a"]),
        ("count", [1, 2], 2),
        ("sum", [1, 2, "3.5"], 6.5),
        ("average", [1, 2], 1.5),
        ("average", [], None),
        ("min", [3, 1.5], 1.5),
        ("max", [], None),
    ],
)
def test_each_operation(operation: str, data: list[Any], expected: Any) -> None:
    result = run(data, operation)
    assert repr(result["transformed_data"]) == repr(expected)
    assert result["original_count"] == len(data)
    assert result["operation_applied"] == operation


def test_processed_count_is_that_of_the_result() -> None:
    assert run([1, 1, 2], "unique")["processed_count"] == 2
    assert run([1, 1, 2], "sum")["processed_count"] == 1


def test_a_key_names_the_field_of_objects() -> None:
    rows = [{"n": 2, "x": "b"}, {"n": 1}, {"n": 3}, {}]
    assert run(rows, "sort", key="n", descending=True)["transformed_data"] == [rows[2], rows[0], rows[1], {}]
    assert run(rows[:3], "sum", key="n")["transformed_data"] == 6
    assert run(rows, "pluck", key="n")["transformed_data"] == [2, 1, 3, None]


def test_other_spellings_are_known() -> None:
    assert run(["a"], "Upper")["operation_applied"] == "uppercase"


@pytest.mark.parametrize("data", ["[1, 2]", (1, 2), [1, 2]])
def test_lists_come_as_lists_or_as_json_text(data: Any) -> None:
    assert run(data)["transformed_data"] == [1, 2]


def test_a_single_value_is_a_list_of_one() -> None:
    assert run("word", "uppercase")["transformed_data"] == ["WORD"]


def test_an_unknown_operation_names_the_nearest() -> None:
    with pytest.raises(InvalidParameters, match="did you mean 'uppercase'"):
        run(["a"], "upercase")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (["a"], "item 0 is the text 'a'"),
        ([1, True], "item 1 is true"),
        (["nan"], "no finite"),
        ([1e308] * 9, "too large"),
    ],
)
def test_what_can_not_be_summed_is_named(data: list[Any], told: str) -> None:
    with pytest.raises(InvalidParameters, match=told):
        run(data, "sum")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(data=st.lists(json_values, max_size=8))
def test_any_json_can_be_sorted_and_loses_nothing(data: list[Any]) -> None:
    assert sorted(map(repr, run(data, "sort")["transformed_data"])) == sorted(map(repr, run(data)["transformed_data"]))


@given(
    data=st.lists(json_values, max_size=8),
    operation=st.sampled_from(["sum", "average", "flatten", "unique", "trim", "max"]),
)
def test_bad_items_are_invalid_parameters_and_never_another_error(data: list[Any], operation: str) -> None:
    with suppress(InvalidParameters):
        assert run(data, operation)["original_count"] == len(data)
