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


# Whoever may create functions must not have theirs called here, by a superuser's `waybill init`
# least of all: all names are qualified, operators too (catalog/foreign.py).

# Partitioned tables hold nothing themselves: rows and size are the sums of their leaves. The
# estimate is unknown (NULL) as soon as one leaf was never analysed (reltuples = -1).
_RELATIONS = """
SELECT c.oid, n.nspname::pg_catalog.text, c.relname::pg_catalog.text,
       c.relkind::pg_catalog.text, c.relispartition,
       EXISTS (SELECT FROM pg_catalog.pg_depend d
               WHERE d.classid OPERATOR(pg_catalog.=)
                     'pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid
                 AND d.objid OPERATOR(pg_catalog.=) c.oid
                 AND d.deptype OPERATOR(pg_catalog.=) 'e'),
       c.relkind OPERATOR(pg_catalog.=) 'r' AND EXISTS (
           SELECT FROM pg_catalog.pg_inherits h WHERE h.inhparent OPERATOR(pg_catalog.=) c.oid),
       c.relispopulated, pg_catalog.row_security_active(c.oid),
       pg_catalog.has_schema_privilege(n.oid, 'USAGE'::pg_catalog.text),
       pg_catalog.has_table_privilege(c.oid, 'SELECT'::pg_catalog.text),
       leaves.estimated_rows, leaves.size_bytes
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
LEFT JOIN LATERAL (
    SELECT CASE WHEN pg_catalog.min(l.reltuples) OPERATOR(pg_catalog.>=) 0::pg_catalog.float4
           THEN pg_catalog.sum(l.reltuples)::pg_catalog.int8 END AS estimated_rows,
           pg_catalog.sum(pg_catalog.pg_table_size(l.oid::pg_catalog.regclass))::pg_catalog.int8
               AS size_bytes
    FROM (SELECT c.oid AS relid WHERE c.relkind OPERATOR(pg_catalog.<>) 'p'
          UNION ALL
          SELECT t.relid::pg_catalog.oid
          FROM pg_catalog.pg_partition_tree(
              CASE WHEN c.relkind OPERATOR(pg_catalog.=) 'p' THEN c.oid END::pg_catalog.regclass) t
          WHERE t.isleaf) leaf
    JOIN pg_catalog.pg_class l ON l.oid OPERATOR(pg_catalog.=) leaf.relid
) leaves ON c.relkind::pg_catalog.text OPERATOR(pg_catalog.=) ANY ('{r,m,p}'::pg_catalog.text[])
WHERE """

_THEIR_SCHEMAS = """n.nspname OPERATOR(pg_catalog.<>) 'information_schema'
AND pg_catalog.left(n.nspname::pg_catalog.text, 3) OPERATOR(pg_catalog.<>) 'pg_'"""

# Since PostgreSQL 18 a NOT NULL may be NOT VALID yet: declared, but not true of every row.
_COLUMNS = """
SELECT a.attrelid, a.attname::pg_catalog.text, pg_catalog.format_type(a.atttypid, a.atttypmod),
       a.attnotnull AND NOT EXISTS (
           SELECT FROM pg_catalog.pg_constraint c
           WHERE c.conrelid OPERATOR(pg_catalog.=) a.attrelid
             AND c.contype OPERATOR(pg_catalog.=) 'n'
             AND c.conkey OPERATOR(pg_catalog.=) ARRAY[a.attnum] AND NOT c.convalidated),
       pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT'::pg_catalog.text)
FROM pg_catalog.pg_attribute a
WHERE a.attrelid OPERATOR(pg_catalog.=) ANY (%s::pg_catalog.oid[])
  AND a.attnum OPERATOR(pg_catalog.>) 0::pg_catalog.int2 AND NOT a.attisdropped
ORDER BY a.attrelid, a.attnum
"""

# indkey holds 0 for an expression; INCLUDE columns stand after the first indnkeyatts.
_UNIQUE_INDEXES = """
SELECT i.indrelid, i.indisprimary,
       pg_catalog.array_agg(a.attname::pg_catalog.text ORDER BY k.position),
       pg_catalog.bool_and(a.atttypid::pg_catalog.regtype::pg_catalog.oid OPERATOR(pg_catalog.=)
           ANY ('{21,23,20}'::pg_catalog.oid[]))
FROM pg_catalog.pg_index i
CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::pg_catalog.int2[])
           WITH ORDINALITY AS k(attnum, position)
JOIN pg_catalog.pg_attribute a ON a.attrelid OPERATOR(pg_catalog.=) i.indrelid
 AND a.attnum OPERATOR(pg_catalog.=) k.attnum
WHERE i.indrelid OPERATOR(pg_catalog.=) ANY (%s::pg_catalog.oid[])
  AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
  AND 0::pg_catalog.int2 OPERATOR(pg_catalog.<>) ALL (i.indkey::pg_catalog.int2[])
  AND k.position OPERATOR(pg_catalog.<=) i.indnkeyatts::pg_catalog.int8
GROUP BY i.indexrelid, i.indrelid, i.indisprimary
ORDER BY i.indrelid, i.indisprimary DESC, i.indexrelid
"""


def list_relations(connection: Connection, schemas: Iterable[str] | None) -> list[Relation]:
    """Return everything tables, partitions and views among the user's own, ``public`` first."""
    query = (
        _RELATIONS + _THEIR_SCHEMAS + " AND c.relkind::pg_catalog.text OPERATOR(pg_catalog.=) ANY "
        "('{r,p,v,m,f}'::pg_catalog.text[])"
    )
    parameters: list[object] = []
    if schemas is not None:
        query += (
            " AND n.nspname::pg_catalog.text OPERATOR(pg_catalog.=) ANY (%s::pg_catalog.text[])"
        )
        parameters = [list(schemas)]
    query += " ORDER BY n.nspname OPERATOR(pg_catalog.<>) 'public', n.nspname, c.relname"
    return _read(connection, query, parameters)


def find_relation(connection: Connection, source: TableSource) -> Relation | None:
    """Return the relation of that exact name, of whatever kind, or ``None``."""
    query = (
        _RELATIONS + "n.nspname::pg_catalog.text OPERATOR(pg_catalog.=) %s::pg_catalog.text"
        " AND c.relname::pg_catalog.text OPERATOR(pg_catalog.=) %s::pg_catalog.text"
    )
    found = _read(connection, query, [source.schema, source.table])
    return found[0] if found else None


def list_schemas(connection: Connection) -> list[str]:
    """Return the names of the schemas that are not PostgreSQL's own."""
    query = "SELECT n.nspname::pg_catalog.text FROM pg_catalog.pg_namespace n WHERE "
    rows = connection.execute((query + _THEIR_SCHEMAS + " ORDER BY 1").encode())
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
