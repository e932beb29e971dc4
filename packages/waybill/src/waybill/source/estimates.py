"""About how many rows tables have: what PostgreSQL counted last, of any number of tables by one
statement. No table is opened for it, so that nobody's lock is waited for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from psycopg import sql

from waybill.catalog.model import TableSource

# Names are qualified, operators too (catalog/foreign.py). What row security hides from this role is
# no count of what it would export. Partitions and children are rows of their parents; -1 was never
# counted.
_ESTIMATES: Final = sql.SQL("""
    WITH RECURSIVE wanted AS (
        SELECT c.oid, w.number
        FROM ROWS FROM (pg_catalog.unnest({schemas}::pg_catalog.text[]),
                        pg_catalog.unnest({names}::pg_catalog.text[]))
             WITH ORDINALITY AS w (schema, name, number)
        JOIN pg_catalog.pg_namespace AS n
          ON n.nspname::pg_catalog.text OPERATOR(pg_catalog.=) w.schema
        JOIN pg_catalog.pg_class AS c ON c.relnamespace OPERATOR(pg_catalog.=) n.oid
         AND c.relname::pg_catalog.text OPERATOR(pg_catalog.=) w.name
        WHERE c.relkind::pg_catalog.text OPERATOR(pg_catalog.=) ANY (
                  '{{r,p,m}}'::pg_catalog.text[])
          AND NOT pg_catalog.row_security_active(c.oid)
          AND pg_catalog.has_schema_privilege(n.oid, 'USAGE'::pg_catalog.text)
          AND pg_catalog.has_any_column_privilege(c.oid, 'SELECT'::pg_catalog.text)
    ), family AS (
        SELECT oid, number FROM wanted
        UNION
        SELECT h.inhrelid, f.number
        FROM pg_catalog.pg_inherits AS h
        JOIN family AS f ON h.inhparent OPERATOR(pg_catalog.=) f.oid
    )
    SELECT f.number, pg_catalog.sum(c.reltuples::pg_catalog.float8)::pg_catalog.int8
    FROM family AS f
    JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) f.oid
    WHERE c.relkind::pg_catalog.text OPERATOR(pg_catalog.<>) 'p'
    GROUP BY f.number
    HAVING pg_catalog.min(c.reltuples) OPERATOR(pg_catalog.>=) 0::pg_catalog.float4""")


def estimates_query(tables: Sequence[TableSource]) -> sql.Composed:
    """Return the query for ``read_estimates``."""
    return _ESTIMATES.format(
        schemas=sql.Literal([each.schema for each in tables]),
        names=sql.Literal([each.table for each in tables]),
    )


def read_estimates(
    tables: Sequence[TableSource], rows: list[tuple[str | None, ...]]
) -> dict[TableSource, int]:
    """Return the rows of each of ``tables`` that PostgreSQL has counted and may be read."""
    found = {tables[int(number or 0) - 1]: int(count or 0) for number, count in rows}
    # A table that holds nothing, or one that a server before 14 never looked at: no estimate.
    return {table: count for table, count in found.items() if count > 0}
