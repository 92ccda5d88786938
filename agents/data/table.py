# ruff: noqa: S608 - the SQL is ours: names go through `quoted`, values are bound
"""A table in a DuckDB of its own, in memory, that can reach nothing else."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.data.errors import invalid
from agents.plain import clean_text

if TYPE_CHECKING:
    import duckdb  # imported where a table is opened: processes that open none save 50 ms and memory

MAX_ROWS = 1_000_000
MAX_INLINE_ROWS = 200_000
MAX_COLUMNS = 200
MEMORY = "512MB"

_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "DOUBLE")
_BIG_NUMBERS = ("UBIGINT", "HUGEINT", "UHUGEINT", "DECIMAL", "FLOAT")
_READERS = {
    ".csv": "read_csv(?, sample_size=-1)",
    ".tsv": "read_csv(?, sample_size=-1)",
    ".json": "read_json(?)",
    ".jsonl": "read_json(?)",
    ".ndjson": "read_json(?)",
    ".parquet": "read_parquet(?)",
}
FILE_KINDS = tuple(_READERS)


@dataclass(frozen=True, slots=True)
class Column:
    """`kind` is `number`, `text`, `time` or `boolean`."""

    name: str
    kind: str

    @property
    def quoted(self) -> str:
        return quoted(self.name)


@dataclass(slots=True)
class Table:
    """The rows as the table `dataset` of `connection`, in their order (`rowid`). Close it after use."""

    connection: duckdb.DuckDBPyConnection
    columns: list[Column]
    row_count: int
    notes: list[str] = field(default_factory=list)

    def of_kind(self, *kinds: str) -> list[Column]:
        return [column for column in self.columns if column.kind in kinds]

    def values(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query of ours, as plain JSON values."""
        found = self.connection.execute(sql, list(parameters)).fetchall()
        return [tuple(plain(value) for value in row) for row in found]

    def row(self, sql: str, parameters: Sequence[Any] = ()) -> tuple[Any, ...]:
        return self.values(sql, parameters)[0]

    def records(self, sql: str = "SELECT * FROM dataset", limit: int = 100) -> list[dict[str, Any]]:
        """At most `limit` rows of a query of ours, as objects."""
        names = [c[0] for c in self.connection.execute(f"SELECT * FROM ({sql}) LIMIT {limit}").description or []]
        return [dict(zip(names, map(plain, row), strict=True)) for row in self.connection.fetchall()]

    def close(self) -> None:
        self.connection.close()


def quoted(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def plain(value: Any) -> Any:
    """A DuckDB value as JSON: NaN and Infinity become None, times ISO 8601 text, decimals numbers."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**63 else float(value)
    if isinstance(value, float | Decimal):
        number = float(value)
        return number if math.isfinite(number) else None
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else str(value)


def from_file(path: Path, shown: str) -> Table:
    """The table in a CSV, JSON or Parquet file; `shown` is its name in errors.

    Raises `InvalidParameters` where DuckDB can't read it, or past `MAX_ROWS` or `MAX_COLUMNS`.
    """
    import duckdb

    reader = _READERS[path.suffix.lower()]
    connection = _connect()
    try:
        # Read before the database is sealed: from then on no file can be reached, this one included.
        sql = f"CREATE TABLE raw AS SELECT * FROM {reader} LIMIT {MAX_ROWS + 1}"
        connection.execute(sql, [str(path)])
    except duckdb.Error as error:
        connection.close()
        told = str(error).partition("\n")[0].replace(str(path), shown)
        raise invalid("data_source", f"{shown} can't be read as a table: {told}") from None
    return _finished(connection, shown)


def from_rows(rows: list[dict[str, Any]], shown: str = "data") -> Table:
    """The table of a list of objects; a column takes the narrowest type that all its values have.

    Mixed and nested values become text. Raises `InvalidParameters` past the limits.
    """
    if len(rows) > MAX_INLINE_ROWS:
        raise invalid(shown, f"has {len(rows):,} rows; the limit inline is {MAX_INLINE_ROWS:,}: use a file")
    names = list(dict.fromkeys(name for row in rows for name in row))
    if not names:
        raise invalid(shown, 'has no columns: give a list of objects, such as [{"x": 1}, {"x": 2}]')
    _check_columns(len(names), shown)
    types = [_type_of([row.get(name) for row in rows]) for name in names]
    cells = [{f"c{i}": _cell(row.get(n), t) for i, (n, t) in enumerate(zip(names, types, strict=True))} for row in rows]
    shape = json.dumps([{f"c{i}": t for i, t in enumerate(types)}])
    selected = ", ".join(f"r.c{i} AS {quoted(n)}" for i, n in enumerate(_distinct(names)))
    connection = _connect()
    connection.execute(
        f"CREATE TABLE raw AS SELECT {selected} FROM (SELECT unnest(from_json(?::JSON, '{shape}')) AS r)",
        [json.dumps(cells)],
    )
    return _finished(connection, shown)


def _connect() -> duckdb.DuckDBPyConnection:
    import duckdb

    settings: dict[str, Any] = {
        "memory_limit": MEMORY,
        "threads": 1,  # sums of floats depend on their order: one thread gives the same result each time
        "temp_directory": "",
        "autoload_known_extensions": False,
        "autoinstall_known_extensions": False,
        "python_enable_replacements": False,  # a query must not see Python's variables
    }
    return duckdb.connect(":memory:", config=settings)


def _finished(connection: duckdb.DuckDBPyConnection, shown: str) -> Table:
    """Give `raw` plain column types, name it `dataset`, and seal the database."""
    try:
        described = connection.execute("DESCRIBE raw").fetchall()
        _check_columns(len(described), shown)
        selected = [_cast(connection, str(name), str(kind)) for name, kind, *_ in described]
        connection.execute(f"CREATE TABLE dataset AS SELECT {', '.join(selected)} FROM raw ORDER BY rowid")
        connection.execute("DROP TABLE raw")
        connection.execute("CREATE VIEW data AS SELECT * FROM dataset")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        count = int(connection.execute("SELECT count(*) FROM dataset").fetchall()[0][0])
        if count > MAX_ROWS:
            raise invalid("data_source", f"{shown} has more than {MAX_ROWS:,} rows, which is the limit")
        return Table(connection, _columns(connection), count)
    except BaseException:
        connection.close()
        raise


def _columns(connection: duckdb.DuckDBPyConnection) -> list[Column]:
    described = connection.execute("DESCRIBE dataset").fetchall()
    return [Column(str(name), _kind(str(kind))) for name, kind, *_ in described]


def _kind(sql_type: str) -> str:
    if sql_type in _NUMBERS:
        return "number"
    if sql_type.startswith(("DATE", "TIMESTAMP")):
        return "time"
    return "boolean" if sql_type == "BOOLEAN" else "text"


def _cast(connection: duckdb.DuckDBPyConnection, name: str, sql_type: str) -> str:
    column = quoted(name)
    if sql_type in ("DOUBLE", "FLOAT"):
        number = f"CAST({column} AS DOUBLE)"
        return f"CASE WHEN isfinite({number}) THEN {number} END AS {column}"
    if sql_type == "TIMESTAMP WITH TIME ZONE":
        return f"make_timestamp(epoch_us({column})) AS {column}"  # in UTC; the type itself needs another package
    if sql_type.startswith(_BIG_NUMBERS):
        return f"CAST({column} AS DOUBLE) AS {column}"
    if sql_type == "VARCHAR":
        return f"CAST({column} AS {_time_type(connection, column)}) AS {column}"
    if _kind(sql_type) != "text":
        return column
    nested = sql_type.endswith("]") or sql_type.startswith(("STRUCT", "MAP", "UNION"))
    return f"CAST({f'to_json({column})' if nested else column} AS VARCHAR) AS {column}"


def _time_type(connection: duckdb.DuckDBPyConnection, column: str) -> str:
    """The type of a text column: DATE or TIMESTAMP if each of its values is an ISO 8601 date or time."""
    pattern = r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}(:?\d{2})?)?)?"
    shaped, present, days, times = connection.execute(
        f"SELECT count(*) FILTER (regexp_full_match({column}, '{pattern}')), count({column}),"
        f" count(*) FILTER (length({column}) = 10 AND try_cast({column} AS DATE) IS NOT NULL),"
        f" count(try_cast({column} AS TIMESTAMP)) FROM raw"
    ).fetchall()[0]
    if not present or shaped < present:
        return "VARCHAR"
    return "DATE" if days == present else "TIMESTAMP" if times == present else "VARCHAR"


def _check_columns(count: int, shown: str) -> None:
    if count > MAX_COLUMNS:
        raise invalid("data", f"{shown} has {count:,} columns; the limit is {MAX_COLUMNS}")


def _distinct(names: list[str]) -> list[str]:
    """The names, changed where they differ only in case, which SQL does not tell apart, or are empty."""
    taken: set[str] = set()
    given = []
    for number, name in enumerate(names, 1):
        wanted = clean_text(name) or f"column{number}"
        unique, suffix = wanted, 2
        while unique.lower() in taken:
            unique, suffix = f"{wanted}_{suffix}", suffix + 1
        taken.add(unique.lower())
        given.append(unique)
    return given


def _type_of(values: list[Any]) -> str:
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return "BOOLEAN"
    if kinds == {int} and all(abs(value) < 2**63 for value in values if value is not None):
        return "BIGINT"
    return "DOUBLE" if kinds and kinds <= {int, float} else "VARCHAR"


def _cell(value: Any, sql_type: str) -> Any:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if sql_type == "DOUBLE":
        return _finite(value)
    if sql_type != "VARCHAR":
        return value
    return clean_text(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _finite(value: float) -> float | None:
    try:
        return float(value)
    except OverflowError:
        return None
