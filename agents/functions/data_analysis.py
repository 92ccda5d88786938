"""`data_analysis`: validating, preparing and measuring tables; see `agents/data` for how."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from agents.data import charts, patterns, quality, series, summaries
from agents.data.errors import invalid
from agents.data.sources import INLINE, Source, choose, is_table
from agents.data.table import Column, Table
from agents.functions.base import EXPLICIT, Call, Parameters, Result
from agents.functions.registry import function

SAMPLE_ROWS = 1_000
NAMED_SAMPLE_ROWS = 20  # a later step finds the whole set by its name
SAMPLE_CHARACTERS = 500_000


def _as_words(value: Any) -> Any:
    """`"price, units"` → `["price", "units"]`."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Words = Annotated[list[str], BeforeValidator(_as_words)]
_explicit: Any = {"default": None, "json_schema_extra": EXPLICIT}


# Almost all are explicit: results of earlier steps have keys such as `columns` or `query` that mean something
# else. For data, `sources.choose` looks into the context, as it must tell a step's own from what it finds.
class DataAnalysis(Parameters):
    """What to compute (`operation`, or `analysis_type` as in the original system), of what, and how."""

    data: Any = Field(**_explicit)
    rows: Any = Field(**_explicit)
    dataset: Any = Field(**_explicit)
    data_source: Any = Field(**_explicit)
    operation: str | None = Field(**_explicit)
    analysis_type: str | None = Field(**_explicit)
    include_charts: bool = False
    columns: Words = Field(default_factory=list, json_schema_extra=EXPLICIT)
    required: Words = Field(default_factory=list, json_schema_extra=EXPLICIT)
    preparation: Words | None = Field(**_explicit)
    by: Words = Field(default_factory=list, json_schema_extra=EXPLICIT)
    aggregates: Words = Field(default_factory=lambda: ["mean", "sum"], json_schema_extra=EXPLICIT)
    sql: str | None = Field(**_explicit)
    query: str | None = Field(**_explicit)
    correlation_method: Literal["pearson", "spearman"] = "pearson"
    outlier_method: Literal["iqr", "zscore"] = "iqr"
    time_column: str | None = Field(**_explicit)


# Plain: DuckDB's work can be long and can't be interrupted, so it runs in a process that can be killed.
@function("data_analysis", description="Validates, prepares and measures a table: rows, CSV, JSON, Parquet")
def data_analysis(call: Call, parameters: DataAnalysis) -> Result:
    """Every result has `operation_applied`, `data_source`, `synthetic` and a sentence in `result`.

    Raises `InvalidParameters` for an unknown operation, source or column, for data that is no table or too
    large, and for wrong SQL.
    """
    name = _operation_name(parameters)
    source = _source(call, parameters, name)
    told = {"operation_applied": name, "analysis_type": parameters.analysis_type or name, **source.told()}
    if name in ("basic", "pattern") and (source.text is not None and not (name == "pattern" and is_table(source.text))):
        return {**told, **_of_text(name, source.text)}
    if name == "basic":
        return {**told, **_basic_of_rows(source)}
    with closing(source.open()) as table:
        steps = list(source.preparation)
        if name != "data_preparation":
            quality.prepare(table, steps)
        result = OPERATIONS[name](table, parameters)
        if source.name != INLINE and len(result.get("rows", ())) > NAMED_SAMPLE_ROWS:
            result |= {"rows": result["rows"][:NAMED_SAMPLE_ROWS], "rows_complete": False}
        notes = " ".join([*source.notes, *table.notes])
        shared: Result = {
            "row_count": table.row_count,
            "column_count": len(table.columns),
            "preparation": steps,
        }
        return {**told, **shared, **({"note": notes} if notes else {}), **result}


def _operation_name(parameters: DataAnalysis) -> str:
    asked = parameters.operation or parameters.analysis_type or ("query" if parameters.sql else "basic")
    path = "operation" if parameters.operation else "analysis_type"
    name = asked.strip().lower().replace("-", "_").replace(" ", "_")
    name = ALIASES.get(name, name)
    if name in OPERATIONS or name == "basic":
        return name
    nearest = get_close_matches(name, [*OPERATIONS, *ALIASES, "basic"], n=1)
    hint = f"did you mean {nearest[0]!r}?" if nearest else f"known: basic, {', '.join(OPERATIONS)}"
    raise invalid(path, f"there is no operation {asked!r}; {hint}")


def _source(call: Call, parameters: DataAnalysis, operation: str) -> Source:
    given = {name: getattr(parameters, name) for name in ("data", "rows", "dataset", "data_source")}
    # Clients of the original begin with these two, without naming any data, and expect them to work.
    default = "sample_dataset" if operation in ("data_preparation", "data_validation") else None
    source = choose(given, call.context, default=default)
    for note in source.notes:
        call.logger.warning(note)
    return source


def _basic(text: str) -> Result:
    return {
        "data_size_bytes": len(text.encode("utf-8", "replace")),
        "line_count": len(text.splitlines()),
        "word_count": len(text.split()),
    }


def _of_text(name: str, text: str) -> Result:
    counted = _basic(text)
    if name == "pattern":
        return _patterns_told(patterns.of_text(text)) | counted
    summary = f"{counted['data_size_bytes']} bytes, {counted['line_count']} lines, {counted['word_count']} words"
    return {**counted, "summary": summary, "result": summary}


def _basic_of_rows(source: Source) -> Result:
    with closing(source.open()) as table:
        rows = source.rows if source.rows is not None else table.records(limit=table.row_count)
        counted = _basic("\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
        names = ", ".join(column.name for column in table.columns)
        shape = f"{table.row_count} rows, {len(table.columns)} columns: {names}"
        return {
            **counted,
            "row_count": table.row_count,
            "column_count": len(table.columns),
            "summary": shape,
            "result": shape,
        }


def _columns(table: Table, names: list[str], *kinds: str, path: str = "columns") -> list[Column]:
    """The columns of those names, or all of the `kinds`; raises `InvalidParameters` for others."""
    if not names:
        return table.of_kind(*kinds) if kinds else table.columns
    known = {column.name: column for column in table.columns}
    for name in names:
        if name not in known:
            nearest = get_close_matches(name, list(known), n=1)
            hint = f"did you mean {nearest[0]!r}?" if nearest else f"known: {', '.join(known)}"
            raise invalid(path, f"there is no column {name!r}; {hint}")
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
        raise invalid("aggregates", f"{unknown[0]!r} is not known; known: {', '.join(summaries.AGGREGATES)}")
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
    return _patterns_told(patterns.of_table(table))


def _patterns_told(found: list[dict[str, Any]]) -> Result:
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
ALIASES = {
    "validation": "data_validation",
    "validate": "data_validation",
    "preparation": "data_preparation",
    "prepare": "data_preparation",
    "data_cleaning": "data_preparation",
    "cleaning": "data_preparation",
    "statistical": "statistical_summary",
    "statistical_analysis": "statistical_summary",
    "statistics": "statistical_summary",
    "summary": "statistical_summary",
    "correlation_analysis": "correlation",
    "group": "group_by",
    "sql": "query",
    "outlier_detection": "outliers",
    "trend_analysis": "trend",
    "trends": "trend",
    "patterns": "pattern",
    "pattern_analysis": "pattern",
}
