"""Every kind of CSV file, and XLSX, in the readers that people use, against PostgreSQL itself."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pandas as pd
import pytest

from waybill.catalog.model import Column, TableSource
from waybill.formats.compress import Decompressed
from waybill.formats.formula_guard import guard

TABLE = TableSource("public", "t")
TEXTS = [
    "plain", "", None, "a,b", "a;b", "a|b", "a\tb", 'say "hi"', '"', "line\nbreak", "line\r\nbreak",
    " padded ", "NULL", "null", "\\.", "\\N!", "0123", "1e5", "-5", "+15551234567", "=SUM(A1)",
    "@x", "+1 on", "-2+3", "\tTAB", "'=quoted", "Grüße 東京 🙂", "\u2028", "اَحمد", "x" * 5000,
    "'s-Hertogenbosch", "C:\\new", "2024-02-30", "TRUE", "#N/A", "nan", "None", "\n", ",", "'",
]  # fmt: skip
COLUMNS = "SELECT id::text, a, b::text, c::text, to_json(d) #>> '{}' FROM t ORDER BY t.id"
HEADER = ["id", 'cell, "text"', "amount", "flag", "at"]


@dataclass(frozen=True)
class Variant:
    """Options of a file, and its compression."""

    options: dict[str, Any] = field(default_factory=dict)
    compression: str | None = None

    @property
    def delimiter(self) -> str:
        return str(self.options.get("delimiter", ","))

    @property
    def has_header(self) -> bool:
        return bool(self.options.get("header", True))

    @property
    def null_text(self) -> str:
        return str(self.options.get("null_text", ""))


# Each value of each option, in company that differs.
VARIANTS = {
    "default": Variant(),
    "semicolon": Variant({"delimiter": ";", "bom": True, "formula_guard": False}),
    "tab": Variant({"delimiter": "\t", "line_terminator": "lf", "null_text": "\\N"}),
    "pipe": Variant({"delimiter": "|", "header": False, "formula_guard": False}),
    "lf": Variant({"line_terminator": "lf", "header": False, "bom": True}),
    "null": Variant({"null_text": "NIL", "formula_guard": False, "bom": True}),
    "gzip": Variant({"null_text": "\\N", "delimiter": ";"}, "gzip"),
    "zstd": Variant({"line_terminator": "lf", "formula_guard": False}, "zstd"),
}

Cells = list[list[str | None]]


@pytest.fixture
def rows(run_sql: Any) -> Cells:
    """A table of nasty cells; returns its rows as PostgreSQL's text."""
    run_sql("CREATE TABLE t (id int PRIMARY KEY, a text, b numeric(20,2), c bool, d timestamptz)")
    for number, text in enumerate(TEXTS):
        run_sql(
            "INSERT INTO t VALUES (%s, %s, -1.50 * %s, %s %% 2 = 0, "
            "timestamptz '2024-05-01 00:00+00' + %s * interval '1 day 1.25 s')",
            number, text, number, number, number,
        )  # fmt: skip
    run_sql("INSERT INTO t VALUES (1000, NULL, NULL, NULL, NULL)")
    return [list(row) for row in run_sql(COLUMNS)]


@pytest.fixture
def write(rows: Cells, export: Any, tmp_path: Path) -> Callable[[str], tuple[Path, Cells]]:
    """Export a variant; returns the file and the cells that it has to hold."""

    def run(name: str) -> tuple[Path, Cells]:
        variant = VARIANTS[name]
        columns = tuple(
            Column(n, label) for n, label in zip(["id", "a", "b", "c", "d"], HEADER, strict=True)
        )
        options = {"formula_guard": True, **variant.options}
        exported = export(
            TABLE, key=("id",), columns=columns, options=options, compression=variant.compression
        )
        suffix = {"gzip": ".gz", "zstd": ".zst", None: ""}[variant.compression]
        path = tmp_path / f"{name}.csv{suffix}"
        path.write_bytes(exported.data)
        assert exported.manifest.rows == len(rows)
        if not options["formula_guard"]:
            return path, rows
        return path, [[r[0], None if r[1] is None else guard(r[1]), *r[2:]] for r in rows]

    return run


def _content(path: Path, variant: Variant) -> bytes:
    if variant.compression is None:
        return path.read_bytes()
    if variant.compression == "gzip":
        return gzip.decompress(path.read_bytes())
    return io.BufferedReader(Decompressed(path, variant.compression)).read()


def _blank(cells: Cells, variant: Variant) -> list[list[str]]:
    """The cells as a reader gives them that knows no NULL."""
    return [[variant.null_text if c is None else c for c in row] for row in cells]


def _lf(cells: list[list[str]]) -> list[list[str]]:
    """The cells as csvkit and LibreOffice hold them: every line break is LF."""
    return [[cell.replace("\r\n", "\n") for cell in row] for row in cells]


@pytest.mark.parametrize("name", VARIANTS)
def test_pythons_csv_duckdb_and_pandas_read_every_variant(name: str, write: Any) -> None:
    path, wanted = write(name)
    variant = VARIANTS[name]

    text = _content(path, variant).decode("utf-8-sig" if variant.options.get("bom") else "utf-8")
    read = list(csv.reader(io.StringIO(text, newline=""), delimiter=variant.delimiter, strict=True))
    header = [HEADER] if variant.has_header else []
    assert read == header + _blank(wanted, variant)

    relation = duckdb.read_csv(
        str(path),
        delimiter=variant.delimiter,
        header=variant.has_header,
        na_values=variant.null_text,
        all_varchar=True,
        quotechar='"',
        escapechar='"',
        parallel=False,
        null_padding=False,
        allow_quoted_nulls=False,
        auto_detect=False,
        columns=dict.fromkeys(HEADER, "VARCHAR"),
        compression=variant.compression or "none",
    )
    assert [list(row) for row in relation.fetchall()] == wanted

    # pandas reads zstd where the package zstandard is; here it does by its own means only gzip.
    source = path if variant.compression != "zstd" else io.BytesIO(_content(path, variant))
    frame = pd.read_csv(
        source,
        sep=variant.delimiter,
        header=0 if variant.has_header else None,
        dtype=str,
        keep_default_na=False,
        na_values=[variant.null_text] if variant.null_text else [],
        encoding="utf-8-sig" if variant.options.get("bom") else "utf-8",
        compression="gzip" if variant.compression == "gzip" else None,
    )
    nothing = None if variant.null_text else ""
    in_pandas = [[None if pd.isna(c) else c for c in row] for row in frame.values.tolist()]
    assert in_pandas == [[nothing if c is None else c for c in row] for row in wanted]
    if variant.has_header:
        assert frame.columns.tolist() == HEADER


@pytest.mark.parametrize("name", ["default", "semicolon", "tab", "pipe", "null"])
def test_csvkit_reads_every_variant(name: str, write: Any, tmp_path: Path) -> None:
    path, wanted = write(name)
    variant = VARIANTS[name]
    plain = tmp_path / "plain.csv"
    plain.write_bytes(_content(path, variant))

    def run(program: str, *options: str) -> str:
        return subprocess.run(
            [Path(sys.executable).with_name(program), "-d", variant.delimiter, *options,
             *([] if variant.has_header else ["--no-header-row"]), plain],
            capture_output=True, check=True, env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        ).stdout.decode()  # fmt: skip

    formatted = list(csv.reader(io.StringIO(run("csvformat"), newline="")))
    assert formatted[1:] == _lf(_blank(wanted, variant))
    objects = json.loads(run("csvjson", "--no-inference", "--blanks"))
    assert [list(row.values()) for row in objects] == _lf(_blank(wanted, variant))


@pytest.fixture
def libreoffice(tmp_path: Path, find_program: Callable[[str, str], str]) -> Callable[..., None]:
    """Convert files to XLSX by LibreOffice, in a profile of the test's own."""
    program = find_program("soffice", "libreoffice-calc-nogui")

    def convert(files: list[Path], target: Path, *, text_filter: str | None = None) -> None:
        subprocess.run(
            [program, f"-env:UserInstallation=file://{tmp_path}/profile", "--headless",
             *([] if text_filter is None else [f"--infilter={text_filter}"]),
             "--convert-to", "xlsx:Calc MS Excel 2007 XML", "--outdir", target, *files],
            check=True, capture_output=True, timeout=300,
        )  # fmt: skip

    return convert


def _in_libreoffice(path: Path) -> list[list[str]]:
    sheet = openpyxl.load_workbook(path, read_only=True).worksheets[0]
    width = len(HEADER)
    cells = [
        ["" if c is None else str(c) for c in row] for row in sheet.iter_rows(values_only=True)
    ]
    return [row + [""] * (width - len(row)) for row in cells]


def test_libreoffice_reads_every_variant(write: Any, libreoffice: Any, tmp_path: Path) -> None:
    for delimiter in (",", ";", "\t", "|"):
        names = [name for name, v in VARIANTS.items() if v.delimiter == delimiter]
        files = {}
        for name in names:
            path, files[name] = write(name)
            plain = tmp_path / "plain" / f"{name}.csv"
            plain.parent.mkdir(exist_ok=True)
            plain.write_bytes(_content(path, VARIANTS[name]))
        # Separator, quote, UTF-8, from line 1, every column as text (2).
        columns = "/".join(f"{n}/2" for n in range(1, len(HEADER) + 1))
        libreoffice(
            [tmp_path / "plain" / f"{name}.csv" for name in names],
            tmp_path / "converted",
            text_filter=f"CSV:{ord(delimiter)},34,76,1,{columns}",
        )
        for name in names:
            variant = VARIANTS[name]
            read = _in_libreoffice(tmp_path / "converted" / f"{name}.xlsx")
            wanted = ([HEADER] if variant.has_header else []) + _blank(files[name], variant)
            assert read == _lf(wanted), name


def test_libreoffice_reads_xlsx(rows: Cells, export: Any, libreoffice: Any, tmp_path: Path) -> None:
    path = tmp_path / "export.xlsx"
    path.write_bytes(export(TABLE, "xlsx", key=("id",)).data)

    libreoffice([path], tmp_path / "converted")

    sheet = openpyxl.load_workbook(tmp_path / "converted" / "export.xlsx", data_only=True).active
    read = [list(row) for row in sheet.iter_rows(min_row=2, values_only=True)]
    assert len(read) == len(rows)
    for found, (number, text, amount, flag, at) in zip(read, rows, strict=True):
        assert found[0] == int(number or "")
        assert (found[1] or "") == (text or "").replace("\r\n", "\n")
        assert found[2] == (None if amount is None else float(amount))
        assert found[3] == (None if flag is None else flag == "true")
        when = None if at is None else pd.Timestamp(at).tz_localize(None).round("ms")
        assert (when is None) == (found[4] is None)
        assert when is None or abs(pd.Timestamp(found[4]) - when) <= pd.Timedelta("1ms")
