"""Each format's files, read by the reader that its users would take first."""

from __future__ import annotations

import csv
import io
import json
import sys
from typing import Any

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
    text = data.decode()
    objects = (
        json.loads(text) if format_name == "json" else list(map(json.loads, text.splitlines()))
    )
    return list(objects[0]), [list(each.values()) for each in objects]
