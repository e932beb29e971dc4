"""The rows of one export: the operator's scope and the caller's conditions as a WHERE.

COPY takes no bound parameters (``COPY (… $1 …)`` is refused, "requires 0", and so is a prepared
statement inside it), so values become constants here. They are Python values by then, never text
that a caller wrote as SQL: numbers, times, booleans and UUIDs are printed from their type, texts
go through libpq's own ``PQescapeLiteral`` for the connection in use (``psycopg.sql.Literal``).

The other sound way, ``set_config('waybill.p1', $1)`` and ``current_setting`` in the query, hides
the value from the planner, which takes longer then, or with a subselect estimates blindly; and the
estimate is what progress shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from uuid import UUID

from psycopg import sql

from waybill.catalog.comparisons import BUILTIN, Comparisons
from waybill.catalog.filters import Condition, Value
from waybill.catalog.relation_sql import source_column
from waybill.catalog.scope import Parameter, RowScope
from waybill.catalog.selection import Bound, JsonText, Selection

_MEANINGS = {"eq": "=", "ne": "=", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
# Of a value's kinds, in this order (every datetime is a date): psycopg would name types bare.
_TYPED: tuple[tuple[type, sql.SQL], ...] = (
    (datetime, sql.SQL("timestamptz")),
    (date, sql.SQL("date")),
    (UUID, sql.SQL("uuid")),
    (time, sql.SQL("time")),
    (JsonText, sql.SQL("jsonb")),
)
_CHOSEN = sql.Identifier("waybill_chosen")


def where_clause(
    *,
    scope: RowScope | None = None,
    principal: dict[Parameter, str | None] | None = None,
    conditions: Sequence[Condition] = (),
    since: tuple[str, datetime] | None = None,
    comparisons: Mapping[str, Comparisons] | None = None,
    selection: Selection | None = None,
) -> sql.Composable | None:
    """Return what stands behind WHERE; ``None`` for all rows.

    Args:
        scope: the type's row scope.
        principal: the values of the scope's places. A place without a value is NULL, which
            equals nothing.
        conditions: the caller's.
        since: a timestamptz column, and the instant from which on rows are wanted.
        comparisons: how the columns compare whose types are not PostgreSQL's own.
        selection: rows that a program chose; beside all else, never instead of it.
    """
    known = comparisons or {}
    parts = [_comparison(each, known.get(each.column, BUILTIN)) for each in conditions]
    if since is not None:
        at_least = known.get(since[0], BUILTIN).operator(">=")
        parts.append(
            sql.SQL("{} {} {}").format(source_column(since[0]), at_least, _constant(since[1]))
        )
    if selection is not None:
        parts.append(_is_chosen(selection, known))
    if scope is not None:
        parts.insert(0, _scope(scope, principal or {}))
    return sql.SQL(" AND ").join(parts) if parts else None


def _scope(scope: RowScope, principal: dict[Parameter, str | None]) -> sql.Composable:
    pieces: list[sql.Composable] = [sql.SQL("(")]
    for index, piece in enumerate(scope.pieces):
        # The operator's own text, as trusted as a query of the catalog.
        pieces.append(sql.SQL(piece))
        if index < len(scope.parameters):
            # Untyped, so that the column it is compared with decides what it is.
            pieces.append(sql.Literal(principal.get(scope.parameters[index])))
    # The line break ends a comment that the text may end with.
    return sql.Composed([*pieces, sql.SQL("\n)")])


def selected_keys(selection: Selection) -> sql.Composed:
    """Return the query for the keys of a selection, its values in it as constants."""
    pieces: list[sql.Composable] = [sql.SQL(selection.text[0])]
    for value, piece in zip(selection.values, selection.text[1:], strict=True):
        pieces += [_bound(value), sql.SQL(piece)]
    return sql.Composed(pieces)


def _is_chosen(selection: Selection, known: Mapping[str, Comparisons]) -> sql.Composable:
    # A subquery of its own: whatever its text says, the conditions around it stay as they are, and
    # its names cannot be those of the source.
    names = [sql.Identifier(f"key_{index}") for index in range(len(selection.key))]
    return sql.SQL("EXISTS (SELECT FROM ({}) AS {} ({}) WHERE {})").format(
        selected_keys(selection),
        _CHOSEN,
        sql.SQL(", ").join(names),
        sql.SQL(" AND ").join(
            sql.SQL("{} {} {}.{}").format(
                source_column(column), known.get(column, BUILTIN).operator("="), _CHOSEN, name
            )
            for column, name in zip(selection.key, names, strict=True)
        ),
    )


def _bound(value: Bound | tuple[Value, ...]) -> sql.Composable:
    if isinstance(value, tuple):
        return _array(value)
    if isinstance(value, timedelta):
        text = f"{value.days} days {value.seconds} seconds {value.microseconds} microseconds"
        return sql.SQL("{}::pg_catalog.interval").format(sql.Literal(text))
    return _constant(value)


def _comparison(condition: Condition, compared: Comparisons) -> sql.Composable:
    column, value = source_column(condition.column), condition.value
    if condition.operator == "is_null":
        return sql.SQL("{} IS NULL" if value else "{} IS NOT NULL").format(column)
    # Never IN, LIKE or IS DISTINCT FROM: those look for their operators in the search path.
    if isinstance(value, tuple):
        return sql.SQL("{} {} ANY ({})").format(column, compared.operator("="), _array(value))
    if condition.operator == "prefix":
        pattern = sql.Literal(_like_prefix(str(value)))
        return sql.SQL("{} {} {}").format(column, compared.operator("~~"), pattern)
    operator = compared.operator(_MEANINGS[condition.operator])
    comparison = sql.SQL("{} {} {}").format(column, operator, _constant(value))
    if condition.operator == "ne":  # a row whose value is NULL is not equal either
        return sql.SQL("({}) IS NOT TRUE").format(comparison)
    return comparison


def _constant(value: Value | float | time | None) -> sql.Composable:
    # A text is left untyped, so it works for varchar, citext, enums and domains and their indexes.
    for kind, type_name in _TYPED:
        if isinstance(value, kind):
            is_local = isinstance(value, datetime) and value.tzinfo is None
            name = sql.SQL("timestamp") if is_local else type_name
            return sql.SQL("{}::pg_catalog.{}").format(sql.Literal(str(value)), name)
    return sql.Literal(value)


def _array(values: tuple[Value, ...]) -> sql.Composable:
    texts = [value for value in values if isinstance(value, str)]
    if len(texts) < len(values):
        return sql.SQL("ARRAY[{}]").format(sql.SQL(", ").join(map(_constant, values)))
    # Untyped as well: PostgreSQL's own text of an array, every element quoted.
    quoted = (text.replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return sql.Literal("{" + ",".join(f'"{text}"' for text in quoted) + "}")


def _like_prefix(text: str) -> str:
    r"""Return a LIKE pattern for texts that begin with ``text``; backslash is LIKE's own escape."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
