"""CSV after RFC 4180, UTF-8.

How values are written:

- NULL is ``null_text``, by default an empty unquoted cell; the empty string is ``""``. A text equal
  to ``null_text`` is quoted, so the two stay apart. In a file of one column a NULL is therefore an
  empty line, which is a record.
- ``timestamptz`` is ISO 8601 in UTC (``2024-05-01T12:00:00.5+00:00``), ``timestamp`` the same
  without an offset, both with as many fraction digits as the value needs; ``infinity`` and years BC
  as PostgreSQL's ``to_json`` prints them. ``interval`` is ISO 8601 (``P1DT2H``).
- Everything else is PostgreSQL's own text: numerics exact, ``NaN`` and ``Infinity`` by name,
  booleans ``true``/``false``, bytea ``\\x…``, arrays, ranges and composites as their literals
  (timestamps inside those keep PostgreSQL's blank).
- Newlines inside a quoted cell are data and stay as they are; only the end of a record is CRLF.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from psycopg import sql
from pydantic import Field, ValidationInfo, field_validator

from waybill.errors import IncompleteExport
from waybill.formats.base import Encoder, FileFacts, check_labels, join_header
from waybill.formats.computed import RecordForm
from waybill.formats.plan import ExportPlan, FormatOptions
from waybill.formats.statement import copy_csv
from waybill.source.copy_chunk import CopyChunk

_BOM = b"\xef\xbb\xbf"
_COUNT_BYTES = 64 * 1024
_TERMINATORS = {"crlf": b"\r\n", "lf": b"\n"}


class CsvOptions(FormatOptions):
    delimiter: Literal[",", ";", "\t", "|"] = ","
    header: bool = True
    bom: bool = False
    """A byte order mark, by which Excel recognises UTF-8."""
    null_text: str = Field("", max_length=32)
    line_terminator: Literal["crlf", "lf"] = "crlf"
    formula_guard: bool = True
    """Put ``'`` before text that a spreadsheet would run; see ``pipeline.formula_guard``."""

    @field_validator("null_text")
    @classmethod
    def _check_null_text(cls, value: str, info: ValidationInfo) -> str:
        # COPY's own rules. A delimiter that failed its own check is absent here.
        forbidden = {'"', "\r", "\n", "\0", info.data.get("delimiter", ",")}
        if forbidden & set(value):
            raise ValueError("may hold no quote, line break, NUL or the delimiter")
        return value


class CsvEncoding:
    """COPY ends every record with a bare LF; this makes it the chosen terminator."""

    def __init__(self, plan: ExportPlan, options: CsvOptions) -> None:
        self._options = options
        self._headers = [column.header for column in plan.columns]
        self._terminator = _TERMINATORS[options.line_terminator]
        self._rows = 0
        self.statement: sql.Composed = copy_csv(
            plan,
            delimiter=options.delimiter,
            null_text=options.null_text,
            formula_guard=options.formula_guard,
        )

    @property
    def rows(self) -> int:
        return self._rows

    def header(self) -> bytes:
        start = _BOM if self._options.bom else b""
        if not self._options.header:
            return start
        return start + join_header(
            self._headers, delimiter=self._options.delimiter, terminator=self._terminator
        )

    def resume_after(self, rows: int) -> None:
        self._rows = rows

    def encode(self, chunk: CopyChunk) -> bytes | bytearray:
        messages = chunk.messages
        self._rows += len(messages)
        if messages[-1][-1:] != b"\n":
            raise IncompleteExport("PostgreSQL's rows do not end like CSV records.")
        if self._terminator == b"\n":
            return chunk.data
        # Row by row, since a line break inside a cell is data and stays as it is.
        records = [message[:-1] for message in messages]
        records.append(b"")
        return self._terminator.join(records)

    def footer(self) -> bytes:
        return b""


class CsvRowCounter:
    """Counts the line feeds outside of quotes."""

    def __init__(self, options: CsvOptions) -> None:
        self._lines = 0
        self._is_quoted = False
        self._header_lines = 1 if options.header else 0

    def feed(self, data: bytes) -> None:
        # Small pieces, since a piece of nothing but quotes splits into as many objects.
        for start in range(0, len(data), _COUNT_BYTES):
            segments = data[start : start + _COUNT_BYTES].split(b'"')
            self._lines += sum(segment.count(b"\n") for segment in segments[self._is_quoted :: 2])
            if len(segments) % 2 == 0:
                self._is_quoted = not self._is_quoted

    @property
    def rows(self) -> int:
        return max(0, self._lines - self._header_lines)


class CsvEncoder(Encoder):
    name = "csv"
    media_type = "text/csv; charset=utf-8"
    extension = "csv"
    options_model: type[FormatOptions] = CsvOptions

    def check_columns(self, headers: Mapping[str, str], options: FormatOptions) -> None:
        read = CsvOptions.model_validate(options, from_attributes=True)
        if read.formula_guard and read.header:
            check_labels(headers)

    def open(self, plan: ExportPlan, facts: FileFacts | None = None) -> CsvEncoding:
        self.check_columns(plan.headers, plan.options)
        return CsvEncoding(plan, CsvOptions.model_validate(plan.options, from_attributes=True))

    def row_form(self, options: FormatOptions) -> RecordForm:
        read = CsvOptions.model_validate(options, from_attributes=True)
        return RecordForm(
            delimiter=read.delimiter, null_text=read.null_text, formula_guard=read.formula_guard
        )

    def row_counter(self, options: FormatOptions) -> CsvRowCounter:
        return CsvRowCounter(CsvOptions.model_validate(options, from_attributes=True))
