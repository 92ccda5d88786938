from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agents.data import builtin, sources, svg, table
from agents.errors import InvalidParameters
from agents.functions import registry
from tests.agents.factories import make_call

ROWS = [
    {"day": "2024-01-01", "city": "Oslo", "n": 1, "x": 2.0},
    {"day": "2024-01-02", "city": "Rome", "n": 2, "x": 4.0},
    {"day": "2024-01-03", "city": "Oslo", "n": 3, "x": 6.0},
    {"day": "2024-01-04", "city": "Oslo", "n": 4, "x": None},
]


def run(parameters: Mapping[str, Any], context: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return registry.run(registry.get("data_analysis"), make_call(context=context), parameters)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data" / "files"
    folder.mkdir(parents=True)
    monkeypatch.setattr(sources, "folder", lambda: folder)
    return folder


# --- Operations --------------------------------------------------------------------------------------


def test_basic_measures_the_size_of_a_text() -> None:
    result = run({"data": "one two\nthree é"})
    assert (result["data_size_bytes"], result["line_count"], result["word_count"]) == (16, 2, 4)
    assert result["analysis_type"] == "basic"


def test_statistics_agree_with_the_standard_library() -> None:
    values = [3.5, -1, 8, 2, 2, 100]
    result = run({"data": values, "analysis_type": "statistical"})
    assert result["mean"] == pytest.approx(statistics.mean(values))
    assert result["median"] == statistics.median(values)
    assert result["std_dev"] == pytest.approx(statistics.stdev(values))
    assert (result["min"], result["max"], result["count"]) == (-1, 100, 6)


def test_each_column_gets_the_statistics_of_its_kind() -> None:
    measured = run({"operation": "statistical_summary", "data": ROWS})["statistics"]
    assert measured["day"]["min"] == "2024-01-01"
    assert measured["city"]["top"][0] == {"value": "Oslo", "count": 3}
    assert (measured["x"]["count"], measured["x"]["missing"], measured["x"]["mean"]) == (3, 1, 4)


@pytest.mark.parametrize("name", ["statistical", "statistical_analysis", "Statistical Summary"])
def test_the_summary_has_the_names_of_the_original(name: str) -> None:
    assert run({"operation": name, "data": [1, 2]})["operation_applied"] == "statistical_summary"


def test_validation_finds_what_is_wrong() -> None:
    rows = [{"a": 1, "b": " x", "c": "7"}, {"a": 1, "b": " x", "c": "7"}, {"a": None, "b": "", "c": "?"}]
    result = run({"operation": "data_validation", "data": rows, "required": "a,z"})
    found = {(problem["problem"], problem["column"]) for problem in result["problems"]}
    assert found == {
        ("missing_column", "z"),
        ("missing_values", "a"),
        ("constant", "a"),
        ("duplicate_rows", None),
        ("empty_text", "b"),
        ("untrimmed_text", "b"),
        ("mixed_types", "c"),
    }
    assert result["valid"] is False
    assert result["problems"][0]["severity"] == "error"


def test_clean_data_is_valid() -> None:
    result = run({"operation": "data_validation", "data": [{"a": 1}, {"a": 2}]})
    assert (result["valid"], result["problems"], result["quality_score"]) == (True, [], 1.0)


def test_preparation_cleans_and_hands_the_rows_on() -> None:
    rows = [{"a": " x ", "n": "1"}, {"a": "x", "n": "1"}, {"a": "  ", "n": "2.5"}, {"a": None, "n": None}]
    result = run({"operation": "data_preparation", "data": rows})
    assert result["rows"] == [{"a": "x", "n": 1.0}, {"a": None, "n": 2.5}]
    assert (result["original_row_count"], result["row_count"]) == (4, 2)
    assert result["changes"]["drop_duplicates"] == 1


def test_preparation_can_fill_what_is_missing() -> None:
    result = run({"operation": "data_preparation", "data": ROWS, "preparation": "fill_mean"})
    assert [row["x"] for row in result["rows"]] == [2, 4, 6, 4]


def test_correlation_is_pearson_or_spearman() -> None:
    rows = [{"a": n, "b": n**3, "c": 5} for n in range(1, 9)]
    pearson = run({"operation": "correlation", "data": rows})
    expected = statistics.correlation([r["a"] for r in rows], [r["b"] for r in rows])
    assert pearson["matrix"]["a"]["b"] == pytest.approx(expected)
    assert pearson["matrix"]["a"]["c"] is None
    spearman = run({"operation": "correlation", "data": rows, "correlation_method": "spearman"})
    assert spearman["matrix"]["b"]["a"] == 1


def test_ranks_of_ties_are_shared() -> None:
    rows = [{"a": a, "b": b} for a, b in [(1, 1), (1, 2), (2, 3), (3, 3)]]
    result = run({"operation": "correlation", "data": rows, "correlation_method": "spearman"})
    expected = statistics.correlation([1.5, 1.5, 3, 4], [1, 2, 3.5, 3.5])
    assert result["pairs"][0]["correlation"] == pytest.approx(expected)


def test_groups_are_counted_and_summed() -> None:
    result = run({"operation": "group_by", "data": ROWS, "by": "city", "columns": "n", "aggregates": "sum,mean"})
    assert result["groups"] == [
        {"city": "Oslo", "count": 3, "n_sum": 8.0, "n_mean": pytest.approx(8 / 3)},
        {"city": "Rome", "count": 1, "n_sum": 2.0, "n_mean": 2.0},
    ]


def test_outliers_lie_beyond_the_quartiles() -> None:
    found = run({"operation": "outliers", "data": [10, 11, 12, 11, 10, 99]})["outliers"]["value"]
    assert found["outliers"] == [{"row": 5, "value": 99}]
    assert found["upper_limit"] < 20


def test_a_trend_is_the_least_squares_line() -> None:
    rows = [{"when": f"2024-01-{day:02}", "v": 5 + 2 * day} for day in (1, 2, 3, 5, 8)]
    result = run({"operation": "trend", "data": rows})
    assert result["over"] == "when"
    assert (result["trends"]["v"]["slope"], result["trends"]["v"]["per"]) == (2, "day")
    assert (result["trends"]["v"]["r_squared"], result["trends"]["v"]["direction"]) == (1, "rising")


def test_noise_has_no_trend() -> None:
    result = run({"operation": "trend", "data": [5, 1, 5, 1, 5, 1, 5, 1]})
    assert result["trends"]["value"]["direction"] == "flat"


def test_patterns_of_text_and_table() -> None:
    lines = run({"data": "ERR 10:20\nERR 11:30\nERR 12:40", "analysis_type": "pattern"})
    assert "3 of 3 lines begin like 'AAA'" in [p["description"] for p in lines["patterns"]]
    rows = [{"id": f"AB-{n}{n}{n}", "n": n} for n in range(1, 6)]
    patterns = run({"data": rows, "analysis_type": "pattern"})["patterns"]
    assert {("shape", "id is written like 'AA-999'"), ("order", "n rises from row to row")} <= {
        (p["kind"], p["description"]) for p in patterns
    }


def test_an_unknown_operation_names_the_nearest() -> None:
    with pytest.raises(InvalidParameters, match="did you mean 'correlation'"):
        run({"operation": "corelation", "data": ROWS})


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"operation": "statistics", "columns": "m"}, "did you mean 'n'|no column 'm'"),
        ({"operation": "outliers", "columns": "city"}, "'city' holds text; needed: number"),
        ({"operation": "group_by"}, "by: is required"),
        ({"operation": "group_by", "by": "city", "aggregates": "mode"}, "'mode' is not known"),
        ({"operation": "query"}, "sql: is required"),
        ({"operation": "data_preparation", "preparation": "wash"}, "'wash' is no step"),
        ({"operation": "correlation", "columns": "n"}, "needs two columns"),
    ],
)
def test_a_wrong_request_is_told_with_its_place(parameters: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidParameters, match=told):
        run({"data": ROWS, **parameters})


# --- SQL ---------------------------------------------------------------------------------------------


def test_a_query_sees_the_table() -> None:
    result = run({"data": ROWS, "sql": "SELECT city, sum(n) AS n FROM dataset GROUP BY city ORDER BY n DESC;"})
    assert result["query_rows"] == [{"city": "Oslo", "n": 8}, {"city": "Rome", "n": 2}]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM read_csv('http://127.0.0.1:1/x.csv')",
        "COPY dataset TO '/tmp/stolen.csv'",
        "ATTACH '/tmp/other.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "PRAGMA database_list",
        "DROP TABLE dataset",
        "SELECT 1; SELECT 2",
        "SELECT * FROM duckdb_settings()",
        'SELECT * FROM "duckdb_extensions"()',
        "SELECT current_setting('home_directory')",
        "SELECT getenv('HOME')",
        "SELECT * FROM ROWS",  # a Python variable
        "SELECT * FROM information_schema.tables",
        "SELEC 1",
        "",
        " ; ",
    ],
)
def test_a_query_reaches_nothing_else(sql: str) -> None:
    with pytest.raises(InvalidParameters) as raised:
        run({"operation": "query", "data": ROWS, "sql": sql})
    assert raised.value.problems[0]["path"] == "sql"
    assert "Traceback" not in str(raised.value)


def test_a_query_after_an_error_cannot_unlock_the_database() -> None:
    opened = table.from_rows([{"a": 1}])
    with pytest.raises(duckdb.Error):
        opened.connection.execute("SET lock_configuration = false")
    opened.close()


def test_values_that_json_has_no_word_for_become_plain() -> None:
    sql = (
        "SELECT 'nan'::DOUBLE a, 1e308 * 10 b, TIMESTAMPTZ '2024-01-01 10:00:00+00' c, INTERVAL 1 DAY d, "
        "{'k': [1, 'inf'::DOUBLE]} e, 170141183460469231731687303715884105727 f, "
        "'\\xAA'::BLOB g, 1.5::DECIMAL h"
    )
    row = run({"data": [1], "sql": sql})["query_rows"][0]
    assert (row["a"], row["d"], row["h"]) == (None, 86400.0, 1.5)
    assert row["e"] == {"k": [1.0, None]}
    assert row["c"].startswith("2024-01-01 1")
    json.dumps(row, allow_nan=False)


def test_columns_of_one_name_stay_apart() -> None:
    assert run({"data": [1], "sql": "SELECT 1 AS a, 2 AS a"})["query_rows"] == [{"a": 1, "a_2": 2}]


def test_long_answers_are_cut_and_say_so() -> None:
    result = run({"data": [1], "sql": "SELECT * FROM range(5000)"})
    assert (result["returned_rows"], result["truncated"]) == (1000, True)


# --- Sources -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}],
        '[{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]',
        '{"a": 1, "b": "x"}\n{"a": 2, "b": "y"}',
        {"a": [1, 2], "b": ["x", "y"]},
        {"rows": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]},
        "a,b\n1,x\n2,y",
        "a;b\n1;x\n2;y\n",
        "a\tb\n1\tx\n2\ty\n",
    ],
)
def test_a_table_may_be_given_in_many_forms(data: Any) -> None:
    assert run({"operation": "data_validation", "data": data})["rows"] == [
        {"a": 1, "b": "x"},
        {"a": 2, "b": "y"},
    ]


@pytest.mark.parametrize("data", ["1, 2, 3", "1\n2\n3", "v\n1\n2\n3", [1, 2, 3], "[1, 2, 3]", "we saw 1 and 2 then 3"])
def test_numbers_may_be_given_in_many_forms(data: Any) -> None:
    assert run({"analysis_type": "statistical", "data": data})["sum"] == 6


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ([{"a": 1}, 2], r"data\[1\]: is a value where the first row is an object"),
        ({"a": [1], "b": [1, 2]}, "differ in length"),
        ([], "empty list"),
        ([{}], "no columns"),
        ("only words here", "prose without numbers"),
        ([{f"c{n}": n for n in range(201)}], "limit is 200"),
    ],
)
def test_what_is_no_table_is_refused_with_the_reason(data: Any, told: str) -> None:
    with pytest.raises(InvalidParameters, match=told):
        run({"operation": "statistics", "data": data})


def test_more_rows_than_the_limit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "MAX_INLINE_ROWS", 3)
    with pytest.raises(InvalidParameters, match="4 rows; the limit inline is 3"):
        run({"operation": "statistics", "data": ROWS})


def test_columns_that_differ_in_case_only_stay_apart() -> None:
    rows = run({"operation": "data_validation", "data": [{"a": 1, "A": 2, "": 3}]})["rows"]
    assert rows == [{"a": 1, "A_2": 2, "column3": 3}]


def test_column_names_can_not_break_out_of_the_sql() -> None:
    name = 'x"; DROP TABLE dataset; --'
    rows = [{name: 1, "y": 2}, {name: 2, "y": 4}, {name: 3, "y": 6}]
    for operation in ("statistics", "correlation", "outliers", "trend", "pattern", "data_preparation"):
        assert run({"operation": operation, "data": rows})["row_count"] == 3


def test_mixed_and_nested_values_become_text() -> None:
    rows = run({"operation": "data_validation", "data": [{"a": 1, "b": [1]}, {"a": "z", "b": {"k": 1}}]})["rows"]
    assert rows == [{"a": "1", "b": "[1]"}, {"a": "z", "b": '{"k": 1}'}]


def test_nan_and_infinity_count_as_missing() -> None:
    result = run({"analysis_type": "statistical", "data": [1.0, math.nan, math.inf, 3.0]})
    assert (result["count"], result["missing"], result["mean"]) == (2, 2, 2)
    text = run({"analysis_type": "statistical", "data": "a,b\n1,x\nnan,y\ninf,z\n"})
    assert (text["count"], text["missing"]) == (1, 2)


def test_a_later_step_finds_the_set_that_an_earlier_one_named() -> None:
    named = {"operation": "data_validation", "data_source": "synthetic_healthcare_metrics"}
    context = run(named)
    result = run({"operation": "statistical_summary", "include_charts": "true"}, context)
    assert (result["data_source"], result["row_count"]) == ("synthetic_healthcare_metrics", 400)
    assert result["synthetic"] is True
    assert result["charts"]


def test_of_a_named_set_only_a_few_rows_go_into_the_context() -> None:
    result = run({"operation": "data_validation", "data_source": "sample_dataset"})
    assert (len(result["rows"]), result["rows_complete"], result["row_count"]) == (20, False, 120)


def test_a_later_step_sees_the_data_as_it_was_prepared() -> None:
    prepared = {
        "operation": "data_preparation",
        "data_source": "sample_dataset",
        "preparation": "drop_missing",
    }
    result = run({"operation": "statistics"}, run(prepared))
    assert result["row_count"] == 117
    assert result["preparation"] == ["drop_missing"]


def test_a_later_step_takes_inline_rows_from_the_context() -> None:
    context = run({"operation": "data_preparation", "data": [{"n": "1"}, {"n": "2"}]})
    assert run({"operation": "statistics"}, context)["mean"] == 1.5


def test_rows_that_did_not_all_fit_the_context_are_told() -> None:
    context = run({"operation": "data_validation", "data": list(range(1_500))})
    assert (len(context["rows"]), context["rows_complete"], context["row_count"]) == (1_000, False, 1_500)
    assert "first 1000 rows" in run({"operation": "statistics"}, context)["note"]


def test_data_of_the_step_itself_wins_over_the_context() -> None:
    context = {"data_source": "sample_dataset", "rows": ROWS, "operation": "trend", "columns": ["zz"]}
    assert run({"operation": "statistics", "data": [1, 3]}, context)["mean"] == 2
    assert run({"operation": "statistics", "data_source": "synthetic_healthcare_metrics"}, context)["row_count"] == 400


def test_preparation_without_any_data_uses_the_sample_and_says_so() -> None:
    result = run({"operation": "data_preparation"})
    assert (result["data_source"], result["synthetic"]) == ("sample_dataset", True)
    assert "no data given" in result["note"]


@pytest.mark.parametrize("operation", ["statistics", "correlation", "query", "basic", "trend"])
def test_other_operations_without_data_list_the_sources(operation: str) -> None:
    with pytest.raises(InvalidParameters, match="sample_dataset, synthetic_healthcare_metrics"):
        run({"operation": operation})


def test_the_built_in_sets_are_the_same_each_time() -> None:
    for make in builtin.BUILTIN.values():
        assert make() == make()
        json.dumps(make(), allow_nan=False)


def test_csv_json_and_parquet_files_are_read(files: Path) -> None:
    (files / "t.csv").write_text("a,b\n1,x\n2,y\n")
    (files / "t.json").write_text('[{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]')
    (files / "sub").mkdir()
    duckdb.execute(f"COPY (SELECT * FROM (VALUES (1, 'x'), (2, 'y')) t(a, b)) TO '{files / 'sub' / 't.parquet'}'")
    for name in ("t.csv", "t.json", "sub/t.parquet", "files/t.csv"):
        result = run({"operation": "data_validation", "data_source": name})
        assert result["rows"] == [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]
        assert result["data_source"] == name
        assert run({"operation": "statistics"}, result)["row_count"] == 2


def test_a_parquet_time_with_a_zone_is_read_in_utc(files: Path) -> None:
    made = duckdb.connect()
    made.execute(f"COPY (SELECT TIMESTAMPTZ '2024-01-01 10:00:00+02' AS t) TO '{files / 't.parquet'}'")
    made.close()
    rows = run({"operation": "data_validation", "data_source": "t.parquet"})["rows"]
    assert rows == [{"t": "2024-01-01T08:00:00"}]


@pytest.mark.parametrize(
    "name", ["../secret.csv", "sub/../../secret.csv", "/etc/passwd", "link.csv", "linked/secret.csv"]
)
def test_files_outside_the_folder_can_not_be_read(files: Path, name: str) -> None:
    secret = files.parent / "secret.csv"
    secret.write_text("a\n1\n")
    (files / "link.csv").symlink_to(secret)
    (files / "linked").symlink_to(files.parent)
    with pytest.raises(InvalidParameters, match="outside the data folder"):
        run({"operation": "statistics", "data_source": name})


def test_a_file_can_not_be_read_by_sql_either(files: Path) -> None:
    (files / "t.csv").write_text("a\n1\n")
    with pytest.raises(InvalidParameters, match="Permission Error"):
        run({"data_source": "t.csv", "sql": f"SELECT * FROM read_csv('{files / 't.csv'}')"})


def test_a_broken_file_is_told_without_its_place_on_the_machine(files: Path) -> None:
    (files / "t.parquet").write_text("no parquet")
    with pytest.raises(InvalidParameters, match=r"t\.parquet can't be read") as raised:
        run({"operation": "statistics", "data_source": "t.parquet"})
    assert str(files) not in str(raised.value)


def test_an_unknown_source_names_the_nearest_and_the_files(files: Path) -> None:
    (files / "sales.csv").write_text("a\n1\n")
    with pytest.raises(InvalidParameters, match=r"did you mean 'sales\.csv'"):
        run({"operation": "statistics", "data_source": "sale.csv"})
    with pytest.raises(InvalidParameters, match=r"known: .*sales\.csv"):
        run({"operation": "statistics", "data_source": "qqqq"})


def test_a_file_of_another_kind_is_refused(files: Path) -> None:
    (files / "notes.txt").write_text("a\n1\n")
    with pytest.raises(InvalidParameters, match="of no known kind"):
        run({"operation": "statistics", "data_source": "notes.txt"})


# --- Charts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "operation",
    [
        "data_validation",
        "data_preparation",
        "statistics",
        "correlation",
        "group_by",
        "query",
        "outliers",
        "trend",
    ],
)
def test_charts_are_well_formed_and_describe_themselves(operation: str) -> None:
    sql = "SELECT region, sum(revenue) FROM dataset GROUP BY 1"
    asked = {
        "operation": operation,
        "data_source": "sample_dataset",
        "by": "region",
        "sql": sql,
        "include_charts": "true",
    }
    charts = run(asked)["charts"]
    assert charts
    for chart in charts:
        root = ElementTree.fromstring(chart["svg"])
        assert root.attrib["viewBox"] == "0 0 640 360"
        assert [child.tag.rpartition("}")[2] for child in root][:2] == ["title", "desc"]


def test_without_the_wish_there_are_no_charts() -> None:
    assert "charts" not in run({"operation": "statistics", "data": [1, 2]})
    assert "charts" not in run({"operation": "statistics", "data": [1, 2], "include_charts": "false"})


def test_chart_text_can_not_become_markup() -> None:
    drawn = svg.bars("<script>alert(1)</script>\x00", ['"><img onerror=x>'], [1.0])
    assert "<script" not in drawn
    assert "<img" not in drawn
    ElementTree.fromstring(drawn)


def test_bars_stand_on_zero_in_proportion() -> None:
    root = ElementTree.fromstring(svg.bars("t", ["a", "b", "c"], [2.0, 4.0, -2.0]))
    heights = [float(e.attrib["height"]) for e in root.iter() if e.tag.endswith("rect")]
    assert heights[1] == pytest.approx(2 * heights[0], abs=0.2)
    assert heights[2] == pytest.approx(heights[0], abs=0.2)


@given(
    values=st.lists(
        st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300),
        min_size=1,
        max_size=30,
    )
)
@example(values=[5e-324])
def test_any_finite_numbers_can_be_drawn(values: list[float]) -> None:
    for drawn in (
        svg.bars("t", [str(v) for v in values], values),
        svg.line("t", [str(v) for v in values], values, values),
    ):
        assert "nan" not in drawn.lower().replace("<title>", "")
        ElementTree.fromstring(drawn)


cells = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.lists(st.integers(), max_size=2)
)
tables = st.lists(st.dictionaries(st.text(max_size=4), cells, max_size=4), min_size=1, max_size=6)
NO_EXTRA = [
    "data_validation",
    "data_preparation",
    "statistics",
    "correlation",
    "outliers",
    "trend",
    "pattern",
    "basic",
]


@settings(max_examples=60, deadline=None)
@given(rows=tables, operation=st.sampled_from(NO_EXTRA), include_charts=st.booleans())
def test_any_rows_give_plain_json_or_a_clear_error(
    rows: list[dict[str, Any]], operation: str, include_charts: bool
) -> None:
    try:
        result = run({"operation": operation, "data": rows, "include_charts": include_charts})
    except InvalidParameters as error:
        assert "Traceback" not in str(error)  # noqa: PT017 - either ending is right
    else:
        json.dumps(result, allow_nan=False)


def test_charts_are_kept_as_files_too() -> None:
    call = make_call()
    rows = [{"a/b": n, "c": n * 2} for n in range(10)]
    wanted = {"rows": rows, "operation": "statistical_summary", "include_charts": True}
    result = registry.run(registry.get("data_analysis"), call, wanted)
    assert [a.content.decode() for a in call.artifacts.made] == [chart["svg"] for chart in result["charts"]]
    assert [a.name for a in call.artifacts.made] == ["histogram_a_b.svg", "histogram_c.svg"]
    assert all(a.is_picture for a in call.artifacts.made)
