from __future__ import annotations

import pickle

import pytest

from agents.errors import (
    AgentError,
    FunctionFailed,
    InvalidParameters,
    RateLimited,
    ServerUnreachable,
    error_from_json,
)


def test_every_error_has_its_class_name_as_code() -> None:
    assert {cls.code for cls in AgentError.__subclasses__()} >= {"RateLimited", "StreamCut", "AddressRefused"}
    assert all(cls.code == cls.__name__ for cls in AgentError.__subclasses__())


def test_only_what_may_pass_heals() -> None:
    healing = {"FunctionFailed", "MalformedAnswer", "RateLimited", "ServerError", "ServerTimeout"}
    healing |= {"ServerUnreachable", "StreamCut"}
    ours = [cls for cls in AgentError.__subclasses__() if cls.__module__ == "agents.errors"]
    assert {cls.code for cls in ours if cls.heals} == healing


@pytest.mark.parametrize(
    "error",
    [
        RateLimited("slow down", retry_after=2.5),
        InvalidParameters("no", [{"path": "a", "message": "b"}]),
        FunctionFailed("boom", trace="line 1", cause_type="ValueError"),
        ServerUnreachable("gone"),
    ],
)
def test_an_error_survives_json_and_pickle(error: AgentError) -> None:
    for copy in (error_from_json(error.to_json()), pickle.loads(pickle.dumps(error))):
        assert type(copy) is type(error)
        assert str(copy) == str(error)
        assert copy.__dict__ == error.__dict__


def test_an_unknown_code_becomes_a_function_failure() -> None:
    error = error_from_json({"code": "FromAnotherVersion", "message": "what"})
    assert isinstance(error, FunctionFailed)
    assert (str(error), error.trace, error.retry_after) == ("what", "", None)


def test_errors_of_deeper_subclasses_are_found_by_code() -> None:
    class Deeper(RateLimited):
        pass

    assert type(error_from_json({"code": "Deeper", "message": "x"})) is Deeper


def test_a_wrapped_exception_keeps_its_trace() -> None:
    try:
        raise KeyError("missing")
    except KeyError as cause:
        error = FunctionFailed.wrap(cause)
    assert error.cause_type == "KeyError"
    assert "test_errors.py" in error.trace
