"""docs/formats.md says how each type is written: every row of its table, in every format."""

from __future__ import annotations

import datetime as dt
import io
import re
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow.parquet as pq

from waybill.catalog.model import TableSource
from waybill.formats import ENCODERS

from ..readers import read_table

GUIDE = Path(__file__).parents[5] / "docs" / "formats.md"
TABLE = TableSource("public", "t")


def _rows() -> list[list[str]]:
    """The table's rows, their code marks taken off."""
    table = GUIDE.read_text(encoding="utf-8").split("## Type by type")[1].split("\n## ")[0]
    lines = [line for line in table.splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [[re.sub(r"^`|`$", "", cell) for cell in row] for row in cells]


def _kind(value: Any) -> str:
    kinds = {bool: "boolean", int: "number", float: "number", dt.datetime: "date", dt.time: "time"}
    return kinds.get(type(value), "text")


def test_every_type_is_written_as_the_guide_says(export: Any, run_sql: Any) -> None:
    rows = _rows()
    assert len(rows) > 30
    columns = ", ".join(f'"{n}" {row[0]}' for n, row in enumerate(rows))
    run_sql(f"CREATE TABLE t ({columns})")
    casts = ", ".join(f"%s::{row[0]}" for row in rows)
    run_sql(f"INSERT INTO t VALUES ({casts})", *(row[1] for row in rows))

    _, [in_csv] = read_table(export(TABLE, "csv").data, "csv")
    in_json = export(TABLE, "ndjson").data.decode()
    parquet = pq.read_schema(io.BytesIO(export(TABLE, "parquet").data))
    xlsx = openpyxl.load_workbook(io.BytesIO(export(TABLE, "xlsx").data)).active

    for n, (kind, value, csv_text, json_text, arrow_type, cell) in enumerate(rows):
        assert in_csv[n] == csv_text, (kind, value)
        assert f'"{n}":{json_text}' in in_json, (kind, value)
        assert str(parquet.field(n).type) == arrow_type, (kind, value)
        assert _kind(xlsx.cell(2, n + 1).value) == cell, (kind, value)


def test_guide_names_every_format_and_option() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    for name, encoder in ENCODERS.items():
        assert f"`{name}`" in text
        if name in {"parquet", "xlsx"}:
            for option in encoder.options_model.model_fields:
                assert f"`{option}`" in text
