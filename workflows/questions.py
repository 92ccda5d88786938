"""What the hot path asks: QuerySets that the ORM puts together once, and that are asked again with other values."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection, models

from workflows.statements import adapted, execute, literal, on_postgresql

NOW = datetime(1, 1, 1, tzinfo=UTC)
WHO = uuid.UUID(int=0)
NAME = "?name"
KEY = 1 << 60


class Compiled:
    """A SELECT that the ORM has put together once, for values that differ each time.

    In ``make``'s QuerySets `NOW`, `WHO`, `NAME` and `KEY` stand for a time, a UUID, a text and a number.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._made: dict[bool, tuple[Any, str, list[Any]]] = {}  # for each store

    def _fetch(self, values: Mapping[Any, Any]) -> tuple[Any, list[Any]]:
        """What `_compile` says of the columns, and the rows."""
        store = on_postgresql()
        if store not in self._made:
            self._made[store] = self._compile()
        made, sql, places = self._made[store]
        given = dict(zip(adapted(values), adapted(values.values()), strict=True))
        with connection.wrap_database_errors:
            return made, execute(sql, [given.get(place, place) for place in places]).fetchall()

    def _compile(self) -> tuple[Any, str, list[Any]]:
        raise NotImplementedError


class Question(Compiled):
    """Which of some QuerySets, by name, have rows. On PostgreSQL `NOW` is the database's own time."""

    def ask(self, who: uuid.UUID) -> tuple[datetime, dict[str, bool]]:
        """The time, and the answers."""
        now = datetime.now(UTC)
        names, [(told, *answers)] = self._fetch({NOW: now, WHO: who})
        return told or now, dict(zip(names, map(bool, answers), strict=True))

    def _compile(self) -> tuple[Any, str, list[Any]]:
        columns, places = ["statement_timestamp()" if on_postgresql() else "NULL"], []
        querysets = self._make()
        for queryset in querysets.values():
            sql, values = _settled(*queryset.order_by().values("pk").query.sql_with_params(), own_clock=True)
            columns.append(f"EXISTS ({sql})")
            places += values
        return list(querysets), f"SELECT {', '.join(columns)}", places


class Selection(Compiled):
    """The rows of a QuerySet, as instances of its model; ``locked``, without those that others have locked.

    With ``own_clock`` `NOW` is the database's own time on PostgreSQL.
    """

    def __init__(
        self, make: Callable[[], models.QuerySet[Any]], *, locked: bool = False, own_clock: bool = False
    ) -> None:
        super().__init__(make)
        self._locked = locked
        self._own_clock = own_clock

    def rows(self, values: Mapping[Any, Any]) -> list[Any]:
        """``values``: what stands for them → values."""
        (model, converters), found = self._fetch(values)
        names = [field.attname for field in model._meta.concrete_fields]
        return [
            model.from_db(DEFAULT_DB_ALIAS, names, [_converted(*pair) for pair in zip(row, converters, strict=True)])
            for row in found
        ]

    def _compile(self) -> tuple[Any, str, list[Any]]:
        queryset = self._make()
        table, operations = queryset.model._meta.db_table, connection.ops
        columns = [field.get_col(table) for field in queryset.model._meta.concrete_fields]
        converters = [
            [
                (convert, column)
                for convert in (*operations.get_db_converters(column), *column.get_db_converters(connection))
            ]
            for column in columns
        ]
        sql, values = _settled(*queryset.query.sql_with_params(), own_clock=self._own_clock)
        # SQLite has one lock, and its transaction has it.
        if self._locked and connection.features.has_select_for_update_skip_locked:
            sql += f" FOR UPDATE OF {operations.quote_name(table)} SKIP LOCKED"
        return (queryset.model, converters), sql, values


def _settled(sql: str, values: Sequence[Any], *, own_clock: bool) -> tuple[str, list[Any]]:
    """The statement with all that is always the same written out, and the values of the places that are left.

    Else a prepared plan could use no index that has a condition. ``own_clock``: see `Selection`.
    """
    parts, left = sql.split("%s"), []
    given = adapted((NOW, WHO, NAME, KEY))
    for at, value in enumerate(values):
        if value == NOW and own_clock and on_postgresql():
            parts[at] += "statement_timestamp()"
        elif isinstance(value, str | int) and value not in given:
            parts[at] += literal(value)
        else:
            parts[at] += "%s"
            left.append(value)
    return "".join(parts), left


def _converted(value: Any, converters: list[tuple[Callable[..., Any], Any]]) -> Any:
    for convert, column in converters:
        value = convert(value, column, connection)
    return value
