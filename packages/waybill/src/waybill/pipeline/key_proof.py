"""Proof that an index keeps a key in the order of today's comparison."""

from __future__ import annotations

from psycopg import sql

from waybill.catalog.model import ExportType
from waybill.catalog.relation_sql import from_source, source_column
from waybill.source.source import PostgresSnapshot


def follow_the_index(snapshot: PostgresSnapshot) -> None:
    """Have this snapshot's ordered statements go along an index, where there is one, and not sort:
    the order is then the one that the rows were written in, whatever the comparison says today."""
    snapshot.fetch(
        sql.SQL(
            "SELECT pg_catalog.set_config(name, 'off', true) FROM pg_catalog.pg_settings "
            "WHERE name OPERATOR(pg_catalog.=) ANY "
            "('{enable_sort,enable_incremental_sort}'::pg_catalog.text[])"
        )
    )


def is_index_in_order(snapshot: PostgresSnapshot, export_type: ExportType) -> bool:
    """Return whether every key is greater than the one before it, all along the key's index.

    ADR-0021 says what that costs. ``False`` too where no index has the key's order.
    """
    columns = [source_column(name) for name in export_type.key]
    joined = sql.SQL(", ").join(columns)
    walk = sql.SQL(
        "SELECT 1 FROM (SELECT {ascends} AS ascends {source}"
        " WINDOW along AS (ORDER BY {columns})) AS walk WHERE NOT ascends LIMIT 1"
    ).format(
        columns=joined,
        ascends=snapshot.key_comparisons(export_type).greater(
            [sql.SQL("pg_catalog.lag({}) OVER along").format(column) for column in columns]
        ),
        source=from_source(export_type.source),
    )
    follow_the_index(snapshot)
    plan = snapshot.fetch(sql.SQL("EXPLAIN (FORMAT JSON, COSTS false) {}").format(walk))[0][0] or ""
    return 'Sort"' not in plan and not snapshot.fetch(walk)
