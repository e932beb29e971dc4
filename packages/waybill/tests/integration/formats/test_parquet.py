"""Parquet: every type as its readers see it; what it cannot hold is refused by name."""

from __future__ import annotations

import datetime as dt
import decimal
import io
import json
import math
import uuid
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from waybill.catalog.model import ExportType, TableSource
from waybill.errors import InvalidOption, ValueNotRepresentable
from waybill.formats import get_encoder, read_options
from waybill.formats.plan import ExportPlan
from waybill.pipeline.readers import ManyReaders, OneReader, Parallel, open_reader
from waybill.source.source import PostgresSource

D = decimal.Decimal
NAN = float("nan")
UUID = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
NOON = dt.datetime.fromisoformat("2024-05-01T12:00:00.25")
LAST = "9999-12-31 23:59:59.999999+00"
ODD = ["", "\ufeffBOM", "a\r\nb", "\u0001\u0002\"'", "=1"]
TABLE = TableSource("public", "t")
LONG = "123456789012345678901234567890.000000000000000001"

# (PostgreSQL's type, type in Arrow, literals, values). A row of NULLs follows in every column.
CASES: list[tuple[str, str, list[str], list[Any]]] = [
    ("smallint", "int16", ["-32768", "32767"], [-32768, 32767]),
    ("integer", "int32", ["-2147483648"], [-2147483648]),
    ("bigint", "int64", ["9223372036854775807", "-1"], [2**63 - 1, -1]),
    ("oid", "uint32", ["4294967295"], [4294967295]),
    ("real", "float", ["0.5", "NaN", "-Infinity"], [0.5, NAN, -math.inf]),
    ("double precision", "double", ["0.1", "Infinity", "5e-324"], [0.1, math.inf, 5e-324]),
    (
        "numeric(12,2)",
        "decimal128(12, 2)",
        ["-0.01", "9999999999.90"],
        [D("-0.01"), D("9999999999.90")],
    ),
    ("numeric(38,18)", "decimal128(38, 18)", ["1.000000000000000001"], [D("1.000000000000000001")]),
    ("numeric(3,-2)", "decimal128(5, 0)", ["12300"], [D(12300)]),
    ("numeric(2,5)", "decimal128(5, 5)", ["0.00012"], [D("0.00012")]),
    ("numeric(60,10)", "string", ["1.5"], ["1.5000000000"]),
    ("numeric", "string", [LONG, "NaN", "0.10"], [LONG, "NaN", "0.10"]),
    ("price", "decimal128(7, 2)", ["12345.60"], [D("12345.60")]),
    ("boolean", "bool", ["true", "false"], [True, False]),
    ("text", "string", ODD, ODD),
    ("character(3)", "string", ["ab"], ["ab "]),
    ("citext", "string", ["MiXed"], ["MiXed"]),
    ("mood", "string", ["so, so"], ["so, so"]),
    ("uuid", "extension<arrow.uuid>", [UUID], [uuid.UUID(UUID)]),
    ("bytea", "binary", ["\\x", "\\x00ff0a22", "\\x5c78"], [b"", b'\x00\xff\n"', b"\\x"]),
    ("date", "date32[day]", ["2024-02-29", "0001-01-01"], [dt.date(2024, 2, 29), dt.date(1, 1, 1)]),
    ("time", "time64[us]", ["23:59:59.999999", "00:00"], [dt.time(23, 59, 59, 999999), dt.time(0)]),
    ("timestamp", "timestamp[us]", ["2024-05-01 12:00:00.25"], [NOON]),
    (
        "timestamptz",
        "timestamp[us, tz=UTC]",
        ["2024-05-01 12:00:00.5+02"],
        [dt.datetime(2024, 5, 1, 10, 0, 0, 500000, tzinfo=dt.UTC)],
    ),
    ("moment", "timestamp[us, tz=UTC]", [LAST], [dt.datetime.fromisoformat(LAST)]),
    ("interval", "string", ["1 year 2 mons 3 days 04:05:06.7"], ["P1Y2M3DT4H5M6.7S"]),
    ("timetz", "string", ["10:00:00.5+05:30"], ["10:00:00.5+05:30"]),
    (
        "json",
        "extension<arrow.json>",
        ['{ "a" : 1.10,\n"b": [] }', "null"],
        ['{ "a" : 1.10,\n"b": [] }', "null"],
    ),
    ("jsonb", "extension<arrow.json>", ['{"a": [1, 2.50]}'], ['{"a": [1, 2.50]}']),
    ("integer[]", "list<element: int32>", ["{1,NULL,3}", "{}"], [[1, None, 3], []]),
    (
        "text[]",
        "list<element: string>",
        ['{"a,b","",NULL,"q\\"\\nx"}'],
        [["a,b", "", None, 'q"nx']],
    ),
    (
        "double precision[]",
        "list<element: double>",
        ["{0.1,-Infinity,1e-300}"],
        [[0.1, -math.inf, 1e-300]],
    ),
    (
        "numeric(12,2)[]",
        "list<element: decimal128(12, 2)>",
        ["{1,-2.5}"],
        [[D("1.00"), D("-2.50")]],
    ),
    ("numeric[]", "list<element: string>", ["{1.10,NaN}"], [["1.10", "NaN"]]),
    ("boolean[]", "list<element: bool>", ["{t,f}"], [[True, False]]),
    ("date[]", "list<element: date32[day]>", ["{2024-02-29}"], [[dt.date(2024, 2, 29)]]),
    ("time[]", "list<element: time64[us]>", ["{10:00:00.5}"], [[dt.time(10, 0, 0, 500000)]]),
    (
        "timestamptz[]",
        "list<element: timestamp[us, tz=UTC]>",
        ["{2024-01-01 00:00+00}"],
        [[dt.datetime(2024, 1, 1, tzinfo=dt.UTC)]],
    ),
    ("bytea[]", "list<element: binary>", ['{"\\\\x00ff",NULL}'], [[b"\x00\xff", None]]),
    ("jsonb[]", "list<element: extension<arrow.json>>", ['{"{\\"a\\": 1}"}'], [['{"a": 1}']]),
    ("uuid[]", "list<element: string>", [f"{{{UUID}}}"], [[UUID]]),
    ("mood[]", "list<element: string>", ['{sad,"so, so"}'], [["sad", "so, so"]]),
    ("inet", "string", ["192.0.2.1/24"], ["192.0.2.1/24"]),
    ("int4range", "string", ["[1,5)"], ["[1,5)"]),
    ("tsvector", "string", ["'cat':2"], ["'cat':2"]),
    ("person", "string", ['("Ada ""L""",36)'], ['("Ada ""L""",36)']),
    ("money", "string", ["-1"], ["-$1.00"]),
    ("bit(4)", "string", ["1010"], ["1010"]),
]


@pytest.fixture
def every_type(run_sql: Any) -> None:
    for statement in (
        "CREATE EXTENSION citext",
        "CREATE TYPE mood AS ENUM ('sad', 'so, so')",
        "CREATE TYPE person AS (name text, age int)",
        "CREATE DOMAIN moment AS timestamptz",
        "CREATE DOMAIN amount AS numeric(7,2)",
        "CREATE DOMAIN price AS amount CHECK (VALUE > 0)",
        "SET lc_monetary = 'C'",
    ):
        run_sql(statement)
    columns = ", ".join(f'"{n}" {kind}' for n, (kind, *_) in enumerate(CASES))
    run_sql(f"CREATE TABLE t (id int PRIMARY KEY, {columns})")
    deepest = max(len(literals) for _, _, literals, _ in CASES)
    for row in range(deepest + 1):
        values = [lits[row] if row < len(lits) else None for _, _, lits, _ in CASES]
        casts = ", ".join(f"%s::{kind}" for kind, *_ in CASES)
        run_sql(f"INSERT INTO t VALUES ({row}, {casts})", *values)


def read(data: bytes) -> pa.Table:
    return pq.read_table(io.BytesIO(data))


def _same(actual: Any, wanted: Any) -> bool:
    if isinstance(wanted, float) and math.isnan(wanted):
        return isinstance(actual, float) and math.isnan(actual)
    return bool(actual == wanted)


def test_every_type_arrives_as_what_it_is(every_type: None, export: Any) -> None:
    table = read(export(TABLE, "parquet", key=("id",)).data)

    for n, (kind, arrow_type, _, values) in enumerate(CASES):
        field = table.schema.field(str(n))
        assert str(field.type) == arrow_type, kind
        read_values = table.column(str(n)).to_pylist()
        wanted = values + [None] * (len(read_values) - len(values))
        assert all(map(_same, read_values, wanted)), (kind, read_values, wanted)


def test_duckdb_pandas_and_polars_read_every_type(
    every_type: None, export: Any, tmp_path: Any
) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(export(TABLE, "parquet", key=("id",)).data)
    table = read(path.read_bytes())

    for n, (kind, _, _, values) in enumerate(CASES):
        name = str(n)
        wanted = values + [None] * (table.num_rows - len(values))
        in_pandas = [
            _plain(v) for v in pd.read_parquet(path, columns=[name], dtype_backend="pyarrow")[name]
        ]
        assert all(map(_same, in_pandas, [_plain(v) for v in wanted])), ("pandas", kind, in_pandas)
        # As text, since the values of DuckDB's client for zoned times need pytz.
        in_duckdb = duckdb.sql(f"SELECT \"{n}\"::text FROM '{path}' ORDER BY id").fetchall()
        assert [v is None for (v,) in in_duckdb] == [v is None for v in wanted], ("duckdb", kind)
        in_polars = pl.read_parquet(path, columns=[name])[name].to_list()
        expected = [v.bytes if isinstance(v, uuid.UUID) else v for v in wanted]
        assert all(map(_same, map(_polars, in_polars), map(_polars, expected))), (
            "polars", kind, in_polars,
        )  # fmt: skip
    kinds = dict(
        duckdb.sql(f"SELECT column_name, column_type FROM (DESCRIBE FROM '{path}')").fetchall()
    )
    by_type = {kind: kinds[str(n)] for n, (kind, *_) in enumerate(CASES)}
    assert by_type["numeric(12,2)"] == "DECIMAL(12,2)"
    assert by_type["uuid"] == "UUID"
    assert by_type["jsonb"] == "JSON"
    assert by_type["timestamptz"] == "TIMESTAMP WITH TIME ZONE"
    assert by_type["timestamp"] == "TIMESTAMP"
    assert by_type["integer[]"] == "INTEGER[]"
    in_duckdb = duckdb.sql(f"""SELECT sum("6")::text FROM '{path}'""").fetchall()
    assert in_duckdb == [("9999999999.89",)]


def _plain(value: Any) -> Any:
    """What pandas makes of NULL in any kind of column, and arrays, as plain values."""
    if hasattr(value, "tolist") and not isinstance(value, pd.Timestamp):
        value = value.tolist()
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if value is pd.NaT or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return None
    return value.to_pydatetime() if isinstance(value, pd.Timestamp) else value


def _polars(value: Any) -> Any:
    if isinstance(value, list):
        return [_polars(v) for v in value]
    return value.replace(tzinfo=None) if isinstance(value, dt.datetime) else value


def test_dates_beyond_pythons_range_are_exact(export: Any, run_sql: Any, tmp_path: Any) -> None:
    run_sql("CREATE TABLE t (id int PRIMARY KEY, d date, a timestamptz, b timestamp)")
    run_sql(
        "INSERT INTO t SELECT n, d::date, d::timestamptz + interval '0.25 s', d::timestamp "
        "FROM unnest(ARRAY['0044-03-15 BC', '12024-01-01', '0001-12-31 BC', '4713-01-01 BC', "
        "'200000-02-29', '1969-12-31']) WITH ORDINALITY AS t (d, n)"
    )
    path = tmp_path / "t.parquet"
    path.write_bytes(export(TABLE, "parquet", key=("id",)).data)
    wanted = run_sql(
        "SELECT d - date '1970-01-01', (extract(epoch FROM a) * 1000000)::bigint, "
        "(extract(epoch FROM b) * 1000000)::bigint FROM t ORDER BY id"
    )

    table = read(path.read_bytes())

    stored = [
        table.column("d").cast(pa.int32()).to_pylist(),
        table.column("a").cast(pa.int64()).to_pylist(),
        table.column("b").cast(pa.int64()).to_pylist(),
    ]
    assert list(zip(*stored, strict=True)) == wanted
    first = duckdb.sql(f"SELECT d::text FROM '{path}' ORDER BY id LIMIT 1").fetchall()
    assert first == [("0044-03-15 (BC)",)]


@pytest.mark.parametrize(
    ("kind", "literal", "what", "text"),
    [
        ("timestamptz", "infinity", "infinity", "infinity"),
        ("timestamp", "-infinity", "infinity", "-infinity"),
        ("timestamp", "294276-12-31", "a time after the year", "294276-12-31 00:00:00"),
        ("date", "infinity", "infinity", "infinity"),
        ("numeric(5,2)", "NaN", "NaN", "NaN"),
        ("time", "24:00", "24:00", "24:00:00"),
        ("integer[]", "{{1,2},{3,4}}", "an array of several dimensions", "{{1,2},{3,4}}"),
        ("date[]", "{infinity}", "infinity", "{infinity}"),
    ],
)
def test_value_without_a_place_is_refused_by_column_and_its_remedy_works(
    kind: str, literal: str, what: str, text: str, export: Any, run_sql: Any
) -> None:
    run_sql(f"CREATE TABLE t (id int PRIMARY KEY, fine {kind}, odd {kind})")
    run_sql(f"INSERT INTO t VALUES (1, NULL, %s::{kind})", literal)

    with pytest.raises(ValueNotRepresentable, match=rf"Column 'odd' holds {what}.*text_columns"):
        export(TABLE, "parquet", key=("id",))

    data = export(TABLE, "parquet", key=("id",), options={"text_columns": ["odd"]}).data
    assert read(data).column("odd").to_pylist() == [text]


def test_unknown_text_column_is_refused(export: Any, run_sql: Any) -> None:
    run_sql("CREATE TABLE t (id int)")

    with pytest.raises(InvalidOption, match="no column 'wrong'"):
        export(TABLE, "parquet", options={"text_columns": ["wrong"]})


@pytest.mark.parametrize("codec", ["zstd", "none"])
def test_row_groups_are_streamed_and_the_origin_is_told(
    codec: str, export: Any, run_sql: Any, control: Any
) -> None:
    run_sql("CREATE TABLE t (id bigint PRIMARY KEY, a text, u uuid)")
    run_sql(
        "INSERT INTO t SELECT n, repeat(md5(n::text), 32), CASE WHEN n % 7 > 0 "
        "THEN md5(n::text)::uuid END FROM generate_series(1, 15000) AS n"
    )

    exported = export(TABLE, "parquet", key=("id",), options={"codec": codec})

    file = pq.ParquetFile(io.BytesIO(exported.data))
    assert file.metadata.num_row_groups == 2
    assert file.metadata.row_group(0).column(0).compression == (
        "UNCOMPRESSED" if codec == "none" else codec.upper()
    )
    origin = json.loads(file.schema_arrow.metadata[b"waybill"])
    assert origin["export_id"] == "11111111-2222-3333-4444-555555555555"
    assert origin["snapshot"] == exported.manifest.snapshot.id
    assert origin["columns"][2] == {"name": "u", "type": "uuid"}
    counted = duckdb.from_arrow(file.read()).aggregate("count(*), sum(id)::bigint, count(u)")
    assert counted.fetchall() == run_sql("SELECT count(*), sum(id)::bigint, count(u) FROM t")
    # A first row group leaves before the last row has come.
    assert any(done > 0 and rows < 15_000 for rows, done in control.calls)


def test_columns_that_repeat_themselves_have_a_dictionary_and_others_none(
    export: Any, run_sql: Any
) -> None:
    run_sql(
        'CREATE TABLE t (id bigint PRIMARY KEY, "a.b" text, few uuid, own uuid, half text, '
        "words text[], lines text[], facts jsonb, nothing text, price numeric(9,2))"
    )
    run_sql(
        "INSERT INTO t SELECT n, 'x', md5((n % 3)::text)::uuid, md5(n::text)::uuid, "
        "CASE WHEN n > 50 THEN n::text END, ARRAY['a', 'b'], ARRAY[n::text, 'a' || n], "
        "to_jsonb(n % 2), NULL, n / 100.0 FROM generate_series(1, 100) AS n"
    )

    file = pq.ParquetFile(io.BytesIO(export(TABLE, "parquet", key=("id",)).data))

    group = file.metadata.row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    assert {c.path_in_schema for c in columns if c.has_dictionary_page} == {
        "a.b", "few", "words.list.element", "facts", "nothing",
    }  # fmt: skip
    assert duckdb.from_arrow(file.read()).aggregate("count(DISTINCT own), sum(id)").fetchall() == [
        (100, 5050)
    ]


@pytest.mark.parametrize(("readers", "kind"), [(2, OneReader), (3, ManyReaders)])
def test_encoding_counts_as_a_reader(
    readers: int, kind: type, dsn: str, run_sql: Any, control: Any
) -> None:
    run_sql("CREATE TABLE t (id int PRIMARY KEY)")
    source = PostgresSource(dsn)
    things = ExportType("things", TABLE, key=("id",))

    with source.open_snapshot(control.check) as snapshot:
        options = read_options("parquet", {})
        plan = ExportPlan(things, snapshot.resolve(things), get_encoder("parquet"), options)
        with open_reader(
            plan,
            snapshot,
            get_encoder("parquet").open(plan),
            control.check,
            expected_rows=1_000_000,
            parallel=Parallel(source, readers),
        ) as reader:
            assert type(reader) is kind
            assert list(reader.pieces()) == []
            assert reader.rows == reader.copied_rows == 0
