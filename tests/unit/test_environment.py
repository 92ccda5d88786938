"""Environment variables as a person may have set them."""

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from kolosal.environment import Environment, given


def reader(**variables: str) -> Any:
    class Given(Environment):
        ENVIRON = given(variables)

    return Given()


def test_an_empty_variable_is_not_set() -> None:
    assert reader(PORT="").at_least(0, "PORT", 8080) == 8080
    assert reader(URL="").database("URL", "sqlite:///a.sqlite3")["NAME"] == "a.sqlite3"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("abc", "PORT is 'abc'; use a whole number, such as 8080."),
        ("1.5", "PORT is '1.5'; use a whole number, such as 8080."),
        ("-1", "PORT is -1; use 0 or more."),
    ],
)
def test_a_wrong_number_is_named(value: str, told: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=told):
        reader(PORT=value).at_least(0, "PORT", 8080)


@pytest.mark.filterwarnings("ignore:Engine not recognized")
@pytest.mark.parametrize("url", ["nothing", "mysql://a@b/c", "sqlite3", "://"])
def test_a_store_is_sqlite_or_postgresql(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="URL names no store; use sqlite:///path or postgres://"):
        reader(URL=url).database("URL", "")
