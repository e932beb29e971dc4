"""Databases as nobody would make them: init, check, then every format of every table, each value
held against PostgreSQL's own text.

A few schemas by default; ``make hostile EXAMPLES=500`` tries more, and others each time.
"""

from __future__ import annotations

import datetime as dt
import decimal
import io
import json
import math
import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from psycopg import sql

from waybill.catalog import ExportType, load_catalog
from waybill.catalog.inspect import inspect_database
from waybill.catalog.render import render_toml
from waybill.errors import ValueNotRepresentable
from waybill.formats import ENCODERS
from waybill.formats.formula_guard import is_guarded_column, unguard
from waybill.requests.check_formats import check_everything
from waybill.requests.plan import Requester, open_plan
from waybill.requests.request import ExportRequest
from waybill.source.source import PostgresSource

from ..readers import read_table

EXAMPLES = os.environ.get("WAYBILL_HOSTILE_EXAMPLES")
NAMES = [
    "@timestamp", "=sum", "-x", "+1", "\t", "\r\n", "a\nb", " ", "select", "con", "NUL", "..", '"',
    "'", "\\", "x" * 63, "é" * 31, "🎉", "👩\u200d👩\u200d👧", "USERS", "Users", "users",
    "history", "ID", "id",
    "\u202egnp", "\ufeffbom", "password", "E-Mail", "name", "count(*)", "[x]", "#c", "a,b", "%s",
    "{}", "null", "＝1", "\u00a0=1", "'=1", "waybill_source", "waybill_row", "exports", "_",
]  # fmt: skip
SYSTEM = {"tableoid", "cmax", "xmax", "cmin", "xmin", "ctid"}
TEXTS = ["", " ", "=1+1", "'=1", "\t", "a\r\nb", '"', "\\N", "\\.", "_x0041_", "\u2028", "+49 30 1"]
TIMES = [
    "infinity", "-infinity", "0044-03-15 10:00 BC", "1899-12-31", "2024-02-29 12:30:00.000001",
    "9999-12-31 23:59:59.999999", "294276-12-31", "2100-06-01 00:00:00.123456",
]  # fmt: skip
VALUES: dict[str, list[str]] = {
    "integer": ["0", "-2147483648"],
    "bigint": ["9007199254740993", "-1"],
    "numeric": ["NaN", "Infinity", "0.10", "12345678901234567890.123", "1e200"],
    "numeric(12,2)": ["-0.01", "NaN", "9999999999.99"],
    "double precision": ["0.1", "NaN", "-Infinity", "5e-324", "1e308"],
    "boolean": ["true", "false"],
    "date": ["infinity", "0044-03-15 BC", "1900-02-28", "5874897-12-31", "2024-02-29"],
    "time": ["24:00", "12:30:00.5", "00:00"],
    "timestamp": TIMES,
    "timestamptz": TIMES,
    "interval": ["178000000 years", "1 day -00:00:01", "0"],
    "uuid": ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
    "bytea": ["\\x", "\\x00ff"],
    "json": [r'"\ud800"', r'{"a":"\udc00"}', "[1,\n2.50]", "null", r'"\u0000"', "1e999"],
    "jsonb": ['{"a": 1.10}', '"x\\ny"'],
    "text[]": ['{a,NULL,"b c"}', "{}", "{{a},{b}}"],
    "integer[]": ["{1,NULL}", "{{1},{2}}"],
    "timestamptz[]": ["{infinity}", "{2024-02-29}"],
    "inet": ["192.0.2.1/24"],
    "int4range": ["[1,5)", "empty"],
}


def _cut(name: str) -> str:
    return name.encode()[:63].decode(errors="ignore")


names = (
    st.one_of(
        st.sampled_from(NAMES),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1),
    )
    .map(_cut)
    .filter(lambda name: name not in SYSTEM and not name.startswith("pg_"))
)
texts = st.one_of(
    st.sampled_from(TEXTS),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
)


@dataclass(frozen=True)
class Table:
    name: str
    key: str
    columns: tuple[tuple[str, str, tuple[str | None, ...]], ...]
    """Name, type, a value per row."""
    rows: int
    is_partitioned: bool


@st.composite
def tables(draw: st.DrawFn, name: str) -> Table:
    rows = draw(st.integers(0, 4))
    key, *others = draw(st.lists(names, min_size=2, max_size=6, unique=True))
    columns = []
    for each in others:
        kind = draw(st.sampled_from(["text", *VALUES]))
        literal = texts if kind == "text" else st.sampled_from(VALUES[kind])
        values = draw(st.lists(st.one_of(st.none(), literal), min_size=rows, max_size=rows))
        columns.append((each, kind, tuple(values)))
    return Table(name, key, tuple(columns), rows, draw(st.booleans()))


@st.composite
def schemas(draw: st.DrawFn) -> tuple[str, list[Table]]:
    found = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    return draw(names), [draw(tables(name)) for name in found]


def _part_name(table: Table, part: int) -> str:
    return f"part {part} of {zlib.crc32(table.name.encode())}"


def _create(connection: psycopg.Connection[Any], schema: str, table: Table) -> None:
    columns = [sql.SQL("{} integer PRIMARY KEY").format(sql.Identifier(table.key))]
    columns += [
        sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind))  # type: ignore[arg-type]
        for name, kind, _ in table.columns
    ]
    where = sql.Identifier(schema, table.name)
    create = sql.SQL("CREATE TABLE {} ({})").format(where, sql.SQL(", ").join(columns))
    if table.is_partitioned:
        create += sql.SQL(" PARTITION BY HASH ({})").format(sql.Identifier(table.key))
    connection.execute(create)
    for part in range(2 if table.is_partitioned else 0):
        connection.execute(
            sql.SQL("CREATE TABLE {}.{} PARTITION OF {} FOR VALUES WITH (MODULUS 2, REMAINDER {})")
            .format(sql.Identifier(schema), sql.Identifier(_part_name(table, part)), where,
                    sql.Literal(part))
        )  # fmt: skip
    for row in range(table.rows):
        values = [sql.Literal(row)] + [
            sql.SQL("{}::{}").format(sql.Literal(values[row]), sql.SQL(kind))  # type: ignore[arg-type]
            for _, kind, values in table.columns
        ]
        connection.execute(
            sql.SQL("INSERT INTO {} VALUES ({})").format(where, sql.SQL(", ").join(values))
        )


@settings(
    max_examples=int(EXAMPLES or 5),
    derandomize=EXAMPLES is None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],  # to shrink one takes minutes
    suppress_health_check=list(HealthCheck),
)
@given(schemas())
def test_every_format_of_every_table_is_what_postgresql_says(
    dsn: str, tmp_path: Path, hostile: tuple[str, list[Table]]
) -> None:
    schema, found = hostile
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET IntervalStyle = 'iso_8601'")
        connection.execute(
            sql.SQL("DROP SCHEMA IF EXISTS {0} CASCADE; CREATE SCHEMA {0}").format(
                sql.Identifier(schema)
            )
        )
        for table in found:
            _create(connection, schema, table)
        try:
            _hold_against_postgresql(connection, dsn, schema, found, tmp_path / "waybill.toml")
        finally:
            connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))


def _hold_against_postgresql(
    connection: psycopg.Connection[Any], dsn: str, schema: str, found: list[Table], file: Path
) -> None:
    inspection = inspect_database(dsn, schemas=[schema])
    file.write_text(render_toml(inspection), encoding="utf-8")
    catalog = load_catalog(file)
    assert catalog == inspection.catalog
    assert sorted(t.source.table for t in catalog.values()) == sorted(t.name for t in found)
    assert [str(f) for f in check_everything(catalog, dsn) if f.severity == "error"] == []
    for export_type in catalog.values():
        for format_name in ENCODERS:
            _compare(connection, dsn, export_type, format_name)


def _expected(
    connection: psycopg.Connection[Any], export_type: ExportType, how: str
) -> list[list[str | None]]:
    source = export_type.source
    values = [sql.SQL(how).format(sql.Identifier(c.name)) for c in export_type.columns]  # type: ignore[arg-type]
    statement = sql.SQL("SELECT {} FROM {} ORDER BY {}").format(
        sql.SQL(", ").join(values),
        sql.Identifier(source.schema, source.table),  # type: ignore[union-attr]
        sql.Identifier(export_type.key[0]),
    )
    return [list(row) for row in connection.execute(statement)]


# As the guide has it: times in ISO 8601, all else as its text.
TEXT = """CASE WHEN pg_typeof({0})::text LIKE 'timestamp%% time zone'
    THEN to_json({0}) #>> '{{}}' ELSE {0}::text END""".replace("%%", "%")


def _compare(
    connection: psycopg.Connection[Any], dsn: str, export_type: ExportType, format_name: str
) -> None:
    headers = [column.label for column in export_type.columns]
    wanted = _expected(connection, export_type, TEXT)
    if format_name == "parquet":
        _compare_parquet(dsn, export_type, _expected(connection, export_type, "{}::text"))
        return
    data, guarded = _written(dsn, export_type, format_name, {})
    if format_name in {"csv", "xlsx"}:
        header, rows = read_table(data, format_name)
        assert header == headers
        for row, texts_of_row in zip(rows, wanted, strict=True):
            for cell, text, is_guarded in zip(row, texts_of_row, guarded, strict=True):
                value = unguard(cell) if is_guarded and isinstance(cell, str) else cell
                assert _same(value, text), (format_name, cell, text)
        return
    read = json.loads(data, **_EXACT) if format_name == "json" else _lines(data)
    in_json = _expected(connection, export_type, "coalesce(to_json({})::text, 'null')")
    for found, texts_of_row, json_of_row in zip(read, wanted, in_json, strict=True):
        assert [name for name, _ in found] == headers
        for (_, value), text, as_json in zip(found, texts_of_row, json_of_row, strict=True):
            nested = json.loads(as_json or "", **_EXACT)
            has_half = any(
                0xD800 <= ord(ch) < 0xE000 for ch in json.dumps(nested, ensure_ascii=False)
            )
            assert value == (text if has_half else nested)


_EXACT: dict[str, Any] = {"parse_float": str, "parse_int": str, "object_pairs_hook": list}


def _lines(data: bytes) -> list[Any]:
    return [json.loads(line, **_EXACT) for line in data.split(b"\n") if line]


def _compare_parquet(dsn: str, export_type: ExportType, wanted: list[list[str | None]]) -> None:
    names_of_all = [column.name for column in export_type.columns]
    as_text: list[str] = []
    while True:  # each refusal names the column that the option helps with
        try:
            data, _ = _written(dsn, export_type, "parquet", {"text_columns": as_text})
        except ValueNotRepresentable as exc:
            refused, says = exc.column, str(exc)
        else:
            break
        assert refused not in as_text
        assert f"text_columns=[{json.dumps(refused)}]" in says
        as_text.append(refused)
    for chosen in (as_text, names_of_all):
        if chosen is names_of_all:
            data, _ = _written(dsn, export_type, "parquet", {"text_columns": names_of_all})
        table = pq.read_table(io.BytesIO(data))
        assert table.column_names == [column.label for column in export_type.columns]
        assert table.num_rows == len(wanted)
        for n, name in enumerate(names_of_all):
            texts_of_column = [row[n] for row in wanted]
            kind = str(table.schema.field(n).type)
            assert table.column(n).null_count == texts_of_column.count(None)
            if kind.startswith(("string", "extension<arrow.json")):
                assert table.column(n).to_pylist() == texts_of_column, name
            elif not kind.startswith(("timestamp", "date", "time", "list")):
                values = table.column(n).to_pylist()
                assert all(map(_same, values, texts_of_column)), (name, values)


def _same(value: Any, text: str | None) -> bool:
    """Whether a cell says what the text says; an empty one is NULL or no text."""
    if value in {None, ""} if isinstance(value, str | None) else False:
        return not text
    if text is None:
        return False
    if isinstance(value, bool):
        return text == str(value).lower()
    if isinstance(value, int | float):
        return float(value) == float(text) or (math.isnan(value) and text == "NaN")
    if isinstance(value, decimal.Decimal):
        return value == decimal.Decimal(text)
    if isinstance(value, bytes):
        return text == f"\\x{value.hex()}"
    if isinstance(value, dt.time):
        return abs(_day(value) - _day(dt.time.fromisoformat(text))) <= 500
    if isinstance(value, dt.datetime):  # openpyxl rounds to milliseconds
        meant = dt.datetime.fromisoformat(text).replace(tzinfo=None)
        return abs(value - meant) <= dt.timedelta(microseconds=500)
    return str(value) == text


def _day(time: dt.time) -> int:
    return ((time.hour * 60 + time.minute) * 60 + time.second) * 1_000_000 + time.microsecond


def _written(
    dsn: str, export_type: ExportType, format_name: str, options: dict[str, Any]
) -> tuple[bytes, list[bool]]:
    """Return the file of a request, and which of its columns are guarded against formulas."""
    request = ExportRequest(export_type.name, format_name, format_options=options)
    check: Callable[[], None] = lambda: None  # noqa: E731
    with open_plan(
        PostgresSource(dsn),
        request.canonical(export_type),
        export_type,
        Requester(None, "ann"),
        check,
        application_name="hostile",
        statement_timeout_seconds=60,
    ) as (snapshot, plan):
        snapshot.check_key(export_type)
        encoding = plan.encoder.open(plan)
        data = encoding.header()
        for chunk in snapshot.copy(encoding.statement):
            data += encoding.encode(chunk)
        data += encoding.footer()
        assert plan.encoder.count_rows(io.BytesIO(data), plan.options) == encoding.rows
        return data, [is_guarded_column(column) for column in plan.columns]
