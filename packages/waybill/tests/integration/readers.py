"""Each format's files, read by the reader that its users would take first."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from typing import Any

import openpyxl
import pyarrow.parquet as pq


def read_table(data: bytes, format_name: str) -> tuple[list[str], list[list[Any]]]:
    """Return the header and the rows of a file, values as the format's own reader gives them."""
    if format_name == "csv":
        csv.field_size_limit(sys.maxsize)
        header, *rows = csv.reader(io.StringIO(data.decode(), newline=""))
        return header, rows
    if format_name == "parquet":
        table = pq.read_table(io.BytesIO(data))
        columns = [column.to_pylist() for column in table.columns]
        return table.column_names, [list(row) for row in zip(*columns, strict=True)]
    if format_name == "xlsx":
        sheets = read_sheets(data)
        assert all(rows[0] == sheets[0][0] for rows in sheets)
        header = sheets[0][0]
        # NULLs at the end of a row are no cells.
        rows = [row + [None] * (len(header) - len(row)) for rows in sheets for row in rows[1:]]
        return header, rows
    text = data.decode()
    objects = (
        json.loads(text) if format_name == "json" else list(map(json.loads, text.splitlines()))
    )
    return list(objects[0]), [list(each.values()) for each in objects]


def read_sheets(data: bytes) -> list[list[list[Any]]]:
    """Return the cells of every sheet. openpyxl leaves ``_xHHHH_`` as it stands; Excel and
    LibreOffice do not."""
    workbook = openpyxl.load_workbook(io.BytesIO(data), read_only=True)
    return [
        [[_unescaped(value) for value in row] for row in sheet.iter_rows(values_only=True)]
        for sheet in workbook.worksheets
    ]


def _unescaped(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return re.sub("_x([0-9A-F]{4})_", lambda found: chr(int(found[1], 16)), value)
