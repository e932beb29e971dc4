"""Whether a key's order can be relied on: what it depends on, and which version of it.

An index keeps rows in the order its collation had when they were written. A system that was
upgraded sorts otherwise under the same name; then a range of the index is not the range of rows
that the comparison means, and rows fall between two ranges (PostgreSQL documentation, "Collation
Versions"). Reading in ranges and resuming behind a key both rely on that order.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from psycopg import sql

from waybill.catalog.comparisons import DIVERTING_CASTS
from waybill.catalog.model import TableSource

FIRST_WITH_DATABASE_VERSIONS = 150_000
"""The ``server_version_num`` from which databases record the version of their collation."""


class OrderTrust(Enum):
    """How far a key's order can be relied on."""

    FIXED = "fixed"
    """It depends on nothing, on bytes alone, or on ICU in the version that is recorded."""
    TO_PROVE = "to_prove"
    """Its version is the recorded one, but does not say everything: glibc's is that of the library,
    and says nothing of the locale's own files; a type of the operator's own may depend on any."""
    UNKNOWN = "unknown"
    """No version is recorded, or none can be told; or comparing would not go by it."""
    CHANGED = "changed"
    """Recorded and actual version differ: indexes are not in today's order."""


@dataclass(frozen=True, slots=True)
class Collation:
    """A collation that the order depends on. ``name`` as in ``REFRESH COLLATION VERSION``."""

    name: str
    is_database: bool
    provider: str
    locale: str
    recorded: str | None
    actual: str | None

    @property
    def trust(self) -> OrderTrust:
        if self.provider == "b" or (self.provider == "c" and self.locale in {"C", "POSIX"}):
            return OrderTrust.FIXED
        if self.provider == "c" and self.locale[:2].upper() == "C.":
            return OrderTrust.TO_PROVE  # by code point in every version, so PostgreSQL records none
        if self.recorded is None or self.actual is None:
            return OrderTrust.UNKNOWN
        if self.recorded != self.actual:
            return OrderTrust.CHANGED
        return OrderTrust.FIXED if self.provider == "i" else OrderTrust.TO_PROVE


@dataclass(frozen=True, slots=True)
class KeyOrder:
    """What the order of a table's key depends on.

    ``identity`` differs as soon as anything does that can change it or what a key's text means: the
    database (its copy has tables of the same OIDs), the table, types, labels of enums, collations
    and their versions, and, where the order is to be proven, the files of its indexes.
    """

    trust: OrderTrust
    collations: tuple[Collation, ...]
    identity: str
    casts: tuple[str, ...] = ()
    """``TYPE AS TYPE`` of those implicit casts that keep the key from being compared by it."""

    @property
    def is_reliable(self) -> bool:
        """Whether rows may be read in ranges of the key, and resumed behind one."""
        return self.trust in {OrderTrust.FIXED, OrderTrust.TO_PROVE}

    def reason(self) -> str:
        """Return which collation or cast keeps the order from being relied on; for logs."""
        collations = (
            f"{each.name} ({each.recorded} recorded, {each.actual} found)"
            for each in self.collations
            if each.trust in {OrderTrust.UNKNOWN, OrderTrust.CHANGED}
        )
        return ", ".join((*collations, *(f"cast {each}" for each in self.casts)))


_SEVERITY = [OrderTrust.FIXED, OrderTrust.TO_PROVE, OrderTrust.UNKNOWN, OrderTrust.CHANGED]


def key_order_query(table: TableSource, key: Sequence[str], server_version: int) -> sql.Composed:
    """Return the question that ``read_key_order`` reads the answer of: one row, one text."""
    has_versions = server_version >= FIRST_WITH_DATABASE_VERSIONS
    return _QUERY.format(
        schema=sql.Literal(table.schema),
        table=sql.Literal(table.table),
        key=sql.Literal(json.dumps(list(key))),
        database=_DATABASE if has_versions else _OLD_DATABASE,
        diverting_casts=DIVERTING_CASTS,
    )


def read_key_order(answer: str | None) -> KeyOrder:
    """Return what the server said of a key."""
    facts: dict[str, Any] = json.loads(answer or "{}")
    collations = tuple(
        Collation(
            each["name"],
            each["is_database"],
            each["provider"],
            each["locale"] or "",
            each["recorded"],
            each["actual"],
        )
        for each in facts.get("collations") or ()
    )
    trusts = [each.trust for each in collations]
    if facts.get("has_own_types"):
        trusts.append(OrderTrust.TO_PROVE)
    casts = tuple(facts.get("casts") or ())
    if facts.get("has_names_of_objects") or casts:
        trusts.append(OrderTrust.UNKNOWN)
    trust = max(trusts, key=_SEVERITY.index, default=OrderTrust.FIXED)
    stands_for = {**facts, "files": facts.get("files") if trust is OrderTrust.TO_PROVE else None}
    return KeyOrder(trust, collations, json.dumps(stands_for, sort_keys=True), casts)


_DATABASE = sql.SQL("""
    SELECT d.datname::pg_catalog.text, d.datlocprovider::pg_catalog.text,
           d.datcollate::pg_catalog.text, d.datcollversion,
           pg_catalog.pg_database_collation_actual_version(d.oid)
    FROM pg_catalog.pg_database AS d
    WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()""")
_OLD_DATABASE = sql.SQL("""
    SELECT d.datname::pg_catalog.text, 'c', d.datcollate::pg_catalog.text,
           NULL::pg_catalog.text, NULL::pg_catalog.text
    FROM pg_catalog.pg_database AS d
    WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()""")

# Every type that a key's types are made of, with the collation it is compared by there. jsonb
# compares its texts, and a type that does not ship whatever it likes, by the database's collation:
# 100 is the default collation's fixed oid, 16384 the first of objects that do not ship.
_QUERY = sql.SQL("""
    WITH RECURSIVE relation AS (
        SELECT c.oid FROM pg_catalog.pg_class AS c
        JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
        WHERE n.nspname OPERATOR(pg_catalog.=) {schema}
          AND c.relname OPERATOR(pg_catalog.=) {table}
    ), columns AS (
        SELECT k.n, a.attnum, a.atttypid, a.attcollation
        FROM pg_catalog.json_array_elements_text({key}::pg_catalog.json)
            WITH ORDINALITY AS k (name, n)
        JOIN pg_catalog.pg_attribute AS a
          ON a.attname::pg_catalog.text OPERATOR(pg_catalog.=) k.name AND NOT a.attisdropped
        JOIN relation AS r ON r.oid OPERATOR(pg_catalog.=) a.attrelid
    ), part (type, rule) AS (
        SELECT atttypid, attcollation FROM columns
        UNION
        SELECT inner_part.type, inner_part.rule
        FROM part AS p
        JOIN pg_catalog.pg_type AS t ON t.oid OPERATOR(pg_catalog.=) p.type
        CROSS JOIN LATERAL (
            SELECT t.typbasetype, p.rule WHERE t.typtype OPERATOR(pg_catalog.=) 'd'
            UNION ALL
            SELECT t.typelem, p.rule
            WHERE t.typcategory OPERATOR(pg_catalog.=) 'A'
              AND t.typelem OPERATOR(pg_catalog.<>) 0::pg_catalog.oid
            UNION ALL
            SELECT r.rngsubtype, r.rngcollation FROM pg_catalog.pg_range AS r
            WHERE t.oid OPERATOR(pg_catalog.=) r.rngtypid
               OR t.oid OPERATOR(pg_catalog.=) (
                   pg_catalog.to_jsonb(r) OPERATOR(pg_catalog.->>) 'rngmultitypid'
               )::pg_catalog.oid
            UNION ALL
            SELECT a.atttypid, a.attcollation FROM pg_catalog.pg_attribute AS a
            WHERE t.typtype OPERATOR(pg_catalog.=) 'c'
              AND a.attrelid OPERATOR(pg_catalog.=) t.typrelid
              AND a.attnum OPERATOR(pg_catalog.>) 0::pg_catalog.int2 AND NOT a.attisdropped
        ) AS inner_part (type, rule)
    ), parts AS (
        SELECT p.type, p.rule, t.typname, t.typtype,
               t.typtype OPERATOR(pg_catalog.=) 'b' AND t.typcategory OPERATOR(pg_catalog.<>) 'A'
                   AND t.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid AS is_own,
               t.oid OPERATOR(pg_catalog.<) 16384::pg_catalog.oid
                   AND pg_catalog.starts_with(t.typname::pg_catalog.text, 'reg')
                   AS names_objects
        FROM part AS p
        JOIN pg_catalog.pg_type AS t ON t.oid OPERATOR(pg_catalog.=) p.type
    ), used AS (
        SELECT rule AS oid FROM parts WHERE rule OPERATOR(pg_catalog.<>) 0::pg_catalog.oid
        UNION
        SELECT 100::pg_catalog.oid FROM parts
        WHERE type OPERATOR(pg_catalog.=)
              'pg_catalog.jsonb'::pg_catalog.regtype::pg_catalog.oid OR is_own
    ), database (name, provider, locale, recorded, actual) AS ({database}), collations AS (
        SELECT u.oid,
               CASE WHEN l.collprovider OPERATOR(pg_catalog.=) 'd' THEN d.name
                    ELSE pg_catalog.concat(
                        pg_catalog.quote_ident(n.nspname::pg_catalog.text), '.',
                        pg_catalog.quote_ident(l.collname::pg_catalog.text)) END AS name,
               l.collprovider OPERATOR(pg_catalog.=) 'd' AS is_database,
               CASE WHEN l.collprovider OPERATOR(pg_catalog.=) 'd' THEN d.provider
                    ELSE l.collprovider::pg_catalog.text END AS provider,
               CASE WHEN l.collprovider OPERATOR(pg_catalog.=) 'd' THEN d.locale
                    ELSE l.collcollate::pg_catalog.text END AS locale,
               CASE WHEN l.collprovider OPERATOR(pg_catalog.=) 'd' THEN d.recorded
                    ELSE l.collversion::pg_catalog.text END AS recorded,
               CASE WHEN l.collprovider OPERATOR(pg_catalog.=) 'd' THEN d.actual
                    ELSE pg_catalog.pg_collation_actual_version(l.oid) END AS actual
        FROM used AS u
        JOIN pg_catalog.pg_collation AS l ON l.oid OPERATOR(pg_catalog.=) u.oid
        JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) l.collnamespace
        CROSS JOIN database AS d
    ), descendants (oid) AS (
        SELECT oid FROM relation
        UNION
        SELECT i.inhrelid FROM pg_catalog.pg_inherits AS i
        JOIN descendants AS d ON d.oid OPERATOR(pg_catalog.=) i.inhparent
    )
    SELECT pg_catalog.json_build_object(
        'relation', (SELECT oid FROM relation),
        'database', (SELECT d.oid FROM pg_catalog.pg_database AS d
            WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()),
        'columns', (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(
            attnum, atttypid, attcollation) ORDER BY n) FROM columns),
        'enums', (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(
            e.oid, e.enumsortorder, e.enumlabel) ORDER BY e.enumtypid, e.enumsortorder)
            FROM pg_catalog.pg_enum AS e
            WHERE e.enumtypid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT type FROM parts))),
        'casts', (SELECT pg_catalog.json_agg(pg_catalog.concat(
            pg_catalog.format_type(t.oid, NULL::pg_catalog.int4), ' AS ',
            pg_catalog.format_type(c.casttarget, NULL::pg_catalog.int4)) ORDER BY c.casttarget)
            FROM pg_catalog.pg_type AS t CROSS JOIN LATERAL ({diverting_casts}) AS c
            WHERE t.oid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT type FROM parts))),
        'has_own_types', (SELECT pg_catalog.bool_or(is_own) FROM parts),
        'has_names_of_objects', (SELECT pg_catalog.bool_or(names_objects) FROM parts),
        'collations', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
            'name', name, 'is_database', is_database, 'provider', provider, 'locale', locale,
            'recorded', recorded, 'actual', actual) ORDER BY oid) FROM collations),
        'files', (SELECT pg_catalog.json_agg(
            pg_catalog.pg_relation_filenode(i.indexrelid::pg_catalog.regclass)
            ORDER BY i.indexrelid) FROM pg_catalog.pg_index AS i
            JOIN descendants AS d ON d.oid OPERATOR(pg_catalog.=) i.indrelid)
    )::pg_catalog.text""")
