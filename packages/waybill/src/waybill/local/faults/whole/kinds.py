"""Keys of every type with an order that PostgreSQL ships, and of some that it does not.

A kind's value is an SQL expression of the integer ``n``; different numbers give different values,
in the kind's own sense of equality.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Kind:
    """A key: its columns' types and values. ``before`` makes what the types need; ``needs`` is
    what only some servers have."""

    name: str
    types: tuple[str, ...]
    values: tuple[str, ...]
    before: tuple[str, ...] = ()
    needs: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the names of the key's columns."""
        return tuple(f"k{number}" for number in range(len(self.types)))


_MIXED = "CASE WHEN n % 2 = 0 THEN 'Ä' || upper(md5(n::text)) ELSE 'é ' || md5(n::text) END"
_ASCII = "CASE WHEN n % 2 = 0 THEN upper(md5(n::text)) ELSE md5(n::text) END"
_PADDED = "lpad(n::text, 9, '0')"
_TIME = "timestamp '2000-01-01' + n * interval '1 second'"


def _one(name: str, type_name: str, value: str, *before: str, needs: str | None = None) -> Kind:
    return Kind(name, (type_name,), (value,), before, needs)


KINDS: Final = (
    _one("int", "int", "n"),
    _one("bigint", "bigint", "n * 1000003::bigint - 5000000000"),
    _one("numeric", "numeric", "n / 7.0 - 500"),
    _one("real", "real", "n"),
    _one("double", "double precision", "sqrt(n)"),
    _one("money", "money", "n::money"),
    _one("oid", "oid", "n::oid"),
    _one("xid8", "xid8", "n::text::xid8"),
    _one("tid", "tid", "('(' || n || ',1)')::tid"),
    _one("pg_lsn", "pg_lsn", "('0/' || to_hex(n))::pg_lsn"),
    _one("text", "text", _MIXED),
    _one("varchar", "varchar(60)", _MIXED),
    _one("char", "char(60)", _ASCII),
    _one("name", "name", f"({_ASCII})::name"),
    _one("text in bytes", 'text COLLATE "C"', _MIXED),
    _one("bytea", "bytea", "decode(md5(n::text), 'hex')"),
    _one("uuid", "uuid", "md5(n::text)::uuid"),
    _one("date", "date", "date '1000-01-01' + n"),
    _one("timestamp", "timestamp", _TIME),
    _one("timestamptz", "timestamptz", f"({_TIME}) AT TIME ZONE 'UTC'"),
    _one("time", "time", "time '00:00' + n * interval '0.5 second'"),
    _one("timetz", "timetz", "(time '00:00' + n * interval '0.5 second') AT TIME ZONE 'UTC'"),
    _one("interval", "interval", "n * interval '1 minute'"),
    _one("inet", "inet", "inet '10.0.0.0' + n"),
    _one("cidr", "cidr", "(inet '10.0.0.0' + n)::cidr"),
    _one("macaddr", "macaddr", f"({_PADDED} || '000')::macaddr"),
    _one("macaddr8", "macaddr8", f"({_PADDED} || '0000000')::macaddr8"),
    _one("bit", "bit(32)", "n::bit(32)"),
    _one("varbit", "varbit", "n::bit(32)::varbit"),
    _one("int array", "int[]", "ARRAY[n % 7, n]"),
    _one("text array", "text[]", f"ARRAY['x', {_MIXED}]"),
    _one("jsonb", "jsonb", f"jsonb_build_object('k', {_MIXED})"),
    _one("tsvector", "tsvector", f"to_tsvector('simple', {_ASCII})"),
    _one("int range", "int4range", "int4range(n, n + 5)"),
    _one("numeric range", "numrange", "numrange(n, n + 0.5)"),
    _one("date range", "daterange", "daterange(date '1000-01-01' + n, NULL)"),
    _one("multirange", "int4multirange", "int4multirange(int4range(n, n + 1))"),
    Kind(
        "enum and int", ("weekday", "int"), ("('{a,b,c}'::weekday[])[1 + n % 3]", "n"),
        ("CREATE TYPE weekday AS ENUM ('c', 'a', 'b')",),
    ),
    _one(
        "domain over text", "label", _MIXED, "CREATE DOMAIN label AS text CHECK (value <> '')"
    ),
    _one("domain over int", "number", "n", "CREATE DOMAIN number AS int NOT NULL"),
    _one(
        "range of text", "textrange", f"textrange({_MIXED}, NULL)",
        "CREATE TYPE textrange AS RANGE (subtype = text)",
    ),
    _one(
        "composite type", "pair", f"ROW({_MIXED}, n)::pair", "CREATE TYPE pair AS (a text, b int)"
    ),
    _one("citext", "citext", _MIXED, "CREATE EXTENSION IF NOT EXISTS citext"),
    _one(
        "citext elsewhere", 'away.citext COLLATE "C"', f"({_MIXED})::away.citext",
        "CREATE SCHEMA away", "CREATE EXTENSION citext SCHEMA away",
    ),
    _one(
        "ICU", 'text COLLATE "en-x-icu"', _MIXED, needs="icu"
    ),
    _one(
        "ICU that ignores case", "text COLLATE folded", _MIXED,
        "CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2',"
        " deterministic = false)", needs="icu",
    ),
    Kind("few and many", ("bool", "int", "date"), ("n > 100", "n % 7", "date '2000-01-01' + n")),
    Kind("text and int", ("text", "int"), ("(ARRAY['b', 'B''x', 'á'])[1 + n % 3]", "n")),
)  # fmt: skip
