"""The rows of one export: the operator's scope and the caller's conditions as a WHERE.

COPY takes no bound parameters (``COPY (… $1 …)`` is refused, "requires 0", and so is a prepared
statement inside it), so values become constants here. They are Python values by then, never text
that a caller wrote as SQL: numbers, times, booleans and UUIDs are printed from their type, texts
go through libpq's own ``PQescapeLiteral`` for the connection in use (``psycopg.sql.Literal``).

The other sound way, ``set_config('waybill.p1', $1)`` and ``current_setting`` in the query, hides
the value from the planner: 125 ms where a constant takes 57 (1,000,000 rows, PostgreSQL 18), or as
fast with a subselect but estimated blindly, and the estimate is what progress shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from psycopg import sql

from waybill.catalog.filters import Condition, Value
from waybill.catalog.relation_sql import source_column
from waybill.catalog.scope import Parameter, RowScope

_COMPARISONS = {
    "eq": sql.SQL("="),
    "ne": sql.SQL("IS DISTINCT FROM"),  # a row whose value is NULL is not equal either
    "lt": sql.SQL("<"),
    "lte": sql.SQL("<="),
    "gt": sql.SQL(">"),
    "gte": sql.SQL(">="),
}


def where_clause(
    *,
    scope: RowScope | None = None,
    principal: dict[Parameter, str | None] | None = None,
    conditions: Sequence[Condition] = (),
    since: tuple[str, datetime] | None = None,
) -> sql.Composable | None:
    """Return what stands behind WHERE; ``None`` for all rows.

    Args:
        scope: the type's row scope.
        principal: the values of the scope's places. A place without a value is NULL, which
            equals nothing.
        conditions: the caller's.
        since: a timestamptz column, and the instant from which on rows are wanted.
    """
    parts = [_comparison(condition) for condition in conditions]
    if since is not None:
        parts.append(sql.SQL("{} >= {}").format(source_column(since[0]), sql.Literal(since[1])))
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


def _comparison(condition: Condition) -> sql.Composable:
    column, value = source_column(condition.column), condition.value
    if condition.operator == "is_null":
        return sql.SQL("{} IS NULL" if value else "{} IS NOT NULL").format(column)
    if isinstance(value, tuple):
        values = sql.SQL(", ").join(map(_constant, value))
        return sql.SQL("{} IN ({})").format(column, values)
    if condition.operator == "prefix":
        return sql.SQL("{} LIKE {}").format(column, sql.Literal(_like_prefix(str(value))))
    comparison = _COMPARISONS[condition.operator]
    return sql.SQL("{} {} {}").format(column, comparison, _constant(value))


def _constant(value: Value) -> sql.Literal:
    # A text is left untyped, so it works for varchar, citext, enums and domains and their indexes.
    return sql.Literal(value)


def _like_prefix(text: str) -> str:
    r"""Return a LIKE pattern for texts that begin with ``text``; backslash is LIKE's own escape."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
