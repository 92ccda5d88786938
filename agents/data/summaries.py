# ruff: noqa: S608 - the SQL is ours: names go through `quoted`, values are bound
"""What describes a table: summary statistics, correlation, groups, a query."""

from __future__ import annotations

import re
from itertools import combinations
from typing import Any

from agents.data.errors import invalid
from agents.data.table import Column, Table, plain, quoted

MAX_CORRELATED = 30
MAX_GROUPS = 500
MAX_QUERY_ROWS = 1_000
MAX_SQL_CHARACTERS = 20_000
AGGREGATES = ("count", "sum", "mean", "median", "min", "max", "std_dev")
_SQL = {"sum": "sum", "mean": "avg", "median": "median", "min": "min", "max": "max", "std_dev": "stddev_samp"}
_CATALOGUE = re.compile(r"(?i)\b(?:duckdb_\w+|pragma_\w+|sqlite_\w+|which_secret|current_setting|information_schema)\b")


def statistics(table: Table, columns: list[Column]) -> dict[str, dict[str, Any]]:
    """Each column's measures. `std_dev` is the sample's (n - 1), None for one value."""
    return {column.name: _MEASURES[column.kind](table, column) for column in columns}


def _numeric(table: Table, column: Column) -> dict[str, Any]:
    c = column.quoted
    names = (
        "count",
        "missing",
        "distinct",
        "mean",
        "median",
        "std_dev",
        "min",
        "max",
        "q1",
        "q3",
        "sum",
        "skewness",
    )
    values = table.row(
        f"SELECT count({c}), count(*) - count({c}), count(DISTINCT {c}), avg({c}), median({c}),"
        f" {_guarded('stddev_samp', c)}, min({c}), max({c}),"
        f" quantile_cont({c}, 0.25), quantile_cont({c}, 0.75),"
        f" sum({c}::DOUBLE), {_guarded('skewness', c)} FROM dataset"
    )
    return {"kind": "number", **dict(zip(names, map(rounded, values), strict=True))}


def _guarded(aggregate: str, column: str) -> str:
    # Powers of very large values raise out of range where other aggregates give Infinity; there is no answer then.
    # Both CASEs are needed: aggregates are computed before the outer one is asked.
    small = f"CASE WHEN abs({column}::DOUBLE) < 1e75 THEN {column}::DOUBLE END"
    return f"CASE WHEN max(abs({column}::DOUBLE)) < 1e75 THEN {aggregate}({small}) END"


def _textual(table: Table, column: Column) -> dict[str, Any]:
    c = column.quoted
    count, missing, distinct, shortest, longest = table.row(
        f"SELECT count({c}), count(*) - count({c}), count(DISTINCT {c}), min(length({c}::VARCHAR)),"
        f" max(length({c}::VARCHAR)) FROM dataset"
    )
    top = table.values(
        f"SELECT {c}, count(*) AS n FROM dataset WHERE {c} IS NOT NULL GROUP BY 1 ORDER BY n DESC, 1 LIMIT 10"
    )
    return {
        "kind": column.kind,
        "count": count,
        "missing": missing,
        "distinct": distinct,
        "shortest": shortest,
        "longest": longest,
        "top": [{"value": _brief(value), "count": n} for value, n in top],
    }


def _temporal(table: Table, column: Column) -> dict[str, Any]:
    c = column.quoted
    names = ("count", "missing", "distinct", "min", "max")
    sql = f"SELECT count({c}), count(*) - count({c}), count(DISTINCT {c}), min({c}), max({c}) FROM dataset"
    return {"kind": "time", **dict(zip(names, table.row(sql), strict=True))}


_MEASURES = {"number": _numeric, "text": _textual, "boolean": _textual, "time": _temporal}


def correlation(table: Table, columns: list[Column], method: str) -> dict[str, Any]:
    """Correlation of each pair of number columns: `matrix`, and `pairs`, strongest first.

    Over the rows that have both values. `pearson` is the linear one, `spearman` that of the ranks (ties share
    their mean rank). None where a column is constant or fewer than 3 rows have both.
    """
    if len(columns) < 2:
        raise invalid("columns", f"correlation needs two columns of numbers; there is {len(columns)}")
    if len(columns) > MAX_CORRELATED:
        raise invalid("columns", f"correlation takes {MAX_CORRELATED} columns at most, not {len(columns)}; name some")
    pairs = [_pair(table, a, b, method) for a, b in combinations(columns, 2)]
    matrix: dict[str, dict[str, Any]] = {c.name: {c.name: 1.0} for c in columns}
    for pair in pairs:
        matrix[pair["a"]][pair["b"]] = matrix[pair["b"]][pair["a"]] = pair["correlation"]
    pairs.sort(key=lambda pair: -abs(pair["correlation"] or 0))
    return {"correlation_method": method, "matrix": matrix, "pairs": pairs}


def _pair(table: Table, a: Column, b: Column, method: str) -> dict[str, Any]:
    both = f"SELECT {a.quoted}::DOUBLE AS a, {b.quoted}::DOUBLE AS b FROM dataset"
    both = f"SELECT a, b FROM ({both}) WHERE a IS NOT NULL AND b IS NOT NULL"
    if method == "spearman":
        middle = "rank() OVER (ORDER BY {0}) + (count(*) OVER (PARTITION BY {0}) - 1) / 2.0"
        both = f"SELECT {middle.format('a')} AS a, {middle.format('b')} AS b FROM ({both})"
    count, value = table.row(
        f"SELECT count(*), CASE WHEN greatest(max(abs(a)), max(abs(b))) < 1e100 THEN corr(a, b) END FROM ({both})"
    )
    value = rounded(value) if count >= 3 else None
    return {"a": a.name, "b": b.name, "correlation": value, "rows": count, "strength": _strength(value)}


def _strength(value: float | None) -> str | None:
    if value is None:
        return None
    size = abs(value)
    return "strong" if size >= 0.7 else "moderate" if size >= 0.4 else "weak" if size >= 0.2 else "none"


def groups(table: Table, by: list[Column], measured: list[Column], aggregates: list[str]) -> list[dict[str, Any]]:
    """An object for each group: its values of `by`, `count`, and `<column>_<aggregate>`; largest first.

    At most one more than `MAX_GROUPS`.
    """
    selected = [f"{c.quoted} AS {quoted(c.name)}" for c in by] + ["count(*) AS count"]
    for column in measured:
        for aggregate in (a for a in aggregates if a != "count"):
            inner = f"{_SQL[aggregate]}({column.quoted}::DOUBLE)"
            selected.append(f"{inner} AS {quoted(f'{column.name}_{aggregate}')}")
    keys = ", ".join(str(n) for n in range(1, len(by) + 1))
    sql = f"SELECT {', '.join(selected)} FROM dataset GROUP BY {keys} ORDER BY count DESC, {keys}"
    found = table.records(sql, MAX_GROUPS + 1)
    return [{name: rounded(value) for name, value in row.items()} for row in found]


def query(table: Table, sql: str) -> dict[str, Any]:
    """The rows of one SELECT over the table `dataset`; at most 1,000, else `truncated`.

    Raises `InvalidParameters` for anything but one SELECT, and in DuckDB's words where the SQL is wrong.
    """
    import duckdb

    sql = _checked_query(table, sql)
    try:
        described = table.connection.execute(f"DESCRIBE {sql}").fetchall()
        cursor = table.connection.execute(_with_plain_times(sql, [str(column[1]) for column in described]))
        found = cursor.fetchmany(MAX_QUERY_ROWS + 1)
    except (duckdb.Error, ValueError, OverflowError) as error:
        raise invalid("sql", f"{_told(error)} (the table is called dataset)") from None
    names = _unique_names([str(column[0]) for column in described])
    rows = [dict(zip(names, map(plain, row), strict=True)) for row in found[:MAX_QUERY_ROWS]]
    return {
        "query_rows": rows,
        "query_columns": names,
        "returned_rows": len(rows),
        "truncated": len(found) > MAX_QUERY_ROWS,
    }


def _told(error: Exception) -> str:
    """DuckDB's words, on one line, without the query, which it shows as it was rewritten here."""
    return " ".join(str(error).partition("Traceback")[0].partition("\nLINE ")[0].split())[:500]


def _with_plain_times(sql: str, types: list[str]) -> str:
    """The query with times that have a zone as text: DuckDB needs one more package to hand them over."""
    if not any("WITH TIME ZONE" in kind for kind in types):
        return sql
    places = [f"#{n}::VARCHAR" if "WITH TIME ZONE" in kind else f"#{n}" for n, kind in enumerate(types, 1)]
    return f"SELECT {', '.join(places)} FROM ({sql}\n)"


def _checked_query(table: Table, sql: str) -> str:
    import duckdb

    if len(sql) > MAX_SQL_CHARACTERS:
        raise invalid("sql", f"has {len(sql):,} characters; the limit is {MAX_SQL_CHARACTERS:,}")
    try:
        statements = table.connection.extract_statements(sql)
    except duckdb.Error as error:
        raise invalid("sql", _told(error)) from None
    kinds = [statement.type.name for statement in statements]
    if kinds != ["SELECT"]:
        told = f"it is {', '.join(kinds)}" if kinds else "it is empty"
        raise invalid("sql", f"must be one SELECT over the table dataset; {told}")
    if _CATALOGUE.search(sql):
        raise invalid("sql", "only the table dataset can be read, not the database's own catalogue")
    return sql.strip().rstrip(";")


def _unique_names(names: list[str]) -> list[str]:
    return [f"{name}_{names[:i].count(name) + 1}" if name in names[:i] else name for i, name in enumerate(names)]


def rounded(value: Any) -> Any:
    """Floats to 10 significant digits, so that results read well; anything else as it is."""
    return float(f"{value:.10g}") if isinstance(value, float) else value


def _brief(value: Any) -> Any:
    return value[:200] if isinstance(value, str) else value
