from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import AfterValidator, BaseModel, Field, ValidationError

from agents.functions import registry
from agents.wording import dotted, hint, mistakes, shown


def _even(number: int) -> int:
    if number % 2:
        raise ValueError("must be even")
    return number


class Inner(BaseModel):
    word: str


class Shape(BaseModel):
    number: int | float = 0
    names: str | list[str] | None = None
    nested: dict[str, str | list[str]] = {}
    ratio: float = Field(0, ge=0, le=1000)
    size: Literal["small", "large"] = "small"
    inner: Inner | None = None
    even: Annotated[int, AfterValidator(_even)] = 0
    short: str = Field("", min_length=0, max_length=3)
    few: list[int] = Field([], max_length=2)


def told(**values: Any) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as raised:
        Shape.model_validate(values)
    return [(dotted(path), message) for path, message in mistakes(raised.value, values)]


@pytest.mark.parametrize(
    ("values", "path", "message"),
    [
        ({"number": "x"}, "number", "must be a number, not 'x'"),
        ({"number": None}, "number", "must be a number, not null"),
        ({"names": {"str": 1}}, "names", 'must be text or a list, not {"str": 1}'),
        ({"names": ["a", None]}, "names[1]", "must be text, not null"),
        ({"nested": {"list[str]": [{}]}}, "nested.list[str][0]", "must be text, not {}"),
        ({"nested": {"str": {"str": 1}}}, "nested.str", 'must be text or a list, not {"str": 1}'),
        ({"ratio": 2000}, "ratio", "must be at most 1,000, not 2000"),
        ({"ratio": True, "size": "SMALL"}, "size", "must be 'small' or 'large', not 'SMALL'"),
        ({"inner": {}}, "inner.word", "is required"),
        ({"inner": 3}, "inner", "must be an object, not 3"),
        ({"even": 3}, "even", "must be even; it is 3"),
        ({"even": 2.5}, "even", "must be a whole number, not 2.5"),
        ({"short": "four"}, "short", "must have at most 3 characters; it has 4"),
        ({"few": [1, 2, 3]}, "few", "must have at most 2 items; it has 3"),
    ],
)
def test_one_mistake_is_told_once_with_its_place(values: dict[str, Any], path: str, message: str) -> None:
    assert told(**values) == [(path, message)]


def test_every_mistake_is_told() -> None:
    assert [path for path, _ in told(number="x", ratio=-1, inner={})] == ["number", "ratio", "inner.word"]


def test_long_values_are_cut() -> None:
    assert len(shown("x" * 1_000)) == 60
    assert shown([1] * 100).endswith("…")
    assert shown(object()).startswith("<object")


def test_a_name_that_is_near_is_suggested_else_all_are_listed() -> None:
    assert hint("analise", ["analyse", "redact"]) == "did you mean 'analyse'?"
    assert hint("zzz", ["analyse", "redact"], shown=["redact"]) == "known: redact"


@pytest.mark.parametrize(
    "function", [f for f in registry.all_functions() if f.run.__module__.startswith("agents.")], ids=lambda f: f.name
)
def test_every_parameter_of_every_function_is_described(function: Any) -> None:
    for name, field in function.parameters.model_json_schema()["properties"].items():
        assert len(field.get("description", "")) > 10, f"{function.name}.{name}"


@pytest.mark.parametrize("name", ["data_analysis", "data_transform", "text_processing"])
def test_the_parameter_operation_lists_all_operations(name: str) -> None:
    function = registry.get(name)
    described = function.parameters.model_json_schema()["properties"]["operation"]["description"]
    for operation in function.run.__globals__["OPERATIONS"]:
        assert operation in described
