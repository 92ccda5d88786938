# ruff: noqa: S608 - the SQL is ours: names go through `quoted`, values are bound
"""What to draw of a result: `[{name, svg}]`."""

from __future__ import annotations

from typing import Any

from agents.data import svg
from agents.data.table import Column, Table

MAX_CHARTS = 6
MAX_BARS = 30

Chart = dict[str, str]


def _chart(name: str, drawn: str) -> Chart:
    return {"name": name, "svg": drawn}


def distributions(table: Table, columns: list[Column]) -> list[Chart]:
    """A histogram of each number column, the commonest values of the others; at most six charts."""
    wanted = [c for c in columns if c.kind == "number"] or [c for c in columns if c.kind in ("text", "boolean")]
    charts = [histogram(table, c) if c.kind == "number" else commonest(table, c) for c in wanted[:MAX_CHARTS]]
    return [chart for chart in charts if chart]


def histogram(table: Table, column: Column) -> Chart | None:
    """Values in bins of equal width, as many as Sturges' rule says (1926)."""
    c = column.quoted
    count, low, high = table.row(f"SELECT count({c}), min({c})::DOUBLE, max({c})::DOUBLE FROM dataset")
    if not count or max(abs(low), abs(high)) > 1e150:
        return None
    bins = min(max((count - 1).bit_length() + 1, 1), 20) if high > low else 1
    width = (high - low) / bins or 1.0
    found = dict(
        table.values(
            f"SELECT least(floor(({c}::DOUBLE - ?) / ?), ?)::INTEGER AS bin, count(*) FROM dataset"
            f" WHERE {c} IS NOT NULL GROUP BY bin",
            [low, width, bins - 1],
        )
    )
    labels = (
        [f"{low + n * width:.4g} to {low + (n + 1) * width:.4g}" for n in range(bins)] if high > low else [f"{low:g}"]
    )
    values = [float(found.get(n, 0)) for n in range(bins)]
    told = f"Histogram of {count} values of {column.name} between {low:g} and {high:g}"
    return _chart(f"histogram_{column.name}", svg.bars(f"Distribution of {column.name}", labels, values, told))


def commonest(table: Table, column: Column) -> Chart | None:
    """The ten commonest values."""
    c = column.quoted
    sql = f"SELECT {c}, count(*) AS n FROM dataset WHERE {c} IS NOT NULL GROUP BY 1 ORDER BY n DESC, 1 LIMIT 10"
    return bars(f"values_{column.name}", f"Commonest values of {column.name}", table.values(sql))


def bars(name: str, title: str, pairs: list[tuple[Any, ...]]) -> Chart | None:
    """A bar for each (label, number); None where there is nothing to draw."""
    known = [(str(label), float(value)) for label, value in pairs if value is not None][:MAX_BARS]
    if not known:
        return None
    labels, values = zip(*known, strict=True)
    return _chart(name, svg.bars(title, labels, values))


def line(name: str, title: str, labels: list[Any], values: list[float], fit: list[float]) -> Chart | None:
    """A line with its fitted one; None for fewer than two points."""
    return _chart(name, svg.line(title, [str(x) for x in labels], values, fit)) if len(values) > 1 else None
