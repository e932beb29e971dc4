"""Every type, in every format, against what PostgreSQL itself says."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from waybill.catalog.model import TableSource

# (type, literals). Each becomes a column of its own, a row per literal, NULL in a last row.
TYPES: list[tuple[str, list[str]]] = [
    ("smallint", ["-32768", "32767"]),
    ("integer", ["0", "-2147483648"]),
    ("bigint", ["9223372036854775807", "-9223372036854775808"]),
    ("numeric", ["123456789012345678901234567890.000000000000000001", "NaN", "Infinity", "0.10"]),
    ("numeric(12,2)", ["-0.01", "9999999999.99"]),
    ("real", ["0.1", "NaN", "-Infinity", "1e38"]),
    ("double precision", ["0.1", "1e-300", "Infinity", "5e-324"]),
    ("boolean", ["true", "false"]),
    (
        "text",
        ["", " leading and trailing ", "a,b;c|d\te", 'say "hi"', "\\.", "\\N", "NULL", "a\r\nb"],
    ),
    (
        "text",
        [
            "\u0001\u0002\u001f\u007f",
            "Grüße 東京 🙂",
            "\u2028\ufeff",
            "=SUM(A1)",
            "a\nb\n",
            "\r",
            "'",
        ],
    ),
    ("character(5)", ["ab", ""]),
    ("varchar(9)", ["", "äöü"]),
    ('"char"', ["x", ""]),
    ("name", ["Weird Name"]),
    ("bytea", ["\\x", "\\x00ff0a22"]),
    ("uuid", ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"]),
    ("inet", ["192.0.2.1/24", "2001:db8::1"]),
    ("cidr", ["192.0.2.0/24"]),
    ("macaddr", ["08:00:2b:01:02:03"]),
    ("bit(4)", ["1010"]),
    ("bit varying", ["101", ""]),
    ("money", ["12.30", "-1"]),
    ("point", ["(1,2)"]),
    ("date", ["2024-02-29", "infinity", "-infinity", "0044-03-15 BC", "12024-01-01"]),
    ("time", ["23:59:59.999999", "00:00"]),
    ("timetz", ["10:00:00.5+05:30"]),
    ("interval", ["1 year 2 mons 3 days 04:05:06.7", "-1 second", "0"]),
    ("int4range", ["[1,5)", "empty"]),
    ("tstzrange", ["[2024-01-01 00:00+00,2024-01-02 00:00+00)"]),
    ("int4multirange", ["{[1,3),[5,9)}"]),
    ("tsvector", ["'cat':2 'fat':1"]),
    ("pg_lsn", ["16/B374D848"]),
    ("jsonpath", ['$."a"[*]']),
    ("mood", ["sad", "so, so"]),
    ("hstore", ['"a"=>"1", "b"=>NULL']),
    ("citext", ["MiXed"]),
    ("email", ["a@b.example"]),
]
NESTED: list[tuple[str, list[str]]] = [
    ("integer[]", ["{}", "{1,NULL,3}", "{{1,2},{3,4}}"]),
    ("text[]", ['{"a,b","",NULL,"q\\"x"}']),
    ("timestamptz[]", ["{2024-01-01 00:00+00}"]),
    ("json", ['{ "a" : 1.10,\n\t"b": [1,\r\n 2] }', '"x\\u0001\\ny"', "[]", "null"]),
    ("jsonb", ['{"a": {"b": [1, 2.50, null, "x\\ny"]}}', "1e100", '"\\u0001"']),
    ("json[]", ['{"{\\"a\\":\n1}"}']),
    ("person", ['("Ada ""L""",36)', "(,)"]),
    ("doc", ['{\n"n": 1\n}']),
]
TIMES: list[tuple[str, list[str]]] = [
    (
        "timestamptz",
        [
            "2024-05-01 12:00:00.5+02", "infinity", "-infinity", "0044-03-15 10:00+00 BC",
            "12024-01-01 00:00+00", "0001-01-01 00:00+00", "0001-12-31 23:59:59 BC",
            "1900-01-01 00:00+00", "9999-12-31 23:59:59.999999+00",
        ],
    ),
    ("timestamp", ["2024-05-01 12:00", "infinity", "0044-03-15 10:00 BC", "2024-01-01 0:0:0.25"]),
    ("moment", ["2024-05-01 12:00:00.25+02"]),
]  # fmt: skip
TABLE = TableSource("public", "Every Type")


@pytest.fixture
def every_type(run_sql: Callable[..., list[tuple[Any, ...]]]) -> list[str]:
    """A table with a column per type; returns the column names."""
    for statement in (
        "CREATE EXTENSION hstore",
        "CREATE EXTENSION citext",
        "CREATE TYPE mood AS ENUM ('sad', 'so, so')",
        "CREATE TYPE person AS (name text, age int)",
        "CREATE DOMAIN email AS citext CHECK (VALUE ~ '@')",
        "CREATE DOMAIN doc AS json",
        "CREATE DOMAIN moment AS timestamptz",
    ):
        run_sql(statement)
    types = TYPES + NESTED + TIMES
    names = [f"c{n} {type_name}" for n, (type_name, _) in enumerate(types)]
    quoted = ['"' + name.replace('"', '""') + '"' for name in names]
    columns = ", ".join(f"{q} {t}" for q, (t, _) in zip(quoted, types, strict=True))
    run_sql(f'CREATE TABLE "Every Type" (id int PRIMARY KEY, {columns})')
    deepest = max(len(literals) for _, literals in types)
    for row in range(deepest + 1):
        values = [literals[row] if row < len(literals) else None for _, literals in types]
        casts = ", ".join(f"%s::{type_name}" for type_name, _ in types)
        run_sql(f'INSERT INTO "Every Type" VALUES ({row}, {casts})', *values)
    return names


def test_csv_of_every_type_is_what_postgresql_prints(
    every_type: list[str], export: Any, run_sql: Any
) -> None:
    types = [type_name for type_name, _ in TYPES + NESTED + TIMES]

    def expression(quoted: str, type_name: str) -> str:
        if type_name in {"timestamptz", "timestamp", "moment"}:
            return f"to_json({quoted}) #>> '{{}}'"
        # char(n)'s cast to text strips the padding that the column's own output keeps.
        return f"format('%s', {quoted})" if type_name != "boolean" else f"{quoted}::text"

    quoted = ['"' + name.replace('"', '""') + '"' for name in every_type]
    expressions = ", ".join(
        f"CASE WHEN {q}::text IS NULL THEN '\\NULL' ELSE {expression(q, t)} END"
        for q, t in zip(quoted, types, strict=True)
    )
    expected = run_sql(f'SELECT id::text, {expressions} FROM "Every Type" ORDER BY id')

    exported = export(TABLE, "csv", key=("id",), options={"null_text": "\\NULL"})

    rows = list(csv.reader(io.StringIO(exported.data.decode(), newline="")))
    assert rows[0] == ["id", *every_type]
    assert len(rows) - 1 == len(expected) == exported.manifest.rows
    for actual, wanted in zip(rows[1:], expected, strict=True):
        assert actual == list(wanted)


@pytest.mark.parametrize("format_name", ["json", "ndjson"])
def test_json_of_every_type_is_what_postgresql_makes_of_it(
    every_type: list[str], export: Any, run_sql: Any, format_name: str
) -> None:
    quoted = ['"' + name.replace('"', '""') + '"' for name in ["id", *every_type]]
    expected = [
        [None if value is None else _exact(value) for value in row]
        for row in run_sql(
            "SELECT "
            + ", ".join(f"to_json({q})::text" for q in quoted)
            + ' FROM "Every Type" ORDER BY id'
        )
    ]

    exported = export(TABLE, format_name, key=("id",))

    text = exported.data.decode()
    rows = _exact(text) if format_name == "json" else [_exact(x) for x in text.split("\n")[:-1]]
    assert [list(row) for row in rows] == [["id", *every_type]] * len(expected)
    assert [list(row.values()) for row in rows] == expected


def _exact(text: str) -> Any:
    return json.loads(text, parse_float=Decimal, parse_int=Decimal, object_pairs_hook=_no_twins)


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def test_timestamps_carry_t_and_offset_in_every_format(export: Any, run_sql: Any) -> None:
    run_sql("CREATE TABLE t (a timestamptz, b timestamp)")
    run_sql("INSERT INTO t VALUES ('2024-05-01 12:00:00.5+02', '2024-05-01 12:00')")
    table = TableSource("public", "t")

    assert export(table, "csv", options={"header": False}).data == (
        b"2024-05-01T10:00:00.5+00:00,2024-05-01T12:00:00\r\n"
    )
    wanted = b'{"a":"2024-05-01T10:00:00.5+00:00","b":"2024-05-01T12:00:00"}'
    assert export(table, "ndjson").data == wanted + b"\n"
    assert export(table, "json").data == b"[\n" + wanted + b"\n]\n"


def test_null_and_empty_text_stay_apart(export: Any, run_sql: Any) -> None:
    run_sql("CREATE TABLE t (id int PRIMARY KEY, a text)")
    run_sql("INSERT INTO t VALUES (1, NULL), (2, ''), (3, '\\N')")
    table = TableSource("public", "t")

    assert export(table, key=("id",)).data == b'id,a\r\n1,\r\n2,""\r\n3,\\N\r\n'
    assert export(table, key=("id",), options={"null_text": "\\N"}).data == (
        b'id,a\r\n1,\\N\r\n2,\r\n3,"\\N"\r\n'
    )
    assert export(table, "ndjson", key=("id",)).data == (
        b'{"id":1,"a":null}\n{"id":2,"a":""}\n{"id":3,"a":"\\\\N"}\n'
    )
