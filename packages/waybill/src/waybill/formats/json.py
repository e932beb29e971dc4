"""JSON: one array, one object per line in it; ``[]`` when there are no rows."""

from __future__ import annotations

from psycopg import sql

from waybill.formats.base import Encoder, FileFacts
from waybill.formats.computed import ObjectForm
from waybill.formats.json_lines import to_lines
from waybill.formats.plan import ExportPlan, FormatOptions
from waybill.formats.statement import copy_json
from waybill.source.copy_chunk import CopyChunk


class JsonOptions(FormatOptions):
    """None yet."""


class JsonEncoding:
    def __init__(self, plan: ExportPlan) -> None:
        self._rows = 0
        self.statement: sql.Composed = copy_json(plan)

    @property
    def rows(self) -> int:
        return self._rows

    def header(self) -> bytes:
        return b"["

    def resume_after(self, rows: int) -> None:
        self._rows = rows

    def encode(self, chunk: CopyChunk) -> bytes:
        lines = to_lines(chunk)
        # A separator stands before each element but the first: which one is the last shows late.
        start = b",\n" if self._rows else b"\n"
        self._rows += chunk.rows
        return start + lines[:-1].replace(b"\n", b",\n")

    def footer(self) -> bytes:
        return b"\n]\n" if self._rows else b"]\n"


class JsonRowCounter:
    """Counts elements by this encoder's layout: ``[``, a line per element, ``]``."""

    def __init__(self) -> None:
        self._lines = 0

    def feed(self, data: bytes) -> None:
        self._lines += data.count(b"\n")

    @property
    def rows(self) -> int:
        # "[]\n" has one line; with n elements the brackets add two.
        return max(0, self._lines - 2)


class JsonEncoder(Encoder):
    name = "json"
    media_type = "application/json"
    extension = "json"
    options_model: type[FormatOptions] = JsonOptions

    def open(self, plan: ExportPlan, facts: FileFacts | None = None) -> JsonEncoding:
        return JsonEncoding(plan)

    def row_form(self, options: FormatOptions) -> ObjectForm:
        return ObjectForm()

    def row_counter(self, options: FormatOptions) -> JsonRowCounter:
        return JsonRowCounter()
