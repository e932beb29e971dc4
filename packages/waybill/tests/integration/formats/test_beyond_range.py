"""Values beyond what programs' own types hold: text in CSV, JSON and XLSX, refused in Parquet.

Text is PostgreSQL's, as ``to_json`` prints times and ``::text`` all else.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import duckdb
import pytest

from waybill.catalog.model import TableSource
from waybill.errors import ValueNotRepresentable

from ..readers import read_table

TABLE = TableSource("public", "t")
# The ends of PostgreSQL's ranges and of 64 bits of microseconds, and where Excel's calendar and a
# double's microseconds end.
TIMES = [
    "294276-12-31 23:59:59.999999", "294248-01-01", "294247-01-10 04:00:54.775808",
    "294247-01-10 04:00:54.775807", "10000-01-01", "9999-12-31 23:59:59.999999",
    "2100-01-01 00:00:00.000001", "1900-02-28 23:59:59.999999", "1899-12-31", "0001-01-01",
    "0001-12-31 BC", "4714-11-24 00:00:00 BC", "infinity", "-infinity",
]  # fmt: skip
TEXTS = {
    "timestamptz": [f"{t} UTC" if t[-1].isdigit() else t for t in TIMES],
    "timestamp": TIMES,
    "moment": TIMES[:3],
    "date": ["5874897-12-31", "10000-01-01", "1900-02-28", "4714-11-24 BC", "infinity"],
    "time": ["24:00:00"],
    "timetz": ["24:00:00+15:59:59", "00:00:00-15:59:59"],
    "interval": ["178000000 years", "-178000000 years", "2562047788 hours", "0"],
    "tstzrange": ["[4714-11-24 00:00+00 BC,294276-01-01 00:00+00)"],
    "numeric(38,0)": ["NaN"],
}


@pytest.fixture
def beyond(run_sql: Any) -> list[str]:
    """A table with a column per type and a row per value; returns the columns' names."""
    run_sql("CREATE DOMAIN moment AS timestamptz")
    run_sql(
        "CREATE TABLE t (id int PRIMARY KEY, "
        + ", ".join(f'"{kind}" {kind}' for kind in TEXTS)
        + ")"
    )
    for row in range(max(map(len, TEXTS.values()))):
        values = [literals[row] if row < len(literals) else None for literals in TEXTS.values()]
        casts = ", ".join(f"%s::{kind}" for kind in TEXTS)
        run_sql(f"INSERT INTO t VALUES ({row}, {casts})", *values)
    return list(TEXTS)


@pytest.mark.parametrize("format_name", ["csv", "json", "ndjson", "xlsx"])
def test_what_a_type_cannot_hold_is_postgresqls_text(
    beyond: list[str], format_name: str, export: Any, run_sql: Any
) -> None:
    columns = ", ".join(
        f"to_json(\"{kind}\") #>> '{{}}'" if kind in {"timestamptz", "timestamp", "moment"} else
        f'"{kind}"::text'
        for kind in beyond
    )  # fmt: skip
    wanted = [list(row) for row in run_sql(f"SELECT {columns} FROM t ORDER BY id")]

    _, rows = read_table(export(TABLE, format_name, key=("id",)).data, format_name)

    assert [[value or None for value in row[1:]] for row in rows] == wanted


def test_spreadsheet_has_a_time_wherever_its_cell_gives_the_same_back(
    export: Any, run_sql: Any
) -> None:
    literals = [
        "1900-03-01 00:00:00.000001", "2079-06-04 23:59:59.999999", "2079-06-05 00:00:00.001",
        "9999-12-31 23:59:59.999",
    ]  # fmt: skip
    run_sql("CREATE TABLE t (id int PRIMARY KEY, a timestamp)")
    for number, literal in enumerate(literals):
        run_sql("INSERT INTO t VALUES (%s, %s::timestamp)", number, literal)

    _, rows = read_table(export(TABLE, "xlsx", key=("id",)).data, "xlsx")

    # openpyxl rounds to milliseconds.
    half_a_millisecond = dt.timedelta(microseconds=500)
    for (_, found), literal in zip(rows, literals, strict=True):
        assert abs(found - dt.datetime.fromisoformat(literal)) <= half_a_millisecond


HALVES = [r'"\ud800"', r'{"a": ["\uDC00", 1.50]}', '[\n"\\ude00\\ud83d",\r\n1]', r'"\ud83d\ude00"']


def test_half_a_surrogate_pair_makes_no_file_unreadable(
    export: Any, run_sql: Any, tmp_path: Path
) -> None:
    run_sql("CREATE TABLE t (id int PRIMARY KEY, a json, b text)")
    for number, literal in enumerate(HALVES):
        run_sql("INSERT INTO t VALUES (%s, %s::json, %s)", number, literal, r"\ud800")

    for format_name in ("csv", "xlsx"):
        _, rows = read_table(export(TABLE, format_name, key=("id",)).data, format_name)
        assert [row[1:] for row in rows] == [[half, r"\ud800"] for half in HALVES]
    for format_name in ("json", "ndjson"):
        data = export(TABLE, format_name, key=("id",)).data
        _, rows = read_table(data, format_name)
        assert [row[1:] for row in rows] == [[v, r"\ud800"] for v in [*HALVES[:3], "\U0001f600"]]
        path = tmp_path / f"t.{format_name}"
        path.write_bytes(data)
        found = duckdb.sql(f"SELECT a FROM read_json('{path}') ORDER BY id").fetchall()
        assert [a for (a,) in found] == [*HALVES[:3], "\U0001f600"]
    with pytest.raises(ValueNotRepresentable, match=r"Column 'a' holds half of .*\[\"a\"\]"):
        export(TABLE, "parquet", key=("id",))
    path = tmp_path / "t.parquet"
    path.write_bytes(export(TABLE, "parquet", key=("id",), options={"text_columns": ["a"]}).data)
    assert duckdb.sql(f"SELECT a FROM '{path}' ORDER BY id").fetchall() == [(h,) for h in HALVES]


def test_half_a_pair_in_an_array_of_json_is_refused(export: Any, run_sql: Any) -> None:
    run_sql("CREATE TABLE t AS SELECT ARRAY[json '\"\\ud800\"'] AS a")

    with pytest.raises(ValueNotRepresentable, match="Column 'a' holds half of a surrogate pair"):
        export(TABLE, "parquet")


def test_history_is_no_sheet_of_excels(export: Any, run_sql: Any) -> None:
    from waybill.formats.xlsx_file import _numbered, _sheet_title

    assert [_sheet_title(name) for name in ("history", "HISTORY", "history_2", "a/b", "'")] == [
        "history_", "HISTORY_", "history_2", "a_b", "export",
    ]  # fmt: skip
    assert _numbered("x" * 26 + "'" + "y" * 10, 2) == "x" * 26 + " (2)"
