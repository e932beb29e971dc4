"""A Parquet file in the making.

It holds its origin as key-value metadata under ``waybill``: export, snapshot and PostgreSQL's name
of every column's type.
"""

from __future__ import annotations

import io
import json
from collections.abc import Collection
from typing import BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from waybill.errors import UnreadableFile
from waybill.formats.arrow_text import DELIMITER, QUOTE, read_columns
from waybill.formats.arrow_types import arrow_column
from waybill.formats.base import FileFacts
from waybill.formats.blocks import BlockEncoding
from waybill.formats.plan import ExportPlan
from waybill.formats.statement import copy_values

ROW_GROUP_BYTES: Final = 8 * 1024 * 1024
"""Of COPY's text: some 25,000 users. A row group is what readers divide work by, and it has to fit
in a worker's memory as Arrow columns: larger ones take more of it and are no faster
(ADR-0010)."""


class ParquetEncoding(BlockEncoding):
    def __init__(
        self,
        plan: ExportPlan,
        codec: str,
        text_columns: Collection[str],
        facts: FileFacts | None,
    ) -> None:
        self._columns = [arrow_column(column, text_columns) for column in plan.columns]
        super().__init__(
            copy_values(
                plan,
                [column.value for column in self._columns],
                delimiter=DELIMITER,
                quote=QUOTE,
            )
        )
        origin = {
            **({} if facts is None else facts.to_json()),
            "columns": [{"name": c.name, "type": c.type_name} for c in self._columns],
        }
        self._schema = pa.schema(
            [column.field for column in self._columns], metadata={"waybill": json.dumps(origin)}
        )
        self._sink = _Sink()
        self._codec = codec
        self._writer: pq.ParquetWriter | None = None
        self._group: list[pa.RecordBatch] = []
        self._group_bytes = 0

    def write_block(self, block: bytearray, rows: int) -> bytes:
        self._group.append(
            pa.record_batch(read_columns(block, self._columns, rows), schema=self._schema)
        )
        self._group_bytes += len(block)
        if self._group_bytes >= ROW_GROUP_BYTES:
            self._write_group()
        # Arrow's pool keeps what it is given back, unless it is told.
        pa.default_memory_pool().release_unused()
        return self._sink.take()

    def finish(self) -> bytes:
        if self._group or self._writer is None:
            self._write_group()
        if self._writer is not None:
            self._writer.close()
        return self._sink.take()

    def _write_group(self) -> None:
        table = pa.Table.from_batches(self._group, self._schema)
        if self._writer is None:
            self._writer = self._open(table)
        if self._group:
            self._writer.write_table(table, row_group_size=max(1, table.num_rows))
        self._group, self._group_bytes = [], 0

    def _open(self, first: pa.Table) -> pq.ParquetWriter:
        """Return the writer, which gives a dictionary to columns that repeat themselves in the
        first row group: to others it costs a tenth of the time and a sixth of the file."""
        repeating = [
            f"{column.header}.list.element" if column.is_list else column.header
            for column, values in zip(self._columns, first.columns, strict=True)
            if _repeats(values)
        ]
        return pq.ParquetWriter(
            pa.PythonFile(self._sink, mode="w"),
            self._schema,
            compression=self._codec,
            use_dictionary=repeating,
        )


def _repeats(column: pa.ChunkedArray) -> bool:
    """Whether a column's values, NULL aside, are each there twice or more on average."""
    if not column.num_chunks:
        return False
    values = pa.chunked_array([_plain(chunk) for chunk in column.chunks]).drop_null()
    return 2 * len(values.unique()) <= len(values)


def _plain(values: pa.Array) -> pa.Array:
    """Return what a file keeps of each value: a list's elements, the text of JSON."""
    if pa.types.is_list(values.type):
        values = values.flatten()
    return values.storage if isinstance(values, pa.ExtensionArray) else values


class _Sink(io.RawIOBase):
    """Takes what the writer writes until it is fetched."""

    def __init__(self) -> None:
        super().__init__()
        self._written = bytearray()
        self._position = 0

    def writable(self) -> bool:
        return True

    def write(self, data: bytes, /) -> int:  # type: ignore[override] # always bytes here
        self._written += data
        self._position += len(data)
        return len(data)

    def tell(self) -> int:
        return self._position

    def take(self) -> bytes:
        written = bytes(self._written)
        self._written.clear()
        return written


def count_rows(file: BinaryIO) -> int:
    """Return the rows that the footer tells; raises ``UnreadableFile`` where there is none."""
    try:
        return int(pq.ParquetFile(file).metadata.num_rows)
    except pa.ArrowException as exc:
        raise UnreadableFile("This is no Parquet file: it has no footer that reads.") from exc
