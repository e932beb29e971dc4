"""Columns that Python computes, in every format: the bytes are those that PostgreSQL writes."""

from __future__ import annotations

import io
import threading
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow.parquet as pq
import pytest

from waybill.catalog.computed import Computed, ComputedType
from waybill.catalog.model import Column, TableSource
from waybill.errors import SourceRejected, ValueNotRepresentable
from waybill.pipeline.readers import Parallel
from waybill.source.source import PostgresSource

from ..readers import read_table

TABLE = TableSource("public", "t")
TEXTS = [
    "plain", "", None, "a,b", "a;b", "a\tb", 'say "hi"', '"', "line\nbreak", "line\r\nbreak", "\r",
    " padded ", "NIL", "null", "\\.", "\\N", "0123", "-5", "+15551234567", "=SUM(A1)", "'=quoted",
    "@x", "-2+3", "\tTAB", "\x01quote", "\x02delimiter", "\x01\x02\x01", "Grüße 東京 🙂", "\u2028",
    "\x7f\x1f\x08\x0c", "\\ud800", "a_x000D_b", "</t>&", "\ufeffmark", "\ufffe", "x" * 3000, "'",
]  # fmt: skip
KINDS: dict[str, ComputedType] = {
    "t": "text", "n": "integer", "q": "number", "b": "boolean", "d": "date", "z": "timestamptz"
}  # fmt: skip
PLAIN = ["id", "t", "n", "j", "q", "b", "u", "d", "z", "a"]
LABELS = {"t": 'cell, "text"', "n": "ü" * 40, "j": "how it is"}
"""One header needs quotes; one is longer than a name in PostgreSQL."""

FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    "csv": ("csv", {"formula_guard": True}),
    "csv of another dialect": (
        "csv",
        {"delimiter": ";", "null_text": "NIL", "line_terminator": "lf", "formula_guard": False},
    ),
    "csv with tabs": ("csv", {"delimiter": "\t", "null_text": "\\N", "bom": True}),
    "json": ("json", {}),
    "ndjson": ("ndjson", {}),
    "parquet": ("parquet", {"text_columns": ["j"]}),
    "parquet with texts": ("parquet", {"text_columns": ["j", *KINDS]}),
    "xlsx": ("xlsx", {"formula_guard": True}),
    "xlsx without guard": ("xlsx", {"formula_guard": False}),
}


@pytest.fixture
def table(run_sql: Any) -> None:
    run_sql(
        "CREATE TABLE t (id int PRIMARY KEY, t text, n bigint, j json, q numeric, b bool, u uuid,"
        " d date, z timestamptz, a text[])"
    )
    for number, text in enumerate(TEXTS):
        run_sql(
            "INSERT INTO t VALUES (%s, %s, %s, %s, %s, %s, gen_random_uuid(), %s, %s, %s)",
            number,
            text,
            [2**63 - 1, -(2**63), 0, None][number % 4],
            ['{"a" : [1,\n2]}', '"\\ud800"', None][number % 3],
            [Decimal("-0.00"), Decimal("1E+30"), Decimal("1.50"), None, 10**40][number % 5],
            [True, False, None][number % 3],
            ["0001-01-01", "2024-02-29", "9999-12-31", None][number % 4],
            ["0001-01-01 00:00+00", "2024-05-01 12:00:00.5+02", "9999-12-31 23:59:59.999999+00",
             "1899-12-31 00:00:00+00", None][number % 5],
            [text, "b"],
        )  # fmt: skip
    run_sql("UPDATE t SET a = NULL WHERE id % 5 = 0")


def same(name: str) -> Computed:
    return Computed(lambda row: row[name], (name,), KINDS[name])


def columns(*names: str, is_computed: bool) -> tuple[Column, ...]:
    return tuple(
        Column(f"its_{name}", LABELS.get(name, name), computed=same(name))
        if is_computed and name in KINDS
        else Column(name, LABELS.get(name, name))
        for name in names
    )


def content(data: bytes, format_name: str) -> Any:
    """What has to be equal: all bytes of text; sheets of XLSX; columns and types of Parquet."""
    if format_name == "parquet":
        read = pq.read_table(io.BytesIO(data))
        assert read.num_rows == len(TEXTS)
        return read.replace_schema_metadata(None)
    if format_name == "xlsx":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {
                name: archive.read(name) for name in archive.namelist() if name.startswith("xl/")
            }
    return data


Export = Callable[..., Any]


def both(export: Export, names: list[str], format_name: str, options: dict[str, Any]) -> list[Any]:
    """Return a file of PostgreSQL's columns, and one in which Python makes them."""
    files = []
    for is_computed in (False, True):
        chosen = columns(*names, is_computed=is_computed)
        said = dict(options)
        if "text_columns" in said:
            wanted = [c.name for c in chosen if c.name.removeprefix("its_") in said["text_columns"]]
            said["text_columns"] = wanted
        files.append(export(TABLE, format_name, key=("id",), options=said, columns=chosen))
    return files


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize("names", [PLAIN, ["t"]], ids=["many", "one"])
def test_files_are_as_if_postgresql_had_computed(export: Export, names: list[str]) -> None:
    # One text alone: a record of one cell has rules of its own in COPY.
    for format_name, options in FORMATS.values():
        plain, made = both(export, names, format_name, options)
        assert content(made.data, format_name) == content(plain.data, format_name)
        assert made.manifest.rows == plain.manifest.rows == len(TEXTS)
        of = [(c.header, c.type, c.is_guarded) for c in plain.manifest.columns]
        assert [(c.header, c.type, c.is_guarded) for c in made.manifest.columns] == of


@pytest.mark.usefixtures("table")
def test_one_thread_calls_a_function_in_the_order_of_the_file(export: Export, dsn: str) -> None:
    calls: list[tuple[int, int]] = []

    def note(row: dict[str, Any]) -> int:
        calls.append((threading.get_ident(), row["id"]))
        return -int(row["id"])

    chosen = (Column("id"), Column("less", computed=Computed(note, ("id",), "integer")))
    parallel = Parallel(PostgresSource(dsn), 3, smallest_rows=1, first_rows=5)
    exported = export(TABLE, key=("id",), columns=chosen, parallel=parallel, compression="gzip")
    assert exported.manifest.rows == len(TEXTS)
    assert [number for _, number in calls] == list(range(len(TEXTS)))
    assert len({thread for thread, _ in calls}) == 1


def test_functions_are_given_what_the_server_has(export: Export, run_sql: Any) -> None:
    run_sql("CREATE DOMAIN money_of AS numeric(12,2)")
    run_sql(
        """CREATE TABLE t AS SELECT 1 AS id, 7::bigint AS n, 1.5::money_of AS q, true AS b,
        date '2024-02-29' AS d, timestamptz '2024-05-01 12:00+02' AS z, timestamp '2024-05-01' AS m,
        '00000000-0000-0000-0000-00000000000f'::uuid AS u, '{"a": [1.5]}'::jsonb AS j,
        'infinity'::float8 AS f, '{1,2}'::int[] AS a, 'ab'::char(4) AS c, '\\x00'::bytea AS y,
        interval '1 day' AS i, ''::text AS e, NULL::text AS o"""
    )
    expected = {
        "n": 7, "q": Decimal("1.50"), "b": True, "d": date(2024, 2, 29),
        "z": datetime(2024, 5, 1, 10, tzinfo=UTC), "m": datetime(2024, 5, 1),  # noqa: DTZ001
        "u": UUID(int=15), "j": {"a": [1.5]}, "f": float("inf"), "a": "{1,2}", "c": "ab  ",
        "y": "\\x00", "i": "P1D", "e": "", "o": None,
    }  # fmt: skip
    given: list[dict[str, Any]] = []
    how = Computed(given.append, tuple(expected))
    for format_name in ("csv", "ndjson", "parquet"):
        made = export(TABLE, format_name, key=("id",), columns=(Column("x", computed=how),))
        assert given.pop() == expected
        assert read_table(made.data, format_name)[1] == [[] if format_name == "csv" else [None]]

    run_sql("UPDATE t SET d = 'infinity'")
    with pytest.raises(ValueNotRepresentable, match="'d' holds a value that Python's date"):
        export(TABLE, key=("id",), columns=(Column("x", computed=how),))


def test_what_does_not_fit_the_source_is_said_before_a_row_is_read(
    export: Export, run_sql: Any
) -> None:
    run_sql("CREATE TABLE t AS SELECT 1 AS id, 'x'::text AS name")
    for column, said in (
        (Column("name", computed=Computed(repr, ("id",))), "has a column 'name' of its own"),
        (Column("made", computed=Computed(repr, ("gone",))), "has no column 'gone'"),
    ):
        with pytest.raises(SourceRejected, match=said):
            export(TABLE, key=("id",), columns=(Column("id"), column))
