"""Where the data of an analysis comes from: parameters, the context, a file, a built-in set."""

from __future__ import annotations

import csv
import io
import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agents.conf import setting
from agents.data import table
from agents.data.builtin import BUILTIN
from agents.data.errors import invalid
from agents.data.table import Table
from agents.wording import hint

INLINE = "inline"
MAX_FILE_BYTES = 256 * 1024 * 1024
MAX_TEXT_CHARACTERS = 20_000_000
DELIMITERS = ",;\t|"

_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?")
# Keys of a context under which an earlier step may have left rows, the likeliest first.
CONTEXT_NAMES = ("data", "rows", "dataset")
_READ = (*CONTEXT_NAMES, "data_source", "preparation", "rows_complete")


@dataclass(frozen=True, slots=True)
class Source:
    """Chosen data. `name`: what a later step may call it (`inline` for rows given in place).

    Exactly one of `rows`, `path` and `text` is set; `text` is prose, in which no table was found.
    """

    name: str
    rows: list[dict[str, Any]] | None = None
    path: Path | None = None
    text: str | None = None
    synthetic: bool = False
    notes: tuple[str, ...] = ()
    preparation: tuple[str, ...] = ()

    def told(self) -> dict[str, Any]:
        """What a result says of its source."""
        told: dict[str, Any] = {"data_source": self.name, "synthetic": self.synthetic}
        return told | ({"note": " ".join(self.notes)} if self.notes else {})

    def open(self) -> Table:
        """The table; raises `InvalidParameters` for prose and for what can't be read. Close it after use."""
        if self.path is not None:
            return table.from_file(self.path, self.name)
        if self.rows is not None:
            return table.from_rows(self.rows)
        return _text_table(self.text or "")


def choose(given: Mapping[str, Any], context: Mapping[str, Any], *, default: str | None = None) -> Source:
    """The data to work on: what the step names, else what earlier steps left in the context, else `default`.

    `given` and `context` may have `data_source`, `data`, `rows`, `dataset`. Raises `InvalidParameters`,
    listing the sources, where there is none.
    """
    found = _of_step(given) or _of_context(context)
    if found:
        return found
    if default:
        note = f"no data given: this is the built-in, made-up set {default!r}."
        return _builtin(default, (note,))
    raise invalid(
        "data",
        "no data: give rows or CSV/JSON text in 'data', or name a 'data_source': "
        f"{_known()}; or let an earlier step's result have 'data_source', 'data' or 'rows'",
    )


def read_of(context: Mapping[str, Any]) -> dict[str, Any]:
    """All of a context that `choose` may look at."""
    return {name: context[name] for name in _READ if name in context}


def _of_step(given: Mapping[str, Any]) -> Source | None:
    for name in CONTEXT_NAMES:
        if given.get(name) is not None:
            return inline(given[name], name)
    source = given.get("data_source")
    return None if source is None or source == "" else _named(source)


def _of_context(context: Mapping[str, Any]) -> Source | None:
    source = context.get("data_source")
    steps = tuple(s for s in context.get("preparation") or () if isinstance(s, str))
    if isinstance(source, str) and source != INLINE and (found := _find(source)):
        return replace(found, preparation=steps)
    names = ("rows", "data", "dataset") if source == INLINE else CONTEXT_NAMES
    for name in names:
        value = context.get(name)
        if isinstance(value, list | dict | str) and value:
            found = inline(value, name)
            return replace(found, notes=found.notes + _rows_note(name, context))
    return None


def _rows_note(name: str, context: Mapping[str, Any]) -> tuple[str, ...]:
    if name != "rows" or context.get("rows_complete") is not False:
        return ()
    return (f"only the first {len(context['rows'])} rows of the earlier step's data were in the context.",)


def _named(source: Any) -> Source:
    """A built-in set, a file, or data given in place of a name."""
    if not isinstance(source, str) or source.lstrip()[:1] in ("[", "{") or "\n" in source.strip():
        return inline(source, "data_source")
    found = _find(source)
    if found:
        return found
    told = hint(source, [*BUILTIN, *_files()], shown=[_known()])
    raise invalid("data_source", f"there is no source {source!r}; {told}")


def _find(source: str) -> Source | None:
    if source.strip().lower() in BUILTIN:
        return _builtin(source.strip().lower())
    path = _file(source)
    return Source(source, path=path) if path else None


def _builtin(name: str, notes: tuple[str, ...] = ()) -> Source:
    return Source(name, rows=BUILTIN[name](), synthetic=True, notes=notes)


# --- Files -----------------------------------------------------------------------------------------------


def folder() -> Path:
    """The folder whose files an analysis may read: `files` under KOLOSAL_DATA_DIR."""
    return Path(setting("DATA_DIR", "data")) / "files"


def _files() -> list[str]:
    root = folder()
    if not root.is_dir():
        return []
    found = (p for p in sorted(root.rglob("*")) if p.suffix.lower() in table.FILE_KINDS)
    return [p.relative_to(root).as_posix() for p, _ in zip(found, range(100), strict=False)]


def _known() -> str:
    return ", ".join([*BUILTIN, *_files()]) + " (or a file of the folder 'files' under KOLOSAL_DATA_DIR)"


def _file(name: str) -> Path | None:
    """The file of that name in the data folder, None if there is none; refuses what lies outside of it."""
    if not name or "\x00" in name or len(name) > 500:
        return None
    root = folder().resolve()
    path = (root / name.removeprefix("files/")).resolve()  # follows symlinks, so their targets are checked
    if not path.is_relative_to(root):
        raise invalid("data_source", f"{name!r} lies outside the data folder; name a file inside it")
    if not path.is_file():
        return None
    if path.suffix.lower() not in table.FILE_KINDS:
        raise invalid("data_source", f"{name!r} is of no known kind; known: {', '.join(table.FILE_KINDS)}")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise invalid("data_source", f"{name!r} is larger than the limit of {MAX_FILE_BYTES >> 20} MiB")
    return path


# --- Data given in place ---------------------------------------------------------------------------------


def inline(value: Any, path: str) -> Source:
    """Rows, columns or text given in place. Raises `InvalidParameters` for JSON that is no table."""
    if isinstance(value, str):
        return _of_text(value, path)
    return Source(INLINE, rows=rows_of(value, path))


def rows_of(value: Any, path: str) -> list[dict[str, Any]]:
    """A list of objects, made of such a list, one of values, one of lists, columns, or one object."""
    if isinstance(value, Mapping):
        return _rows_of_object(value, path)
    if not isinstance(value, list | tuple):
        return [{"value": value}]
    if not value:
        raise invalid(path, "is an empty list: there is nothing to analyse")
    kinds = {_shape(item) for item in value}
    if kinds == {"an object"}:
        return [dict(item) for item in value]
    if kinds == {"a list"}:
        return [{f"column{n}": cell for n, cell in enumerate(item, 1)} for item in value]
    if kinds == {"a value"}:
        return [{"value": item} for item in value]
    odd = next(i for i, item in enumerate(value) if _shape(item) != _shape(value[0]))
    raise invalid(f"{path}[{odd}]", f"is {_shape(value[odd])} where the first row is {_shape(value[0])}; give objects")


def _rows_of_object(value: Mapping[str, Any], path: str) -> list[dict[str, Any]]:
    for name in ("rows", "data", "items", "records"):
        if isinstance(value.get(name), list):
            return rows_of(value[name], f"{path}.{name}")
    columns = list(value.values())
    if columns and all(isinstance(c, list) for c in columns):
        if len({len(c) for c in columns}) > 1:
            sizes = ", ".join(f"{k}: {len(c)}" for k, c in value.items())
            raise invalid(path, f"its columns differ in length ({sizes}); give each the same number of values")
        return [dict(zip(value, cells, strict=True)) for cells in zip(*columns, strict=True)]
    return [dict(value)]


def _shape(item: Any) -> str:
    return "an object" if isinstance(item, Mapping) else "a list" if isinstance(item, list | tuple) else "a value"


def _of_text(text: str, path: str) -> Source:
    if len(text) > MAX_TEXT_CHARACTERS:
        raise invalid(path, f"has {len(text):,} characters; the limit is {MAX_TEXT_CHARACTERS:,}: use a file")
    parsed = _json(text.strip())
    if isinstance(parsed, list | dict) and parsed:
        return Source(INLINE, rows=rows_of(parsed, path))
    return Source(INLINE, text=text)


def _json(text: str) -> Any:
    if not text.startswith(("[", "{")):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except (ValueError, RecursionError):
        return None


def is_table(text: str) -> bool:
    """Whether a text is a list of numbers or a table divided by commas, semicolons, tabs or bars."""
    return _number_rows(text) is not None or _delimiter(text) is not None


def _text_table(text: str) -> Table:
    numbers = _number_rows(text)
    if numbers is not None:
        return table.from_rows(numbers)
    delimiter = _delimiter(text)
    if delimiter is not None:
        return _csv_table(text)
    found = [float(number) for number in _NUMBER.findall(text)]
    if not found:
        raise invalid("data", "is prose without numbers; give a list of objects, JSON text, or CSV text with a header")
    opened = table.from_rows([{"value": number} for number in found])
    opened.notes.append("the data is prose: its numbers were analysed, in their order.")
    return opened


def _number_rows(text: str) -> list[dict[str, Any]] | None:
    lines = [re.split(r"[,;\s]+", line.strip(" \t,;")) for line in text.strip().splitlines() if line.strip()]
    if not lines or not all(_NUMBER.fullmatch(cell) for line in lines for cell in line):
        return None
    if len(lines) == 1 or max(map(len, lines)) == 1:
        return [{"value": _number(cell)} for line in lines for cell in line]
    if len({len(line) for line in lines}) > 1:
        return [{"value": _number(cell)} for line in lines for cell in line]
    return [{f"column{n}": _number(cell) for n, cell in enumerate(line, 1)} for line in lines]


def _number(text: str) -> float | int:
    return int(text) if re.fullmatch(r"[+-]?\d{1,18}", text) else float(text)


def _delimiter(text: str) -> str | None:
    """The character that divides a text into columns, "" for a single column of numbers, None for prose."""
    lines = [line for line in text.strip().splitlines()[:50] if line.strip()]
    if len(lines) < 2:
        return None
    for delimiter in DELIMITERS:
        counts = [len(cells) for cells in csv.reader(io.StringIO("\n".join(lines)), delimiter=delimiter)]
        if counts and counts[0] > 1 and sum(n == counts[0] for n in counts) >= 0.8 * len(counts):
            return delimiter
    single = all(_NUMBER.fullmatch(line.strip()) for line in lines[1:])
    return "" if single else None


def _csv_table(text: str) -> Table:
    # DuckDB reads CSV, with its finding of types, from files only.
    with tempfile.TemporaryDirectory(prefix="kolosal-") as place:
        path = Path(place) / "data.csv"
        path.write_text(text.strip() + "\n", encoding="utf-8", errors="replace")
        return table.from_file(path, "data")
