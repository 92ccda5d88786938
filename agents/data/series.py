# ruff: noqa: S608 - the SQL is ours: names go through `quoted`, values are bound
"""Outliers and trends."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

from agents.data.errors import invalid
from agents.data.summaries import rounded
from agents.data.table import Column, Table

MAX_LISTED = 50
_SECONDS = {"day": 86_400.0, "hour": 3_600.0, "minute": 60.0, "second": 1.0}


def outliers(table: Table, columns: list[Column], method: str) -> dict[str, dict[str, Any]]:
    """For each number column its limits and the values beyond them (at most 50, the furthest first).

    `iqr`: beyond the quartiles by over 1.5 times their distance (Tukey, Exploratory Data Analysis, 1977);
    `zscore`: more than 3 standard deviations from the mean. `row` counts from 0.
    """
    return {column.name: _outliers(table, column, method) for column in columns}


def _outliers(table: Table, column: Column, method: str) -> dict[str, Any]:
    c = f"{column.quoted}::DOUBLE"
    low, high = _iqr_limits(table, c) if method == "iqr" else _zscore_limits(table, c)
    if low is None or high is None:
        return {"lower_limit": None, "upper_limit": None, "count": 0, "share": 0.0, "outliers": []}
    where = f"{c} < ? OR {c} > ?"
    count = table.row(f"SELECT count(*) FROM dataset WHERE {where}", [low, high])[0]
    found = table.values(
        f"SELECT rowid, {c} FROM dataset WHERE {where}"
        f" ORDER BY greatest(? - {c}, {c} - ?) DESC, rowid LIMIT {MAX_LISTED}",
        [low, high, low, high],
    )
    return {
        "lower_limit": rounded(low),
        "upper_limit": rounded(high),
        "count": count,
        "share": round(count / table.row_count, 4),
        "outliers": [{"row": row, "value": rounded(value)} for row, value in found],
    }


def _iqr_limits(table: Table, c: str) -> tuple[float | None, float | None]:
    q1, q3 = table.row(f"SELECT quantile_cont({c}, 0.25), quantile_cont({c}, 0.75) FROM dataset")
    return (None, None) if q1 is None else _finite(q1 - 1.5 * (q3 - q1), q3 + 1.5 * (q3 - q1))


def _zscore_limits(table: Table, c: str) -> tuple[float | None, float | None]:
    sql = f"SELECT avg({c}), CASE WHEN max(abs({c})) < 1e100 THEN stddev_samp({c}) END FROM dataset"
    mean, deviation = table.row(sql)
    return (None, None) if deviation is None else _finite(mean - 3 * deviation, mean + 3 * deviation)


def _finite(low: float, high: float) -> tuple[float | None, float | None]:
    return (low, high) if math.isfinite(low) and math.isfinite(high) else (None, None)


def trend(table: Table, column: Column, time: Column | None) -> dict[str, Any]:
    """The least-squares line through a column over time (or over the rows, where no time is known).

    `slope` is per `per` (day, hour, minute, second, row, or the name of a number column). `direction` is
    `flat` where the slope is within twice its standard error. Raises `InvalidParameters` below 3 values.
    """
    points = _points(table, column, time)
    if len(points) < 3:
        raise invalid("columns", f"a trend needs 3 values at least; {column.name!r} has {len(points)} with a time")
    xs, per = _distances([x for x, _ in points], time)
    ys = [y for _, y in points]
    slope, start, squared, error = _fitted(xs, ys)
    return {
        "slope": rounded(slope),
        "intercept": rounded(start),
        "per": per,
        "r_squared": rounded(squared),
        "direction": "flat" if abs(slope) <= 2 * error else "rising" if slope > 0 else "falling",
        "points": len(points),
        "first": rounded(ys[0]),
        "last": rounded(ys[-1]),
        "change_percent": rounded(100 * (ys[-1] - ys[0]) / abs(ys[0])) if ys[0] else None,
        "_labels": [x for x, _ in points],
        "_values": ys,
        "_fit": [start + slope * x for x in xs],
    }


def _points(table: Table, column: Column, time: Column | None) -> list[tuple[Any, float]]:
    """(place, mean value there), in order."""
    if time is None:
        value = column.quoted
        sql = f"SELECT rowid, {value}::DOUBLE FROM dataset WHERE {value} IS NOT NULL ORDER BY rowid"
    else:
        place = f"epoch({time.quoted})" if time.kind == "time" else f"{time.quoted}::DOUBLE"
        sql = (
            f"SELECT {place} AS x, avg({column.quoted}::DOUBLE) FROM dataset"
            f" WHERE x IS NOT NULL AND {column.quoted} IS NOT NULL GROUP BY x ORDER BY x"
        )
    return [(x, y) for x, y in table.values(sql) if x is not None and y is not None and abs(y) < 1e100]


def _distances(places: list[float], time: Column | None) -> tuple[list[float], str]:
    """Places counted from the first, in the unit that the slope is per."""
    if time is None:
        return [float(x - places[0]) for x in places], "row"
    if time.kind != "time":
        return [float(x - places[0]) for x in places], time.name
    mean_gap = (places[-1] - places[0]) / max(len(places) - 1, 1)
    unit = next((name for name, seconds in _SECONDS.items() if mean_gap >= seconds), "second")
    return [(x - places[0]) / _SECONDS[unit] for x in places], unit


def _fitted(xs: list[float], ys: list[float]) -> tuple[float, float, float | None, float]:
    """Slope, start, share of the variance explained (None for a constant), standard error of the slope."""
    n = len(xs)
    mean_x, mean_y = math.fsum(xs) / n, math.fsum(ys) / n
    sxx = math.fsum((x - mean_x) ** 2 for x in xs)
    sxy = math.fsum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True))
    syy = math.fsum((y - mean_y) ** 2 for y in ys)
    slope = sxy / sxx if sxx else 0.0
    rest = max(syy - slope * sxy, 0.0)
    error = math.sqrt(rest / (n - 2) / sxx) if sxx else 0.0
    return slope, mean_y - slope * mean_x, 1 - rest / syy if syy else None, error


def labels(places: list[float], time: Column | None) -> list[str]:
    """The places of a trend as people read them: dates, times or numbers."""
    if time is None or time.kind != "time":
        return [f"{place:g}" for place in places]
    moments = [datetime.fromtimestamp(place, UTC) for place in places]
    midnight = all(moment.hour == moment.minute == 0 for moment in moments)
    return [moment.strftime("%Y-%m-%d" if midnight else "%Y-%m-%d %H:%M") for moment in moments]
