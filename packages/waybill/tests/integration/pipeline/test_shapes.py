"""Empty, narrow, wide and huge sources; names and labels of any spelling; parts cut anywhere."""

from __future__ import annotations

import hashlib
import itertools
import json
from typing import Any

import pytest

from waybill.catalog.model import Column, QuerySource, TableSource
from waybill.formats import ENCODERS

from ..readers import read_table

TABLE = TableSource("public", "t")
EMPTY = {"csv": b"id,a\r\n", "json": b"[]\n", "ndjson": b""}


@pytest.mark.parametrize("format_name", ENCODERS)
def test_table_without_rows_gives_a_valid_empty_file(
    format_name: str, export: Any, run_sql: Any
) -> None:
    run_sql("CREATE TABLE t (id int PRIMARY KEY, a text)")

    exported = export(TABLE, format_name, key=("id",))

    if format_name in EMPTY:
        assert exported.data == EMPTY[format_name]
    assert exported.manifest.rows == 0
    assert exported.manifest.sha256 == hashlib.sha256(exported.data).hexdigest()


def test_single_column_tells_null_from_empty_and_counts_both(export: Any, run_sql: Any) -> None:
    run_sql("CREATE TABLE t (a text)")
    run_sql("INSERT INTO t VALUES ('x'), (NULL), (''), ('\\.')")

    exported = export(TABLE, "csv")

    assert exported.data == b'a\r\nx\r\n\r\n""\r\n"\\."\r\n'
    assert exported.manifest.rows == 4


@pytest.mark.parametrize("format_name", ENCODERS)
def test_1600_columns_arrive_in_order(format_name: str, export: Any, run_sql: Any) -> None:
    names = [f"c{n}" for n in range(1600)]
    run_sql(f"CREATE TABLE t ({', '.join(f'{name} int' for name in names)})")
    run_sql(f"INSERT INTO t VALUES ({', '.join(map(str, range(1600)))})")

    header, rows = read_table(export(TABLE, format_name).data, format_name)

    assert header == names
    assert [list(map(int, row)) for row in rows] == [list(range(1600))]


NAMES = ['Mixed "Case"', "com,ma", "new\nline", "dot.ted", "ünï 🙂", "%s {}", "waybill_row", "id"]


@pytest.mark.parametrize("format_name", ENCODERS)
@pytest.mark.parametrize("long_label", [False, True])
def test_names_and_labels_of_any_spelling_come_through(
    format_name: str, long_label: bool, export: Any, run_sql: Any
) -> None:
    quoted = ['"' + name.replace('"', '""') + '"' for name in NAMES]
    run_sql('CREATE SCHEMA "My ""Schema"')
    table = TableSource('My "Schema', "waybill_source")
    run_sql(f'CREATE TABLE "My ""Schema".waybill_source ({", ".join(f"{q} text" for q in quoted)})')
    run_sql(
        f'INSERT INTO "My ""Schema".waybill_source VALUES ({", ".join(["%s"] * len(NAMES))})',
        *NAMES,
    )
    # The last label is the first column's name: ORDER BY must mean the column all the same.
    labels = [f'Label of\r\n{name}, "x" \\ \'' for name in NAMES[:-1]] + [NAMES[0]]
    if long_label:
        labels[1] = "ä" * 200
    columns = tuple(Column(n, label) for n, label in zip(NAMES, labels, strict=True))

    data = export(table, format_name, columns=columns, key=("id",)).data

    assert read_table(data, format_name) == (labels, [NAMES])


def test_1600_columns_with_a_long_label_are_assembled(export: Any, run_sql: Any) -> None:
    names = [f"c{n}" for n in range(1600)]
    run_sql(f"CREATE TABLE t ({', '.join(f'{name} int' for name in names)})")
    run_sql("INSERT INTO t (c1599) VALUES (7)")
    columns = tuple(Column(name, "x" * 64 + name) for name in names)

    row = json.loads(export(TABLE, "ndjson", columns=columns).data)

    assert list(row) == ["x" * 64 + name for name in names]
    assert [value for value in row.values() if value is not None] == [7]


@pytest.mark.parametrize("format_name", sorted({*ENCODERS} - {"xlsx"}))
def test_value_of_50_mb_comes_through_whole(format_name: str, export: Any, run_sql: Any) -> None:
    run_sql("CREATE TABLE t (id int PRIMARY KEY, a text)")
    run_sql("""INSERT INTO t SELECT n, repeat('Zeile "1"' || chr(10), 5000000) || n
               FROM generate_series(1, 2) AS n""")
    wanted = ['Zeile "1"\n' * 5_000_000 + str(n) for n in (1, 2)]

    _, rows = read_table(export(TABLE, format_name, key=("id",)).data, format_name)

    assert [row[1] for row in rows] == wanted


FIVE_MIB = 5 * 1024 * 1024


@pytest.mark.parametrize("surplus", [-1, 0, 1])
def test_file_that_ends_at_a_part_boundary_is_whole(
    surplus: int, export: Any, run_sql: Any
) -> None:
    run_sql("CREATE TABLE t (a text)")
    # Two parts of 5 MiB, the record's CRLF included, and a byte more or less.
    run_sql("INSERT INTO t SELECT repeat('x', %s)", 2 * FIVE_MIB - 2 + surplus)

    exported = export(TABLE, "csv", options={"header": False}, part_bytes=FIVE_MIB)

    assert len(exported.data) == 2 * FIVE_MIB + surplus
    sizes = {-1: [FIVE_MIB, FIVE_MIB - 1], 0: [FIVE_MIB] * 2, 1: [FIVE_MIB, FIVE_MIB, 1]}
    assert [part.bytes for part in exported.manifest.parts] == sizes[surplus]
    for part in exported.manifest.parts:
        piece = exported.data[part.offset : part.offset + part.bytes]
        assert part.sha256 == hashlib.sha256(piece).hexdigest()


def test_line_breaks_in_cells_stay_while_records_end_in_crlf(export: Any, run_sql: Any) -> None:
    run_sql("CREATE TABLE t (id int PRIMARY KEY, a text)")
    run_sql(r"INSERT INTO t VALUES (1, E'a\nb'), (2, E'\r\n'), (3, E'\"\n\"'), (4, 'plain')")

    assert export(TABLE, key=("id",)).data == (
        b'id,a\r\n1,"a\nb"\r\n2,"\r\n"\r\n3,"""\n"""\r\n4,plain\r\n'
    )
    assert export(TABLE, key=("id",), options={"line_terminator": "lf"}).data == (
        b'id,a\n1,"a\nb"\n2,"\r\n"\n3,"""\n"""\n4,plain\n'
    )


def test_query_with_a_trailing_comment_and_semicolon_is_exported(export: Any, run_sql: Any) -> None:
    query = QuerySource("SELECT 1 AS id, '%s {}' AS a -- the end;")

    assert export(query, key=("id",)).data == b"id,a\r\n1,%s {}\r\n"


def test_equal_data_give_equal_bytes(export: Any, run_sql: Any) -> None:
    run_sql("CREATE TABLE t (id int PRIMARY KEY, a text)")
    run_sql("INSERT INTO t SELECT n, md5(n::text) FROM generate_series(1, 5000) AS n")
    first = export(TABLE, key=("id",))
    run_sql("UPDATE t SET a = a WHERE id % 3 = 0")  # moves rows on disk

    assert export(TABLE, key=("id",)).manifest.sha256 == first.manifest.sha256


def test_progress_is_told_every_thousand_rows(export: Any, run_sql: Any, control: Any) -> None:
    run_sql("CREATE TABLE t (id int PRIMARY KEY)")
    run_sql("INSERT INTO t SELECT generate_series(1, 10000)")

    exported = export(TABLE, key=("id",))

    rows = [0, *(rows for rows, _ in control.calls)]
    assert max(b - a for a, b in itertools.pairwise(rows)) <= 1000
    assert control.calls[-1] == (10_000, len(exported.data))
