"""`data_analysis`: validating, preparing and measuring tables; see `agents/data` for how."""

from __future__ import annotations

import json
from contextlib import closing

from agents.artifacts import made_name
from agents.data import patterns, quality
from agents.data.errors import invalid
from agents.data.operations import OPERATIONS, patterns_told
from agents.data.parameters import DataAnalysis
from agents.data.sources import INLINE, Source, choose, is_table, read_of
from agents.errors import ArtifactRefused
from agents.functions.base import Call, Result
from agents.functions.registry import function
from agents.wording import hint

NAMED_SAMPLE_ROWS = 20  # a later step finds the whole set by its name


# Plain: DuckDB's work can be long and can't be interrupted, so it runs in a process that can be killed.
@function(
    "data_analysis",
    description="Validates, prepares and measures a table: rows, CSV, JSON, Parquet",
    reads=lambda parameters, context: read_of(context),
)
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
        _keep_charts(call, result)
        if source.name != INLINE and len(result.get("rows", ())) > NAMED_SAMPLE_ROWS:
            result |= {"rows": result["rows"][:NAMED_SAMPLE_ROWS], "rows_complete": False}
        notes = " ".join([*source.notes, *table.notes])
        shared: Result = {
            "row_count": table.row_count,
            "column_count": len(table.columns),
            "preparation": steps,
        }
        return {**told, **shared, **({"note": notes} if notes else {}), **result}


def _keep_charts(call: Call, result: Result) -> None:
    """Each chart as a file too. A run that has no room for more has them in its results."""
    for chart in result.get("charts", ()):
        try:
            call.artifact(made_name(chart["name"], ".svg"), chart["svg"], "image/svg+xml")
        except ArtifactRefused as refused:
            call.logger.warning("%s", refused)


def _operation_name(parameters: DataAnalysis) -> str:
    asked = parameters.operation or parameters.analysis_type or ("query" if parameters.sql else "basic")
    path = "operation" if parameters.operation else "analysis_type"
    name = asked.strip().lower().replace("-", "_").replace(" ", "_")
    name = ALIASES.get(name, name)
    if name in OPERATIONS or name == "basic":
        return name
    known = ["basic", *OPERATIONS]
    raise invalid(path, f"there is no operation {asked!r}; {hint(name, [*known, *ALIASES], shown=known)}")


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
        return patterns_told(patterns.of_text(text)) | counted
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
