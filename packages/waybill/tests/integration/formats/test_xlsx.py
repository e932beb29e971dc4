"""XLSX: every type as a spreadsheet sees it, sheets that split, and limits told by column."""

from __future__ import annotations

import datetime as dt
import io
import re
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pytest

from waybill.catalog.model import TableSource
from waybill.errors import FileTooLarge, InvalidOption, ValueNotRepresentable
from waybill.formats import UnreadableFile, get_encoder, read_options, xlsx_file
from waybill.formats.xlsx import MOST_SHEETS
from waybill.formats.zip_stream import ZipStream
from waybill.results.unguard import restore_unguarded

from ..readers import read_sheets, read_table

TABLE = TableSource("public", "t")
UUID = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
LONG = "123456789012345678901234567890.000000000000000001"


def _at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


# (PostgreSQL's type, literals, values in openpyxl, number format of the first cell)
CASES: list[tuple[str, list[str], list[Any], str]] = [
    ("smallint", ["-32768"], [-32768], "0"),
    ("bigint", ["999999999999999", "9007199254740993"], [10**15 - 1, "9007199254740993"], "0"),
    ("bigint", ["-9223372036854775808", "5"], ["-9223372036854775808", 5], "General"),
    ("numeric", ["0.10", LONG, "NaN", "-Infinity"], [0.1, LONG, "NaN", "-Infinity"], "General"),
    ("numeric", ["1e20", "1e307", "0.000001"], ["1" + "0" * 20, "1" + "0" * 307, 1e-06], "General"),
    ("numeric(12,2)", ["-0.01", "9999999999.90"], [-0.01, 9999999999.9], "0.00"),
    ("numeric(20,4)", ["1234567890123456.7891"], ["1234567890123456.7891"], "General"),
    ("double precision", ["0.1", "5e-324", "Infinity"], [0.1, "5e-324", "Infinity"], "General"),
    ("double precision", ["1e307", "1e308", "NaN"], [1e307, "1e+308", "NaN"], "General"),
    ("double precision", ["0.30000000000000004", "-0"], [0.30000000000000004, 0], "General"),
    ("real", ["0.1", "-Infinity"], [0.1, "-Infinity"], "General"),
    ("boolean", ["true", "false"], [True, False], "General"),
    ("date", ["2024-02-29", "1900-03-01"], [_at("2024-02-29"), _at("1900-03-01")], "date"),
    ("date", ["1900-02-28", "infinity"], ["1900-02-28", "infinity"], "General"),
    ("date", ["0044-03-15 BC", "10000-01-01"], ["0044-03-15 BC", "10000-01-01"], "General"),
    ("time", ["23:59:59.25", "24:00"], [dt.time(23, 59, 59, 250000), "24:00:00"], "time"),
    ("timestamp", ["2024-05-01 12:00:00.25"], [_at("2024-05-01T12:00:00.25")], "stamp"),
    ("timestamptz", ["2024-05-01 12:00:00.5+02"], [_at("2024-05-01T10:00:00.5")], "zoned"),
    ("timestamptz", ["9999-12-31 23:59+00"], [_at("9999-12-31T23:59")], "zoned"),
    ("timestamptz", ["infinity", "1899-01-01 00:00+00"],
     ["infinity", "1899-01-01T00:00:00+00:00"], "General"),
    ("interval", ["1 day 02:00"], ["P1DT2H"], "General"),
    ("text", ["", " padded ", "a\r\nb\tc", "<&>\"'", "0123"],
     ["", " padded ", "a\r\nb\tc", "<&>\"'", "0123"], "General"),
    ("text", ["\u0001\u001f\u007f", "_x0041_ _x", "\ufffe\uffff", "\ufeffBOM", "東京 🙂"],
     ["\u0001\u001f\u007f", "_x0041_ _x", "\ufffe\uffff", "\ufeffBOM", "東京 🙂"], "General"),
    ("uuid", [UUID], [UUID], "General"),
    ("bytea", ["\\x00ff"], ["\\x00ff"], "General"),
    ("jsonb", ['{"a": "<&>"}'], ['{"a": "<&>"}'], "General"),
    ("integer[]", ["{1,NULL,3}"], ["{1,NULL,3}"], "General"),
    ("int4range", ["[1,5)"], ["[1,5)"], "General"),
    ("price", ["12345.60"], [12345.6], "0.00"),
]  # fmt: skip
FORMATS = {
    "date": "yyyy\\-mm\\-dd",
    "time": "hh:mm:ss.000",
    "stamp": "yyyy\\-mm\\-dd\\ hh:mm:ss.000",
    "zoned": 'yyyy\\-mm\\-dd\\ hh:mm:ss.000" UTC"',
}


@pytest.fixture
def every_type(run_sql: Any) -> None:
    run_sql("CREATE DOMAIN price AS numeric(7,2)")
    columns = ", ".join(f'"{n}" {kind}' for n, (kind, *_) in enumerate(CASES))
    run_sql(f"CREATE TABLE t (id int PRIMARY KEY, {columns})")
    casts = ", ".join(f"%s::{kind}" for kind, *_ in CASES)
    for row in range(max(len(case[1]) for case in CASES) + 1):
        values = [case[1][row] if row < len(case[1]) else None for case in CASES]
        run_sql(f"INSERT INTO t VALUES ({row}, {casts})", *values)


def test_every_type_arrives_in_the_cell_that_holds_it(every_type: None, export: Any) -> None:
    data = export(TABLE, "xlsx", key=("id",)).data

    header, rows = read_table(data, "xlsx")

    assert header == ["id", *map(str, range(len(CASES)))]
    sheet = openpyxl.load_workbook(io.BytesIO(data)).active
    for n, (kind, literals, values, number_format) in enumerate(CASES):
        wanted = values + [None] * (len(rows) - len(values))
        assert [row[n + 1] for row in rows] == wanted, (kind, literals)
        assert sheet.cell(2, n + 2).number_format == FORMATS.get(number_format, number_format)


def test_null_is_no_cell_and_empty_text_is_one(export: Any, run_sql: Any) -> None:
    run_sql("CREATE TABLE t (id int PRIMARY KEY, a text)")
    run_sql("INSERT INTO t VALUES (1, NULL), (2, '')")

    sheet = _sheet_xml(export(TABLE, "xlsx", key=("id",)).data)

    assert '<row r="2"><c r="A2" s="2"><v>1</v></c></row>' in sheet
    assert '<c r="B3" t="inlineStr"><is><t xml:space="preserve"></t></is></c>' in sheet


def _sheet_xml(data: bytes, number: int = 1) -> str:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return archive.read(f"xl/worksheets/sheet{number}.xml").decode()


def test_microseconds_come_back_by_rounding(export: Any, run_sql: Any) -> None:
    run_sql("CREATE TABLE t (id int PRIMARY KEY, a timestamptz)")
    run_sql("""INSERT INTO t SELECT n, timestamptz '2024-05-01 00:00+00'
               + n * interval '1 hour 1 minute 1.000007 s' FROM generate_series(1, 500) AS n""")

    sheet = _sheet_xml(export(TABLE, "xlsx", key=("id",)).data)

    serials = re.findall(r'<c r="B\d+" s="\d"><v>([^<]+)</v>', sheet)
    found = [round((float(serial) - 25569) * 86_400e6) for serial in serials]
    wanted = run_sql("SELECT (extract(epoch FROM a) * 1000000)::bigint FROM t ORDER BY id")
    assert [abs(a - b) <= 1 for a, (b,) in zip(found, wanted, strict=True)] == [True] * 500


def test_sheets_split_repeat_their_header_and_freeze_it(export: Any, run_sql: Any) -> None:
    run_sql("CREATE TABLE t (id int PRIMARY KEY, a text)")
    run_sql("INSERT INTO t SELECT n, 'x' || n FROM generate_series(1, 2500) AS n")

    exported = export(TABLE, "xlsx", key=("id",), options={"sheet_rows": 1000})

    workbook = openpyxl.load_workbook(io.BytesIO(exported.data))
    assert workbook.sheetnames == ["things", "things (2)", "things (3)"]
    assert [sheet.max_row for sheet in workbook.worksheets] == [1000, 1000, 503]
    assert {sheet.freeze_panes for sheet in workbook.worksheets} == {"A2"}
    assert all(sheet["A1"].font.b for sheet in workbook.worksheets)
    _, rows = read_table(exported.data, "xlsx")
    assert rows == [[n, f"x{n}"] for n in range(1, 2501)]
    assert exported.manifest.rows == 2500
    frames = pd.read_excel(io.BytesIO(exported.data), sheet_name=None)
    assert pd.concat(frames.values())["id"].tolist() == list(range(1, 2501))
    assert workbook.properties.creator == "waybill"
    assert exported.manifest.snapshot.id in workbook.properties.description


@pytest.mark.slow
def test_more_rows_than_a_sheet_holds(export: Any, run_sql: Any) -> None:
    run_sql("CREATE TABLE t AS SELECT n AS id FROM generate_series(1, 1048577) AS n")

    exported = export(TABLE, "xlsx", key=("id",))

    for number, last in ((1, 1_048_576), (2, 3)):
        sheet = _sheet_xml(exported.data, number)
        assert re.findall(r'<row r="(\d+)"', sheet[-200:])[-1] == str(last)
    assert exported.manifest.rows == 1_048_577


def test_text_of_a_cells_limit_is_whole_and_one_more_is_refused(export: Any, run_sql: Any) -> None:
    run_sql("CREATE TABLE t (id int PRIMARY KEY, a text)")
    # Escapes and markup lengthen the XML, not the text; a character beyond the basic plane is two.
    run_sql("INSERT INTO t VALUES (1, repeat(E'<\\r', 16383) || 'x'), (2, repeat('🙂', 16383))")

    _, rows = read_table(export(TABLE, "xlsx", key=("id",)).data, "xlsx")

    assert rows == [[1, "<\r" * 16383 + "x"], [2, "🙂" * 16383]]
    run_sql("UPDATE t SET a = a || 'xx' WHERE id = 2")
    with pytest.raises(ValueNotRepresentable, match=r"Column 'a' holds .* 32,767 characters"):
        export(TABLE, "xlsx", key=("id",))


def test_row_of_50_mb_is_refused_by_column(export: Any, run_sql: Any) -> None:
    run_sql("CREATE TABLE t (id int PRIMARY KEY, doc jsonb)")
    run_sql("INSERT INTO t SELECT 1, jsonb_build_object('a', repeat('x', 50000000))")

    with pytest.raises(ValueNotRepresentable, match="Column 'doc' holds"):
        export(TABLE, "xlsx", key=("id",))


GUARDED = ["=1+1", "@x", "+1 on", "-2+3", "\tx", "\rx", "\nx", "'=1"]
INTACT = ["plain", "+15551234567", "-12.50", "a=b", "'quoted"]


def test_guard_takes_the_same_cells_as_in_csv(export: Any, run_sql: Any) -> None:
    run_sql("CREATE TABLE t (id int PRIMARY KEY, a text, n numeric)")
    for number, cell in enumerate(GUARDED + INTACT):
        run_sql("INSERT INTO t VALUES (%s, %s, -1.5)", number, cell)

    exported = export(TABLE, "xlsx", key=("id",), options={"formula_guard": True})

    _, rows = read_table(exported.data, "xlsx")
    assert [row[1] for row in rows] == [f"'{cell}" for cell in GUARDED] + INTACT
    assert {row[2] for row in rows} == {-1.5}
    assert exported.manifest.formula_guard == "apostrophe"
    assert [c.name for c in exported.manifest.columns if c.is_guarded] == ["a"]
    as_csv = export(TABLE, "csv", key=("id",), options={"formula_guard": True})
    assert [row[1] for row in rows] == [row[1] for row in read_table(as_csv.data, "csv")[1]]
    # Even without it no text is ever a formula.
    plain = export(TABLE, "xlsx", key=("id",))
    assert plain.manifest.formula_guard is None
    assert "<f>" not in _sheet_xml(plain.data)
    assert [row[1] for row in read_sheets(plain.data)[0][1:]] == GUARDED + INTACT


def test_unguard_restores_the_cells_and_no_other_byte(
    export: Any, run_sql: Any, tmp_path: Path
) -> None:
    run_sql('CREATE TABLE t (id int PRIMARY KEY, a text, b text, "\'c" text)')
    for number, cell in enumerate(GUARDED + INTACT):
        run_sql("INSERT INTO t VALUES (%s, %s, %s, %s)", number, cell, cell + "<&>", cell * 70)
    run_sql("INSERT INTO t SELECT n, '=' || n, md5(n::text) FROM generate_series(100, 30000) AS n")
    guarded = export(TABLE, "xlsx", key=("id",), options={"formula_guard": True})
    plain = export(TABLE, "xlsx", key=("id",))
    file, target = tmp_path / "guarded.xlsx", tmp_path / "restored.xlsx"
    file.write_bytes(guarded.data)

    cells = restore_unguarded(file, guarded.manifest, target)

    assert cells == sum(
        a != b
        for x, y in zip(read_sheets(guarded.data)[0], read_sheets(plain.data)[0], strict=True)
        for a, b in zip(x, y, strict=True)
    )
    assert cells > 29_901
    assert _entries(target.read_bytes()) == _entries(plain.data)
    # All but the time of the snapshot, in docProps, is the same: so are the packed bytes.
    assert _packed(target.read_bytes()) == _packed(plain.data)


def test_unguard_of_what_is_no_workbook_says_so(export: Any, run_sql: Any, tmp_path: Path) -> None:
    run_sql("CREATE TABLE t (a text)")
    guarded = export(TABLE, "xlsx", options={"formula_guard": True})
    file = tmp_path / "cut.xlsx"
    file.write_bytes(guarded.data[:-30])

    with pytest.raises(UnreadableFile):
        restore_unguarded(file, guarded.manifest, tmp_path / "restored.xlsx")
    assert not (tmp_path / "restored.xlsx").exists()


def test_label_that_is_a_formula_is_refused_under_the_guard(export: Any, run_sql: Any) -> None:
    run_sql('CREATE TABLE t ("=cmd()" int)')

    with pytest.raises(InvalidOption, match="formula"):
        export(TABLE, "xlsx", options={"formula_guard": True})
    assert read_table(export(TABLE, "xlsx").data, "xlsx")[0] == ["=cmd()"]


def test_equal_data_give_equal_sheets(export: Any, run_sql: Any) -> None:
    run_sql("CREATE TABLE t (id int PRIMARY KEY, a text)")
    run_sql("INSERT INTO t SELECT n, md5(n::text) FROM generate_series(1, 40000) AS n")

    first, second = (_entries(export(TABLE, "xlsx", key=("id",)).data) for _ in range(2))

    assert len(first["xl/worksheets/sheet1.xml"]) > 1_000_000
    assert first == second


def _entries(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {n: archive.read(n) for n in archive.namelist() if n != "docProps/core.xml"}


def _packed(data: bytes) -> list[tuple[str, int]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [
            (entry.filename, entry.compress_size)
            for entry in archive.infolist()
            if entry.filename != "docProps/core.xml"
        ]


def test_more_sheets_than_an_archive_holds_are_refused(
    export: Any, run_sql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_sql("CREATE TABLE t AS SELECT n AS id FROM generate_series(1, 2997) AS n")
    monkeypatch.setattr(xlsx_file, "MOST_SHEETS", 3)
    exported = export(TABLE, "xlsx", options={"sheet_rows": 1000})
    assert len(openpyxl.load_workbook(io.BytesIO(exported.data)).sheetnames) == 3

    run_sql("INSERT INTO t VALUES (2998)")
    with pytest.raises(FileTooLarge, match="sheet_rows"):
        export(TABLE, "xlsx", options={"sheet_rows": 1000})


def test_sheets_and_what_tells_of_them_fill_an_archive_to_its_last_entry() -> None:
    archive = ZipStream()
    data = b"".join(archive.entry(str(number), b"") for number in range(MOST_SHEETS + 6))
    with zipfile.ZipFile(io.BytesIO(data + archive.finish())) as read:
        assert len(read.namelist()) == 65_535


def test_number_of_rows_that_is_known_is_refused_before_a_row_is_read() -> None:
    encoder, options = get_encoder("xlsx"), read_options("xlsx", {"sheet_rows": 1000})
    encoder.check_rows(999 * MOST_SHEETS, options)
    with pytest.raises(FileTooLarge, match="sheet_rows"):
        encoder.check_rows(999 * MOST_SHEETS + 1, options)
