"""What PostgreSQL is asked about the indexes of a key."""

from __future__ import annotations

from typing import Final

from psycopg import sql

from waybill.catalog.comparisons import DEFAULT_CLASS

# $1 and $2 name the table, $3 holds the key: [{"name": …, "type": …}, …], domains taken off.

# The commonest case of what follows, without the search for the default class, which a fresh
# connection plans for longer than it runs: types that ship, in the column's own collation. (25 and
# 1043 are text and varchar.)
PLAIN_UNIQUE_INDEX: Final = sql.SQL("""
    SELECT EXISTS (
        SELECT 1
        FROM pg_catalog.pg_class AS c
        JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
        JOIN pg_catalog.pg_index AS i ON i.indrelid OPERATOR(pg_catalog.=) c.oid
        WHERE n.nspname OPERATOR(pg_catalog.=) $1 AND c.relname OPERATOR(pg_catalog.=) $2
          AND i.indisunique AND i.indisvalid AND i.indimmediate AND NOT i.indisexclusion
          AND i.indpred IS NULL AND i.indexprs IS NULL
          AND (c.relkind OPERATOR(pg_catalog.=) 'p' OR NOT c.relhassubclass)
          AND NOT EXISTS (
              SELECT 1
              FROM pg_catalog.generate_series(
                  0, i.indnkeyatts::pg_catalog.int4 OPERATOR(pg_catalog.-) 1) AS p (n)
              WHERE NOT EXISTS (
                  SELECT 1
                  FROM pg_catalog.pg_attribute AS a
                  JOIN pg_catalog.json_to_recordset($3::pg_catalog.json)
                    AS k (name pg_catalog.text, type pg_catalog.oid)
                    ON k.name OPERATOR(pg_catalog.=) a.attname::pg_catalog.text
                  JOIN pg_catalog.pg_opclass AS o
                    ON o.oid OPERATOR(pg_catalog.=) i.indclass[p.n]
                  WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid
                    AND a.attnum OPERATOR(pg_catalog.=) i.indkey[p.n] AND a.attnotnull
                    AND i.indcollation[p.n] OPERATOR(pg_catalog.=) a.attcollation
                    AND k.type OPERATOR(pg_catalog.<) 16384::pg_catalog.oid AND o.opcdefault
                    AND o.opcintype OPERATOR(pg_catalog.=) CASE
                        WHEN k.type OPERATOR(pg_catalog.=) 1043::pg_catalog.oid
                        THEN 25::pg_catalog.oid ELSE k.type END)))""")

# A unique index proves the key when all its columns are NOT NULL and in the key. It must be valid,
# whole (no predicate), over plain columns, enforced at once, a real unique index and not an
# exclusion (WITHOUT OVERLAPS), and its table must have no inheritance children, which an index of
# the parent does not cover. A partitioned table's index does cover its partitions. What the index
# tells apart the key's order must tell apart too: it has the equality of the type's default
# class, and the column's collation, or one that only takes more for equal.
UNIQUE_INDEX: Final = sql.SQL("""
    SELECT EXISTS (
        SELECT 1
        FROM pg_catalog.pg_class AS c
        JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
        JOIN pg_catalog.pg_index AS i ON i.indrelid OPERATOR(pg_catalog.=) c.oid
        WHERE n.nspname OPERATOR(pg_catalog.=) $1 AND c.relname OPERATOR(pg_catalog.=) $2
          AND i.indisunique AND i.indisvalid AND i.indimmediate AND NOT i.indisexclusion
          AND i.indpred IS NULL AND i.indexprs IS NULL
          AND (c.relkind OPERATOR(pg_catalog.=) 'p' OR NOT c.relhassubclass)
          AND NOT EXISTS (
              SELECT 1
              FROM pg_catalog.generate_series(
                  0, i.indnkeyatts::pg_catalog.int4 OPERATOR(pg_catalog.-) 1) AS p (n)
              WHERE NOT EXISTS (
                  SELECT 1
                  FROM pg_catalog.pg_attribute AS a
                  JOIN pg_catalog.json_to_recordset($3::pg_catalog.json)
                    AS k (name pg_catalog.text, type pg_catalog.oid)
                    ON k.name OPERATOR(pg_catalog.=) a.attname::pg_catalog.text
                  JOIN pg_catalog.pg_type AS t ON t.oid OPERATOR(pg_catalog.=) k.type
                  JOIN pg_catalog.pg_opclass AS o
                    ON o.oid OPERATOR(pg_catalog.=) i.indclass[p.n]
                  CROSS JOIN LATERAL ({default_class}) AS class
                  JOIN pg_catalog.pg_amop AS theirs
                    ON theirs.amopfamily OPERATOR(pg_catalog.=) o.opcfamily
                   AND theirs.amoplefttype OPERATOR(pg_catalog.=) o.opcintype
                   AND theirs.amoprighttype OPERATOR(pg_catalog.=) o.opcintype
                   AND theirs.amopstrategy OPERATOR(pg_catalog.=) 3::pg_catalog.int2
                  JOIN pg_catalog.pg_amop AS default_one
                    ON default_one.amopfamily OPERATOR(pg_catalog.=) class.opcfamily
                   AND default_one.amoplefttype OPERATOR(pg_catalog.=) class.opcintype
                   AND default_one.amoprighttype OPERATOR(pg_catalog.=) class.opcintype
                   AND default_one.amopstrategy OPERATOR(pg_catalog.=) 3::pg_catalog.int2
                   AND default_one.amopopr OPERATOR(pg_catalog.=) theirs.amopopr
                  LEFT JOIN pg_catalog.pg_collation AS l
                    ON l.oid OPERATOR(pg_catalog.=) a.attcollation
                  WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid
                    AND a.attnum OPERATOR(pg_catalog.=) i.indkey[p.n] AND a.attnotnull
                    AND (i.indcollation[p.n] OPERATOR(pg_catalog.=) a.attcollation
                         OR l.collisdeterministic
                            AND t.typname::pg_catalog.text OPERATOR(pg_catalog.=) ANY (
                                '{{text,varchar,bpchar,name}}'::pg_catalog.text[])
                            AND t.typnamespace OPERATOR(pg_catalog.=)
                                'pg_catalog'::pg_catalog.regnamespace::pg_catalog.oid))))""").format(
    default_class=DEFAULT_CLASS
)

# An index that gives the rows in the order of ORDER BY key, so that a range of it is a range of the
# index: the key's columns in front, ascending, NULLs last, in the column's own collation and the
# type's default order.
KEY_INDEX: Final = sql.SQL("""
    SELECT EXISTS (
        SELECT 1
        FROM pg_catalog.pg_class AS c
        JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
        JOIN pg_catalog.pg_index AS i ON i.indrelid OPERATOR(pg_catalog.=) c.oid
        JOIN pg_catalog.pg_class AS x ON x.oid OPERATOR(pg_catalog.=) i.indexrelid
        JOIN pg_catalog.pg_am AS m ON m.oid OPERATOR(pg_catalog.=) x.relam
        WHERE n.nspname OPERATOR(pg_catalog.=) $1 AND c.relname OPERATOR(pg_catalog.=) $2
          AND (c.relkind OPERATOR(pg_catalog.=) 'p'
               OR c.relkind OPERATOR(pg_catalog.=) 'r' AND NOT c.relhassubclass)
          AND NOT c.relrowsecurity
          AND m.amname OPERATOR(pg_catalog.=) 'btree'
          AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
          AND i.indnkeyatts::pg_catalog.int4
              OPERATOR(pg_catalog.>=) pg_catalog.json_array_length($3::pg_catalog.json)
          AND NOT EXISTS (
              SELECT 1
              FROM ROWS FROM (
                  pg_catalog.json_to_recordset($3::pg_catalog.json)
                  AS (name pg_catalog.text, type pg_catalog.oid)
              ) WITH ORDINALITY AS k (name, type, n)
              WHERE NOT EXISTS (
                  SELECT 1
                  FROM pg_catalog.pg_attribute AS a
                  JOIN pg_catalog.pg_type AS t ON t.oid OPERATOR(pg_catalog.=) k.type
                  JOIN pg_catalog.pg_opclass AS o
                    ON o.oid OPERATOR(pg_catalog.=)
                       i.indclass[k.n::pg_catalog.int4 OPERATOR(pg_catalog.-) 1]
                  CROSS JOIN LATERAL ({default_class}) AS class
                  WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid
                    AND a.attname::pg_catalog.text OPERATOR(pg_catalog.=) k.name AND a.attnotnull
                    AND a.attnum OPERATOR(pg_catalog.=)
                        i.indkey[k.n::pg_catalog.int4 OPERATOR(pg_catalog.-) 1]
                    AND i.indoption[k.n::pg_catalog.int4 OPERATOR(pg_catalog.-) 1]
                        OPERATOR(pg_catalog.=) 0::pg_catalog.int2
                    AND i.indcollation[k.n::pg_catalog.int4 OPERATOR(pg_catalog.-) 1]
                        OPERATOR(pg_catalog.=) a.attcollation
                    AND o.opcfamily OPERATOR(pg_catalog.=) class.opcfamily
                    AND o.opcintype OPERATOR(pg_catalog.=) class.opcintype)))""").format(
    default_class=DEFAULT_CLASS
)
