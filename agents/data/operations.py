"""The operations of `data_analysis` on a table; each gives the keys of its result."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from agents.data import charts, patterns, quality, series, summaries
from agents.data.errors import invalid
from agents.data.parameters import DataAnalysis
from agents.data.table import Column, Table
from agents.functions.base import Result
from agents.wording import hint

SAMPLE_ROWS = 1_000
SAMPLE_CHARACTERS = 500_000


def _columns(table: Table, names: list[str], *kinds: str, path: str = "columns") -> list[Column]:
    """The columns of those names, or all of the `kinds`; raises `InvalidParameters` for others."""
    if not names:
        return table.of_kind(*kinds) if kinds else table.columns
    known = {column.name: column for column in table.columns}
    for name in names:
        if name not in known:
            raise invalid(path, f"there is no column {name!r}; {hint(name, known)}")
        if kinds and known[name].kind not in kinds:
            raise invalid(path, f"column {name!r} holds {known[name].kind}; needed: {' or '.join(kinds)}")
    return [known[name] for name in names]


def _numbers(table: Table, parameters: DataAnalysis) -> list[Column]:
    found = _columns(table, parameters.columns, "number")
    if not found:
        raise invalid("data", f"has no column of numbers; there are: {', '.join(c.name for c in table.columns)}")
    return found


def _drawn(parameters: DataAnalysis, made: Callable[[], list[charts.Chart | None]]) -> Result:
    return {"charts": [chart for chart in made() if chart][: charts.MAX_CHARTS]} if parameters.include_charts else {}


def _sample(table: Table) -> Result:
    """The rows for the next step: at most 1,000, and 500,000 characters of JSON."""
    rows = table.records(limit=SAMPLE_ROWS)
    while len(rows) > 1 and len(json.dumps(rows)) > SAMPLE_CHARACTERS:
        rows = rows[: len(rows) // 2]
    return {"rows": rows, "rows_complete": len(rows) == table.row_count}


def _validation(table: Table, parameters: DataAnalysis) -> Result:
    profiled = quality.profiles(table)
    found = quality.problems(table, profiled, parameters.required)
    valid = not any(problem["severity"] == "error" for problem in found)
    missing = [(p["name"], p["missing"]) for p in profiled]
    return {
        "valid": valid,
        "quality_score": quality.score(table, profiled, found),
        "problems": found,
        "column_profiles": profiled,
        **_sample(table),
        **_drawn(parameters, lambda: [charts.bars("missing_values", "Missing values by column", missing)]),
        "result": f"{'valid' if valid else 'not valid'}: {table.row_count} rows, {len(found)} findings",
    }


def _preparation(table: Table, parameters: DataAnalysis) -> Result:
    before = table.row_count
    steps = parameters.preparation if parameters.preparation is not None else list(quality.DEFAULT_STEPS)
    changed = quality.prepare(table, steps)
    return {
        "preparation": [step for step in quality.STEPS if step in steps],
        "changes": changed,
        "original_row_count": before,
        "row_count": table.row_count,
        "column_profiles": quality.profiles(table),
        **_sample(table),
        **_drawn(parameters, lambda: [*charts.distributions(table, table.columns)]),
        "result": f"{table.row_count} of {before} rows kept; {sum(changed.values())} changes",
    }


def _statistics(table: Table, parameters: DataAnalysis) -> Result:
    columns = _columns(table, parameters.columns)
    measured = summaries.statistics(table, columns)
    first = next((c.name for c in columns if c.kind == "number"), None)
    # Clients of the original read the measures of one column at the top.
    top = {k: v for k, v in measured[first].items() if k != "kind"} if first else {}
    told = f"{first}: mean {top['mean']}, median {top['median']}" if first else "no column of numbers"
    return {
        **top,
        "summarised_column": first,
        "statistics": measured,
        **_drawn(parameters, lambda: [*charts.distributions(table, columns)]),
        "summary": f"{table.row_count} rows, {len(columns)} columns; {told}",
        "result": f"{table.row_count} rows, {len(columns)} columns; {told}",
    }


def _correlation(table: Table, parameters: DataAnalysis) -> Result:
    found = summaries.correlation(table, _numbers(table, parameters), parameters.correlation_method)
    pairs = found["pairs"]
    best = pairs[0]
    bars = [(f"{p['a']} / {p['b']}", p["correlation"]) for p in pairs]
    return {
        **found,
        **_drawn(parameters, lambda: [charts.bars("correlation", "Correlation of pairs", bars)]),
        "result": f"strongest: {best['a']} and {best['b']} ({best['correlation']})",
    }


def _groups(table: Table, parameters: DataAnalysis) -> Result:
    if not parameters.by:
        raise invalid("by", f"is required: name a column to group by, of {', '.join(c.name for c in table.columns)}")
    unknown = [a for a in parameters.aggregates if a not in summaries.AGGREGATES]
    if unknown:
        raise invalid("aggregates", f"{unknown[0]!r} is not known; {hint(unknown[0], summaries.AGGREGATES)}")
    by = _columns(table, parameters.by, path="by")
    measured = [c for c in _columns(table, parameters.columns, "number") if c not in by]
    found = summaries.groups(table, by, measured, parameters.aggregates)
    kept = found[: summaries.MAX_GROUPS]
    labels = [" / ".join(str(group[c.name]) for c in by) for group in kept]
    return {
        "groups": kept,
        "group_count": len(kept),
        "groups_truncated": len(found) > len(kept),
        **_drawn(parameters, lambda: _group_charts(kept, labels)),
        "result": f"{len(kept)} groups by {', '.join(parameters.by)}",
    }


def _group_charts(groups: list[dict[str, Any]], labels: list[str]) -> list[charts.Chart | None]:
    if not groups:
        return []
    names = [n for n in groups[0] if n == "count" or n.endswith(tuple(f"_{a}" for a in summaries.AGGREGATES))]
    values = {name: [group[name] for group in groups] for name in names}
    return [
        charts.bars(f"group_{name}", name.replace("_", " "), list(zip(labels, cells, strict=True)))
        for name, cells in values.items()
        if all(cell is None or isinstance(cell, int | float) for cell in cells)
    ]


def _query(table: Table, parameters: DataAnalysis) -> Result:
    sql = parameters.sql or parameters.query
    if not sql:
        raise invalid("sql", "is required: one SELECT over the table dataset, such as SELECT count(*) FROM dataset")
    found = summaries.query(table, sql)
    return {
        **found,
        **_drawn(parameters, lambda: [_query_chart(found)]),
        "result": f"{found['returned_rows']} rows" + (", and more" if found["truncated"] else ""),
    }


def _query_chart(found: dict[str, Any]) -> charts.Chart | None:
    """Bars of the first column that holds numbers, by the first column."""
    names, rows = found["query_columns"], found["query_rows"]
    numeric = [n for n in names[1:] if rows and all(type(row[n]) in (int, float, type(None)) for row in rows)]
    if not numeric:
        return None
    return charts.bars("query", f"{numeric[0]} by {names[0]}", [(row[names[0]], row[numeric[0]]) for row in rows])


def _outliers(table: Table, parameters: DataAnalysis) -> Result:
    columns = _numbers(table, parameters)
    found = series.outliers(table, columns, parameters.outlier_method)
    total = sum(column["count"] for column in found.values())
    return {
        "outlier_method": parameters.outlier_method,
        "outliers": found,
        "outlier_count": total,
        **_drawn(parameters, lambda: [charts.histogram(table, column) for column in columns]),
        "result": f"{total} outliers in {len(columns)} columns",
    }


def _trend(table: Table, parameters: DataAnalysis) -> Result:
    named = [parameters.time_column] if parameters.time_column else []
    times = _columns(table, named, *(("time", "number") if named else ("time",)), path="time_column")
    time = times[0] if times else None
    columns = [column for column in _numbers(table, parameters) if column != time]
    found = {column.name: series.trend(table, column, time) for column in columns}
    drawn = _drawn(parameters, lambda: [_trend_chart(name, t, time) for name, t in found.items()])
    trends = {name: {k: v for k, v in t.items() if not k.startswith("_")} for name, t in found.items()}
    return {
        "over": time.name if time else "row order",
        "trends": trends,
        **drawn,
        "result": "; ".join(f"{name} {t['direction']} ({t['slope']:g} per {t['per']})" for name, t in trends.items()),
    }


def _trend_chart(name: str, found: dict[str, Any], time: Column | None) -> charts.Chart | None:
    labels = series.labels(found["_labels"], time)
    title = f"{name} over {time.name if time else 'the rows'}"
    return charts.line(f"trend_{name}", title, labels, found["_values"], found["_fit"])


def _patterns(table: Table, parameters: DataAnalysis) -> Result:
    return patterns_told(patterns.of_table(table))


def patterns_told(found: list[dict[str, Any]]) -> Result:
    best = found[0] if found else None
    return {
        "patterns": found,
        "pattern_count": len(found),
        "confidence": best["confidence"] if best else 0.0,
        "result": f"{len(found)} patterns; strongest: {best['description']}" if best else "no pattern found",
    }


OPERATIONS: dict[str, Callable[[Table, DataAnalysis], Result]] = {
    "data_validation": _validation,
    "data_preparation": _preparation,
    "statistical_summary": _statistics,
    "correlation": _correlation,
    "group_by": _groups,
    "query": _query,
    "outliers": _outliers,
    "trend": _trend,
    "pattern": _patterns,
}
