import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflows.definitions import read_file, read_json, read_object, read_yaml
from workflows.definitions.reading import MAX_BYTES
from workflows.errors import DefinitionError


def faults(read, content):
    """(code, line, column) of each problem."""
    try:
        problems = read(content).problems
    except DefinitionError as error:
        problems = error.problems
    return [(p.code, p.line, p.column) for p in problems]


@pytest.mark.parametrize(
    ("scalar", "expected"),
    [
        ("yes", "yes"), ("no", "no"), ("on", "on"), ("off", "off"), ("y", "y"),
        ("2024-01-01", "2024-01-01"), ("1:30", "1:30"), ("1_000", "1_000"), ("=", "="),
        ("true", True), ("True", True), ("FALSE", False), ("tRue", "tRue"),
        ("~", None), ("null", None), ("Null", None), ("", None),
        ("12", 12), ("-3", -3), ("+4", 4), ("012", 12), ("0o17", 15), ("0x1F", 31), ("0b1", "0b1"),
        (".5", 0.5), ("1.", 1.0), ("1e3", 1000.0), ("1.5e-2", 0.015), ("1e", "1e"),
        ('"12"', "12"), ("'yes'", "yes"), ("!!str 12", "12"), ('!!int "12"', 12), ("!!float 3", 3.0),
        ("|\n  a\n  b\n", "a\nb\n"),
    ],
)  # fmt: skip
def test_yaml_scalars_follow_the_core_schema_of_yaml_1_2(scalar, expected):
    source = read_yaml(f"a: {scalar}")
    assert source.value == {"a": expected}
    assert type(source.value["a"]) is type(expected)
    assert source.problems == []


def test_yaml_keys_are_text_as_written():
    assert read_yaml("1: a\nyes: b\nnull: c\n1.0: d").value == {"1": "a", "yes": "b", "null": "c", "1.0": "d"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2", [("duplicate_key", 4, 3)]),
        ("a: .nan\nb: [.inf]", [("not_finite", 1, 4), ("not_finite", 2, 5)]),
        ("a: 99999999999999999999", [("number_too_large", 1, 4)]),
        ("a: " + "9" * 5000, [("number_too_large", 1, 4)]),
        ('a: "\\0"', [("nul_character", 1, 4)]),
        ("a:\n  b: \x07", [("yaml_character", 2, 6)]),
        ("é: \x00", [("yaml_character", 1, 4)]),
        ("a: !!python/object/apply:os.system [id]", [("yaml_tag", 1, 4)]),
        ("a: !ruby/object {}", [("yaml_tag", 1, 4)]),
        ("a: *b", [("yaml_alias", 1, 4)]),
        ("a: &x [*x]", [("yaml_alias", 1, 8)]),
        ("<<: {a: 1}", [("yaml_merge", 1, 1)]),
        ("? [a]\n: b", [("yaml_key", 1, 3)]),
        ("--- 1\n--- 2", [("many_documents", 2, 1)]),
        ("", [("empty", 1, 1)]),
        ("# nothing", [("empty", 1, 1)]),
        ("a: b: c", [("yaml_syntax", 1, 5)]),
        ("a:\n\t- b", [("yaml_syntax", 2, 1)]),
        ("- " * 10_000, [("too_deep", 1, 201)]),
        ("[" * 10_000, [("too_deep", 1, 101)]),
    ],
)
def test_bad_yaml_is_refused_with_its_place(text, expected):
    assert faults(read_yaml, text) == expected


def test_both_places_of_a_doubled_key_are_told():
    (problem,) = read_yaml("a: 1\nb: 2\na: 3").problems
    assert "line 1, column 1" in problem.message
    assert (problem.path, problem.line) == ("a", 3)


def test_aliases_are_bounded():
    assert read_yaml("a: &x [1]\nb: [*x, *x]").value == {"a": [1], "b": [[1], [1]]}
    assert faults(read_yaml, "a: &x 1\nb: [" + "*x, " * 101 + "]")[0][0] == "yaml_aliases"
    laughs = "a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 8)
    )
    assert faults(read_yaml, laughs)[0][0] == "yaml_aliases"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1,\n "b": {"c": 1, "c": [2]}}', [("duplicate_key", 2, 16)]),
        ('{"a": "NaN",\n "b": NaN}', [("not_finite", 2, 7)]),
        ('{"a": [-Infinity]}', [("not_finite", 1, 8)]),
        ('{"a": 1e400}', [("not_finite", 1, 7)]),
        ('{"a": 9223372036854775808}', [("number_too_large", 1, 7)]),
        ('{"a": ' + "1" * 5000 + "}", [("number_too_large", 1, 7)]),
        ('{"a": {"b": ["\\u0000"]}}', [("nul_character", 1, 14)]),
        ('{"a": "\\ud800"}', [("lone_surrogate", 1, 7)]),
        ('{"a\\u0000": 1}', [("nul_character", 1, 1)]),
        ("[" * 10_000, [("too_deep", 1, 1)]),
        ("[" * 102 + "]" * 102, [("too_deep", 1, 1)]),
        ('{"a":' * 900 + "1" + "}" * 900, [("too_deep", 1, 1)]),
        ("{'a': 1}", [("json_syntax", 1, 2)]),
        ('{"a": 1,}', [("json_syntax", 1, 9)]),
        ('{"a": "b', [("json_syntax", 1, 7)]),
        ("", [("json_syntax", 1, 1)]),
        (b'{"a": "\xff"}', [("not_utf8", 1, 8)]),
        (b" " * (MAX_BYTES + 1), [("too_large", None, None)]),
        ("[" + "0," * 100_001 + "0]", [("too_many_values", 1, 1)]),
    ],
)
def test_bad_json_is_refused_with_its_place(text, expected):
    assert faults(read_json, text) == expected


def test_json_may_begin_with_a_byte_order_mark():
    assert read_json(b'\xef\xbb\xbf{"a": -9223372036854775808}').value == {"a": -(2**63)}


def test_places_of_keys_and_values():
    text = '{"steps": [\n  {"a": 1},\n  {"b": "x:{",  "c": [true, {"d": null}]}\n]}'
    source = read_json(text)
    assert source.positions[("steps", 1, "b")] == ((3, 4), (3, 9))
    assert source.place(("steps", 1, "c", 1, "d")) == (3, 35)
    assert source.place(("steps", 1, "nope", "x")) == (3, 3)
    assert read_yaml("s:\n  - a: 1\n    b:   x").positions[("s", 0, "b")] == ((3, 5), (3, 10))


def test_what_is_no_plain_json_in_an_object_is_found():
    value = {"a": (1, 2), 3: 4, "c": {"d": float("nan")}, "e": 2**64, "f": {1}, "g": "ok"}
    assert sorted(p.path for p in read_object(value).problems) == ["", "a", "c.d", "e", "f"]
    looped: dict = {}
    looped["x"] = looped
    assert faults(read_object, looped) == [("too_deep", None, None)]


def test_files_are_read_by_their_ending(tmp_path):
    (tmp_path / "w.json").write_text('{"a": 1}')
    (tmp_path / "w.yml").write_text("a: 1")
    assert read_file(tmp_path / "w.json").value == read_file(tmp_path / "w.yml").value == {"a": 1}


MARKS = [
    "a",
    ":",
    " ",
    "\n",
    "- ",
    "&x",
    "*x",
    "!",
    "!!",
    '"',
    "'",
    "|",
    ">",
    "{",
    "}",
    "[",
    "]",
    ",",
    "#",
    "---",
]
MARKS += ["%", "\t", "?", "<<", "é", "\x85", "1", ".inf", "\\u0000"]
YAMLISH = st.lists(st.sampled_from(MARKS), max_size=25).map("".join)


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=60) | YAMLISH.map(lambda text: text.encode()))
def test_reading_any_bytes_raises_nothing_but_a_definition_error(content):
    for read in (read_yaml, read_json):
        try:
            source = read(content)
        except DefinitionError:
            continue
        if not source.problems:
            assert json.loads(json.dumps(source.value)) == source.value
        assert source.positions


TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=8)
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(TEXT, below, max_size=3),
    max_leaves=8,
)


@settings(max_examples=50, deadline=None)
@given(JSON)
def test_json_is_read_as_python_reads_it_and_every_part_has_a_place(value):
    text = json.dumps(value, indent=1)
    source = read_json(text)
    assert source.value == value
    assert source.problems == []

    def paths(part, path=()):
        yield path
        below = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
        for key, item in below:
            yield from paths(item, (*path, key))

    assert set(source.positions) == set(paths(value))
