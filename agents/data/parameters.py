"""What `data_analysis` takes."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from agents.data.quality import DEFAULT_STEPS, STEPS
from agents.data.summaries import AGGREGATES
from agents.functions.base import EXPLICIT, Parameters, Words

_explicit: Any = {"default": None, "json_schema_extra": EXPLICIT}
_explicit_words: Any = {"default_factory": list, "json_schema_extra": EXPLICIT}


# Almost all are explicit: results of earlier steps have keys such as `columns` or `query` that mean something
# else. For data, `sources.choose` looks into the context, as it must tell a step's own from what it finds.
class DataAnalysis(Parameters):
    """What to compute, of what, and how. Lists of names may also be one text, divided by commas.

    Data that the step doesn't name are taken from the context: `data_source`, `data`, `rows` or `dataset`.
    """

    data: Any = Field(
        **_explicit,
        description="The data in place: a list of objects, of numbers or of lists; columns (name → list of values); "
        "or JSON, CSV or plain text.",
    )
    rows: Any = Field(**_explicit, description="The same as `data`, under the name that results give it.")
    dataset: Any = Field(**_explicit, description="The same as `data`.")
    data_source: Any = Field(
        **_explicit,
        description="Name of the data: sample_dataset or synthetic_healthcare_metrics (both made up), or a CSV, TSV, "
        "JSON, JSONL or Parquet file in the server's data folder.",
    )
    operation: str | None = Field(
        **_explicit,
        description="What to compute: basic, data_validation, data_preparation, statistical_summary, correlation, "
        "group_by, query, outliers, trend or pattern (default: query where `sql` is given, else basic).",
    )
    analysis_type: str | None = Field(
        **_explicit, description="The same as `operation`, as in the original system; also basic, statistical, pattern."
    )
    include_charts: bool = Field(False, description="Add charts to the result, as SVG.")
    columns: Words = Field(
        **_explicit_words, description="Columns to look at (default: all that the operation can be applied to)."
    )
    required: Words = Field(
        **_explicit_words, description="For data_validation: columns that must be there, without missing values."
    )
    preparation: Words | None = Field(
        **_explicit,
        description=f"For data_preparation: which steps, of {', '.join(STEPS)}; carried out in this order "
        f"(default: {', '.join(DEFAULT_STEPS)}).",
    )
    by: Words = Field(**_explicit_words, description="For group_by: the columns whose values make a group.")
    aggregates: Words = Field(
        default_factory=lambda: ["mean", "sum"],
        json_schema_extra=EXPLICIT,
        description=f"For group_by: what to compute of each column of numbers, of {', '.join(AGGREGATES)} "
        "(default: mean, sum).",
    )
    sql: str | None = Field(**_explicit, description="For query: one SELECT over the table `dataset`, in DuckDB's SQL.")
    query: str | None = Field(**_explicit, description="For query: the same as `sql`.")
    correlation_method: Literal["pearson", "spearman"] = Field(
        "pearson", description="For correlation: pearson (linear) or spearman (of the ranks)."
    )
    outlier_method: Literal["iqr", "zscore"] = Field(
        "iqr",
        description="For outliers: iqr (beyond the quartiles by over 1.5 times their distance) or "
        "zscore (over 3 standard deviations from the mean).",
    )
    time_column: str | None = Field(
        **_explicit,
        description="For trend: the column of times or numbers to go by (default: the first column of times, "
        "else the order of the rows).",
    )
