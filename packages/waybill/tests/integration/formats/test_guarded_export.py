"""The formula guard through the whole pipeline, and off again."""

from __future__ import annotations

import csv
import hashlib
import io
from pathlib import Path
from typing import Any

import pytest

from waybill.catalog import Column, TableSource
from waybill.errors import ConfigurationError, InvalidOption
from waybill.results.unguard import restore_unguarded

TABLE = TableSource("public", "cells")
CELLS = [
    "=SUM(A1)", "+1 on the list", "-2+3", "@cmd", "\tTAB", "\rCR", "'=quoted", "plain", "",
    "+15551234567", "-12.50", None, '=HYPERLINK("http://x","y")', "a,b", "=a,b",
]  # fmt: skip
DANGEROUS = {"=SUM(A1)", "+1 on the list", "@cmd", "\tTAB", "\rCR", '=HYPERLINK("http://x","y")'}
INTACT = {"plain", "", "+15551234567", "-12.50", "a,b"}


@pytest.fixture
def cells(run_sql: Any) -> None:
    run_sql("CREATE TABLE cells (id int PRIMARY KEY, cell text, amount numeric, at timestamptz)")
    for number, cell in enumerate(CELLS):
        run_sql("INSERT INTO cells VALUES (%s, %s, -1.5, now())", number, cell)


def test_guard_neutralises_formulas_and_leaves_numbers_and_phones(export: Any, cells: None) -> None:
    exported = export(TABLE, key=("id",), options={"formula_guard": True})
    rows = list(csv.DictReader(io.StringIO(exported.data.decode(), newline="")))
    by_id = {int(row["id"]): row for row in rows}
    for number, cell in enumerate(CELLS):
        if cell in DANGEROUS:
            assert by_id[number]["cell"] == f"'{cell}"
        elif cell in INTACT:
            assert by_id[number]["cell"] == cell
        assert by_id[number]["amount"] == "-1.5"
    manifest = exported.manifest
    assert manifest.formula_guard is not None
    assert [column.name for column in manifest.columns if column.is_guarded] == ["cell"]


@pytest.mark.parametrize("line_terminator", ["crlf", "lf"])
def test_unguard_restores_the_bytes_of_an_unguarded_export(
    export: Any, cells: None, tmp_path: Path, line_terminator: str
) -> None:
    options = {"line_terminator": line_terminator}
    plain = export(TABLE, key=("id",), options={**options, "formula_guard": False})
    guarded = export(TABLE, key=("id",), options={**options, "formula_guard": True})
    assert guarded.data != plain.data
    file = tmp_path / "guarded.csv"
    file.write_bytes(guarded.data)
    restored = tmp_path / "restored.csv"
    assert restore_unguarded(file, guarded.manifest, restored) >= len(DANGEROUS)
    assert hashlib.sha256(restored.read_bytes()).hexdigest() == plain.manifest.sha256


def test_unguard_of_an_unguarded_file_says_that_there_is_nothing_to_do(
    export: Any, cells: None, tmp_path: Path
) -> None:
    plain = export(TABLE, key=("id",))
    file = tmp_path / "plain.csv"
    file.write_bytes(plain.data)
    with pytest.raises(ConfigurationError, match="no formula guard"):
        restore_unguarded(file, plain.manifest, tmp_path / "restored.csv")
    assert not (tmp_path / "restored.csv").exists()


def test_label_that_is_a_formula_is_refused_under_the_guard(export: Any, cells: None) -> None:
    columns = (Column("id", "=cmd()"),)
    with pytest.raises(InvalidOption, match="formula"):
        export(TABLE, key=("id",), columns=columns, options={"formula_guard": True})
    assert export(TABLE, key=("id",), columns=columns).data.startswith(b"=cmd()")


@pytest.mark.parametrize("format_name", ["json", "ndjson"])
def test_json_is_lossless_and_carries_no_guard(export: Any, cells: None, format_name: str) -> None:
    exported = export(TABLE, format_name, key=("id",))
    assert b'"=SUM(A1)"' in exported.data
    assert exported.manifest.formula_guard is None
