"""What PostgreSQL knows about its tables: all reading of ``pg_catalog`` is here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import psycopg

from waybill.catalog.model import TableSource

Connection = psycopg.Connection[Any]
Kind = Literal[
    "table", "partitioned table", "view", "materialized view", "foreign table",
    "sequence", "index", "composite type", "other",
]  # fmt: skip

READABLE: frozenset[Kind] = frozenset(
    {"table", "partitioned table", "view", "materialized view", "foreign table"}
)
_KINDS: dict[str, Kind] = {
    "r": "table", "p": "partitioned table", "v": "view", "m": "materialized view",
    "f": "foreign table", "S": "sequence", "i": "index", "I": "index", "c": "composite type",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class RelationColumn:
    name: str
    type_name: str
    """As ``format_type`` spells it: ``numeric(12,2)``."""
    not_null: bool
    may_select: bool


@dataclass(frozen=True, slots=True)
class UniqueIndex:
    """A valid unique index on plain columns, without a predicate."""

    columns: tuple[str, ...]
    primary: bool
    never_null: bool
    integers: bool


@dataclass(frozen=True, slots=True)
class Relation:
    source: TableSource
    kind: Kind
    is_partition: bool
    from_extension: bool
    has_children: bool
    """Legacy inheritance: its rows include those of other tables, past its unique indexes."""
    is_populated: bool
    row_security_active: bool
    may_use_schema: bool
    may_select: bool
    estimated_rows: int | None
    """What PostgreSQL last counted; ``None`` before the first ANALYZE."""
    size_bytes: int | None
    columns: tuple[RelationColumn, ...]
    unique_indexes: tuple[UniqueIndex, ...]


# Partitioned tables hold nothing themselves: rows and size are the sums of their leaves. The
# estimate is unknown (NULL) as soon as one leaf was never analysed (reltuples = -1).
_RELATIONS = """
SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text, c.relispartition,
       EXISTS (SELECT FROM pg_depend d
               WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'),
       c.relkind = 'r' AND EXISTS (SELECT FROM pg_inherits h WHERE h.inhparent = c.oid),
       c.relispopulated, row_security_active(c.oid),
       has_schema_privilege(n.oid, 'USAGE'), has_table_privilege(c.oid, 'SELECT'),
       leaves.estimated_rows, leaves.size_bytes
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (
    SELECT CASE WHEN min(l.reltuples) >= 0 THEN sum(l.reltuples)::bigint END AS estimated_rows,
           sum(pg_table_size(l.oid))::bigint AS size_bytes
    FROM (SELECT c.oid AS relid WHERE c.relkind <> 'p'
          UNION ALL
          SELECT relid FROM pg_partition_tree(CASE c.relkind WHEN 'p' THEN c.oid END)
          WHERE isleaf) leaf
    JOIN pg_class l ON l.oid = leaf.relid
) leaves ON c.relkind IN ('r', 'm', 'p')
WHERE n.nspname <> 'information_schema' AND left(n.nspname, 3) <> 'pg_'
"""

# Since PostgreSQL 18 a NOT NULL may be NOT VALID yet: declared, but not true of every row.
_COLUMNS = """
SELECT attrelid, attname::text, format_type(atttypid, atttypmod),
       attnotnull AND NOT EXISTS (
           SELECT FROM pg_constraint c
           WHERE c.conrelid = attrelid AND c.contype = 'n' AND c.conkey = ARRAY[attnum]
             AND NOT c.convalidated),
       has_column_privilege(attrelid, attnum, 'SELECT')
FROM pg_attribute
WHERE attrelid = ANY(%s) AND attnum > 0 AND NOT attisdropped
ORDER BY attrelid, attnum
"""

# indkey holds 0 for an expression; INCLUDE columns stand after the first indnkeyatts.
_UNIQUE_INDEXES = """
SELECT i.indrelid, i.indisprimary,
       array_agg(a.attname::text ORDER BY k.position),
       bool_and(a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype))
FROM pg_index i
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, position)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indrelid = ANY(%s) AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
  AND 0 <> ALL (i.indkey::int2[]) AND k.position <= i.indnkeyatts
GROUP BY i.indexrelid, i.indrelid, i.indisprimary
ORDER BY i.indrelid, i.indisprimary DESC, i.indexrelid
"""


def list_relations(connection: Connection, schemas: Iterable[str] | None) -> list[Relation]:
    """Return everything tables, partitions and views among the user's own, ``public`` first."""
    query = _RELATIONS + "AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"
    parameters: list[object] = []
    if schemas is not None:
        query += " AND n.nspname = ANY(%s)"
        parameters = [list(schemas)]
    query += " ORDER BY n.nspname <> 'public', n.nspname, c.relname"
    return _read(connection, query, parameters)


def find_relation(connection: Connection, source: TableSource) -> Relation | None:
    """Return the relation of that exact name, of whatever kind, or ``None``."""
    query = _RELATIONS.replace(
        "WHERE n.nspname <> 'information_schema' AND left(n.nspname, 3) <> 'pg_'",
        "WHERE n.nspname = %s AND c.relname = %s",
    )
    found = _read(connection, query, [source.schema, source.table])
    return found[0] if found else None


def list_schemas(connection: Connection) -> list[str]:
    """Return the names of the schemas that are not PostgreSQL's own."""
    rows = connection.execute(
        "SELECT nspname::text FROM pg_namespace"
        " WHERE nspname <> 'information_schema' AND left(nspname, 3) <> 'pg_' ORDER BY 1"
    )
    return [name for (name,) in rows]


def _read(connection: Connection, query: str, parameters: list[object]) -> list[Relation]:
    rows = connection.execute(query.encode(), parameters).fetchall()
    oids = [row[0] for row in rows]
    columns: dict[int, list[RelationColumn]] = defaultdict(list)
    for oid, *column in connection.execute(_COLUMNS, [oids]):
        columns[oid].append(RelationColumn(*column))
    indexes: dict[int, list[UniqueIndex]] = defaultdict(list)
    for oid, primary, names, integers in connection.execute(_UNIQUE_INDEXES, [oids]):
        never_null = {column.name for column in columns[oid] if column.not_null}
        indexes[oid].append(
            UniqueIndex(tuple(names), primary, never_null.issuperset(names), integers)
        )
    return [
        Relation(
            TableSource(schema, table),
            _KINDS.get(kind, "other"),
            *(*facts, tuple(columns[oid]), tuple(indexes[oid])),
        )
        for oid, schema, table, kind, *facts in rows
    ]
