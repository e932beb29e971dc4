"""Rows that do not fit: refused with a clear error before memory follows them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from waybill.catalog.model import ExportType, QuerySource
from waybill.errors import PermanentError, RowTooLarge, SourceRejected
from waybill.formats import ENCODERS, get_encoder, read_options
from waybill.formats.plan import ExportPlan
from waybill.source.source import PostgresSource, SourceSettings

MIB = 1024 * 1024
LIMIT = 4 * MIB


def read(dsn: str, source: Any, format_name: str, limit: int = LIMIT) -> int:
    """Read and encode a source's rows; return how many bytes they make."""
    export_type = ExportType("rows", source)
    settings = SourceSettings(max_row_bytes=limit)
    with PostgresSource(dsn, settings).open_snapshot(lambda: None) as snapshot:
        plan = ExportPlan(
            export_type,
            snapshot.resolve(export_type),
            get_encoder(format_name),
            read_options(format_name, {}),
        )
        encoding = get_encoder(format_name).open(plan)
        size = len(encoding.header())
        size += sum(len(encoding.encode(c)) for c in snapshot.copy(encoding.statement))
        return size + len(encoding.footer())


@pytest.mark.parametrize("format_name", ENCODERS)
def test_row_above_the_limit_is_refused_by_every_format(dsn: str, format_name: str) -> None:
    rows = (
        "SELECT i, repeat('x', CASE i WHEN 3 THEN {} ELSE 9 END) AS v FROM generate_series(1,5) i"
    )
    with pytest.raises(RowTooLarge, match="WAYBILL_MAX_ROW_BYTES"):
        read(dsn, QuerySource(rows.format(LIMIT)), format_name)
    assert read(dsn, QuerySource(rows.format(30_000)), format_name) > 0


@pytest.mark.parametrize("format_name", ["csv", "ndjson", "parquet"])
def test_columns_of_a_row_count_together(dsn: str, format_name: str) -> None:
    columns = ", ".join(f"repeat('{letter}', {MIB}) AS {letter}" for letter in "abcde")
    with pytest.raises(RowTooLarge):
        read(dsn, QuerySource(f"SELECT {columns}"), format_name)
    assert read(dsn, QuerySource(f"SELECT {columns}"), format_name, 6 * MIB) > 0


_CHILD = """
import resource, sys
sys.path.insert(0, sys.argv[3])
from test_large_rows import LIMIT, read
from waybill.catalog.model import QuerySource
from waybill.errors import RowTooLarge
read(sys.argv[1], QuerySource("SELECT 1 AS a"), sys.argv[2])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read(sys.argv[1], QuerySource("SELECT repeat('x', 256 * 1024 * 1024) AS v"), sys.argv[2])
except RowTooLarge:
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize("format_name", ["csv", "parquet"])
def test_value_of_256_mib_is_held_once_at_most(dsn: str, format_name: str) -> None:
    here = str(Path(__file__).parent)
    grown = subprocess.run(
        [sys.executable, "-c", _CHILD, dsn, format_name, here],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    # Some tens of MiB as a rule. libpq reads as long as the server sends as fast, which can be all
    # of it; but no copy is made of it (919 MiB as CSV and 2,716 as Parquet when one was).
    assert int(grown) < 256 + 128


def test_value_above_what_postgresql_can_print_is_no_passing_fault(dsn: str) -> None:
    # 600 MiB of bytea are 1.2 GiB of text: "invalid memory alloc request size", an internal error.
    query = QuerySource("SELECT convert_to(repeat('x', 600 * 1024 * 1024), 'SQL_ASCII') AS v")
    with pytest.raises(PermanentError) as caught:
        read(dsn, query, "csv")
    assert isinstance(caught.value, SourceRejected)
    assert "larger than PostgreSQL can print" in str(caught.value)


def test_json_row_above_one_gib_is_no_passing_fault(dsn: str) -> None:
    column = "repeat('x', 300 * 1024 * 1024)"
    query = QuerySource(f"SELECT {column} AS a, {column} AS b, {column} AS c, {column} AS d")
    with pytest.raises(SourceRejected, match="larger than PostgreSQL can print"):
        read(dsn, query, "ndjson")
