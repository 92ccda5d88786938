# ruff: noqa: S608 - the SQL is ours: names go through `quoted`, values are bound
"""Validating a table and preparing it for analysis."""

from __future__ import annotations

from typing import Any

from agents.data.errors import invalid
from agents.data.table import Column, Table, quoted
from agents.wording import hint

FILLS = {"fill_mean": "avg", "fill_median": "median", "fill_zero": "zero"}
STEPS = (
    "trim_text",
    "empty_to_null",
    "text_to_number",
    "drop_empty_rows",
    "drop_duplicates",
    "drop_missing",
    *FILLS,
)
DEFAULT_STEPS = ("trim_text", "empty_to_null", "text_to_number", "drop_empty_rows", "drop_duplicates")

Problem = dict[str, Any]


def profiles(table: Table) -> list[dict[str, Any]]:
    """For each column its kind, how many values are missing, how many different ones there are."""
    return [_profile(table, column) for column in table.columns]


def _profile(table: Table, column: Column) -> dict[str, Any]:
    c = column.quoted
    count, distinct = table.row(f"SELECT count({c}), count(DISTINCT {c}) FROM dataset")
    missing = table.row_count - count
    share = round(missing / table.row_count, 4) if table.row_count else 0.0
    return {
        "name": column.name,
        "kind": column.kind,
        "missing": missing,
        "missing_share": share,
        "distinct": distinct,
    }


def problems(table: Table, profiled: list[dict[str, Any]], required: list[str]) -> list[Problem]:
    """What is wrong with the rows: `[{problem, column, count, severity, message}]`, errors first."""
    names = {column.name for column in table.columns}
    found = [
        _problem("missing_column", name, 1, "error", "is required and not there")
        for name in required
        if name not in names
    ]
    if not table.row_count:
        found.append(_problem("no_rows", None, 0, "error", "there are no rows"))
    for profile in profiled:
        found += _column_problems(table, profile, required)
    duplicates = duplicate_rows(table)
    if duplicates:
        found.append(_problem("duplicate_rows", None, duplicates, "warning", "rows that repeat an earlier one"))
    return sorted(found, key=lambda p: p["severity"] != "error")


def _problem(problem: str, column: str | None, count: int, severity: str, message: str) -> Problem:
    return {"problem": problem, "column": column, "count": count, "severity": severity, "message": message}


def _column_problems(table: Table, profile: dict[str, Any], required: list[str]) -> list[Problem]:
    name, missing, distinct = profile["name"], profile["missing"], profile["distinct"]
    found = []
    if missing:
        severity = "error" if name in required else "warning"
        found.append(_problem("missing_values", name, missing, severity, "values are missing"))
    if distinct == 1 and table.row_count > 2:
        found.append(_problem("constant", name, table.row_count, "note", "every value is the same"))
    if profile["kind"] == "text":
        found += _text_problems(table, name)
    return found


def _text_problems(table: Table, name: str) -> list[Problem]:
    c = quoted(name)
    count, empty, padded, numbers = table.row(
        f"SELECT count({c}), count(*) FILTER (trim({c}) = ''),"
        f" count(*) FILTER ({c} <> trim({c}) AND trim({c}) <> ''),"
        f" count(try_cast(trim({c}) AS DOUBLE)) FROM dataset"
    )
    found = []
    if empty:
        found.append(_problem("empty_text", name, empty, "warning", "texts are empty"))
    if padded:
        found.append(_problem("untrimmed_text", name, padded, "note", "texts begin or end with spaces"))
    if numbers and numbers >= 0.5 * (count - empty):
        other = count - empty - numbers
        message = "texts are no numbers, where most are" if other else "numbers are written as text"
        found.append(
            _problem("mixed_types" if other else "numbers_as_text", name, other or numbers, "warning", message)
        )
    return found


def duplicate_rows(table: Table) -> int:
    """How many rows repeat an earlier one."""
    sql = "SELECT (SELECT count(*) FROM dataset) - (SELECT count(*) FROM (SELECT DISTINCT * FROM dataset))"
    return int(table.row(sql)[0])


def score(table: Table, profiled: list[dict[str, Any]], found: list[Problem]) -> float:
    """From 0 to 1: the share of values present, times the share of rows that repeat none, 0 with an error."""
    if any(problem["severity"] == "error" for problem in found) or not table.row_count:
        return 0.0
    cells = table.row_count * len(table.columns)
    present = 1 - sum(profile["missing"] for profile in profiled) / cells
    return float(round(present * (1 - duplicate_rows(table) / table.row_count), 4))


def prepare(table: Table, steps: list[str]) -> dict[str, int]:
    """Carry out `steps` (of `STEPS`, in that order) on the table; how many values or rows each changed.

    Raises `InvalidParameters` for an unknown step.
    """
    unknown = [step for step in steps if step not in STEPS]
    if unknown:
        raise invalid("preparation", f"{unknown[0]!r} is no step of a preparation; {hint(unknown[0], STEPS)}")
    return {step: _carry_out(table, step) for step in STEPS if step in steps}


def _carry_out(table: Table, step: str) -> int:
    if step == "trim_text":
        return sum(
            _update(table, c, f"trim({c.quoted})", f"{c.quoted} <> trim({c.quoted})") for c in table.of_kind("text")
        )
    if step == "empty_to_null":
        return sum(_update(table, c, "NULL", f"trim({c.quoted}) = ''") for c in table.of_kind("text"))
    if step == "text_to_number":
        return sum(_to_number(table, index) for index, c in enumerate(table.columns) if c.kind == "text")
    if step in FILLS:
        return sum(_fill(table, c, FILLS[step]) for c in table.of_kind("number"))
    return _drop(table, step)


def _changed(table: Table, sql: str) -> int:
    changed = int(table.row(sql)[0])
    table.row_count = int(table.row("SELECT count(*) FROM dataset")[0])
    return changed


def _update(table: Table, column: Column, value: str, where: str) -> int:
    return _changed(table, f"UPDATE dataset SET {column.quoted} = {value} WHERE {where}")


def _to_number(table: Table, index: int) -> int:
    """Give a text column whose values are all numbers the type of numbers."""
    column = table.columns[index]
    c = column.quoted
    count, numbers = table.row(f"SELECT count({c}), count(try_cast({c} AS DOUBLE)) FROM dataset")
    finite = table.row(f"SELECT coalesce(bool_and(isfinite(try_cast({c} AS DOUBLE))), false) FROM dataset")[0]
    if not count or numbers < count or not finite:
        return 0
    table.connection.execute(f"ALTER TABLE dataset ALTER {c} TYPE DOUBLE")
    table.columns[index] = Column(column.name, "number")
    return int(count)


def _fill(table: Table, column: Column, how: str) -> int:
    value = "0" if how == "zero" else f"(SELECT {how}({column.quoted}) FROM dataset)"
    return _update(table, column, value, f"{column.quoted} IS NULL")


def _drop(table: Table, step: str) -> int:
    names = [column.quoted for column in table.columns]
    if step == "drop_empty_rows":
        where = " AND ".join(f"{name} IS NULL" for name in names)
    elif step == "drop_missing":
        where = " OR ".join(f"{name} IS NULL" for name in names)
    else:
        first = f"SELECT min(rowid) FROM dataset GROUP BY {', '.join(names)}"
        where = f"rowid NOT IN ({first})"
    return _changed(table, f"DELETE FROM dataset WHERE {where}")
