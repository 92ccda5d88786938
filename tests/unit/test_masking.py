import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflows.masking import EnvironmentSecrets, Mask, is_secret_key, redacted

SECRET = 'p/a+s s"wörd?\\1'


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        quote(SECRET, safe="").lower(),
        quote_plus(SECRET),
        json.dumps(SECRET),
        json.dumps({"a": [SECRET]}, ensure_ascii=False),
    ],
)
def test_a_secret_is_masked_in_every_form(form):
    masked = Mask([SECRET]).text(f"before {form} after")
    assert "***" in masked
    assert masked.startswith("before ")
    assert masked.endswith(" after")
    assert "wörd" not in masked
    assert "p%2" not in masked.lower()


@settings(max_examples=30)
@given(st.binary(max_size=5), st.binary(max_size=5))
def test_a_secret_is_masked_wherever_it_begins_in_base64(before, after):
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        text = encode(before + SECRET.encode() + after).decode()
        masked = Mask([SECRET]).text(text)
        assert "***" in masked
        assert len(masked) <= len(text) - len(SECRET) + 3


def test_values_are_masked_deeply_keys_included():
    value = {"a": [f"x{SECRET}", 5, None], SECRET: True}
    assert Mask([SECRET]).value(value) == {"a": ["x***", 5, None], "***": True}


def test_without_secrets_nothing_is_copied():
    value = {"a": ["x"]}
    assert Mask().value(value) is value


def test_too_short_secrets_mask_nothing():
    assert Mask(["", "a"]).text("banana") == "banana"


def test_the_longer_of_two_secrets_is_masked_whole():
    assert Mask(["sesame", "sesame-street"]).text("sesame-street") == "***"


SECRET_KEYS = ["password", "X-Api-Key", "api_key", "apiKey", "APIKEY", "Authorization", "accessToken"]
SECRET_KEYS += ["client_secret", "Cookie", "set-cookie", "DB_PASSWORD"]


@pytest.mark.parametrize("key", SECRET_KEYS)
def test_keys_of_secrets_are_known(key):
    assert is_secret_key(key)


@pytest.mark.parametrize("key", ["max_tokens", "tokenizer", "prompt", "keyword", "apiece", "secretary", "text"])
def test_other_keys_are_not(key):
    assert not is_secret_key(key)


def test_texts_under_such_keys_are_left_out_of_what_is_stored():
    parameters = {
        "headers": {"Authorization": "Bearer x", "Accept": "a"},
        "token": 5,
        "cookie": ["a"],
        "password": "",
    }
    assert redacted(parameters) == {
        "headers": {"Authorization": "***", "Accept": "a"}, "token": 5, "cookie": "***", "password": "",
    }  # fmt: skip


def test_secrets_come_from_the_environment_and_their_use_is_recorded():
    secrets = EnvironmentSecrets({"KOLOSAL_SECRET_KEY": "sesame", "KOLOSAL_SECRET_B": "x", "HOME": "/root"})
    assert set(secrets) == {"KEY", "B"}
    assert "KEY" in secrets
    assert "HOME" not in secrets
    assert secrets.used == {}
    assert secrets["KEY"] == "sesame"
    assert secrets.used == {"KEY": "sesame"}
    with pytest.raises(KeyError):
        secrets["HOME"]


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_a_secret_split_over_streamed_pieces_is_masked(size: int) -> None:
    text = "before tr0ub4dor-and-3 after, and tr0ub4dor-and-3"
    given: list[str] = []
    stream = Mask(["tr0ub4dor-and-3"]).stream(given.append)
    for at in range(0, len(text), size):
        stream.write(text[at : at + size])
    stream.flush()
    assert "".join(given) == "before *** after, and ***"


def test_without_secrets_streamed_pieces_pass_at_once() -> None:
    given: list[str] = []
    Mask().stream(given.append).write("one")
    assert given == ["one"]
