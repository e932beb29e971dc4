"""A source as SQL: its ``FROM``, and its columns by their qualified names."""

from __future__ import annotations

from psycopg import sql

from waybill.catalog.model import QuerySource, TableSource

_SOURCE = sql.Identifier("waybill_source")


def from_source(
    source: TableSource | QuerySource, where: sql.Composable | None = None
) -> sql.Composed:
    """Return ``FROM …`` with the source under its alias, and ``WHERE …`` if rows are chosen."""
    if isinstance(source, TableSource):
        relation: sql.Composable = sql.Identifier(source.schema, source.table)
    else:
        # One statement, as ``QuerySource`` makes sure. The newline ends a trailing comment.
        relation = sql.Composed([sql.SQL("("), sql.SQL(source.sql), sql.SQL("\n)")])
    parts = [sql.SQL("FROM"), relation, sql.SQL("AS"), _SOURCE]
    if where is not None:
        parts += [sql.SQL("WHERE"), where]
    return sql.SQL(" ").join(parts)


def source_column(name: str) -> sql.Composed:
    """Return the qualified column. Qualified, because in ORDER BY a bare name would mean the
    output column of that name, which a label may have put on another column."""
    return sql.SQL(".").join([_SOURCE, sql.Identifier(name)])
