"""NDJSON: one object per line, each ended by LF (application/x-ndjson)."""

from __future__ import annotations

from psycopg import sql

from waybill.formats.base import Encoder, FileFacts
from waybill.formats.computed import ObjectForm
from waybill.formats.json_lines import to_lines
from waybill.formats.plan import ExportPlan, FormatOptions
from waybill.formats.statement import copy_json
from waybill.source.copy_chunk import CopyChunk


class NdjsonOptions(FormatOptions):
    """None yet."""


class NdjsonEncoding:
    def __init__(self, plan: ExportPlan) -> None:
        self._rows = 0
        self.statement: sql.Composed = copy_json(plan)

    @property
    def rows(self) -> int:
        return self._rows

    def header(self) -> bytes:
        return b""

    def resume_after(self, rows: int) -> None:
        self._rows = rows

    def encode(self, chunk: CopyChunk) -> bytes:
        lines = to_lines(chunk)
        self._rows += chunk.rows
        return lines

    def footer(self) -> bytes:
        return b""


class NdjsonRowCounter:
    def __init__(self) -> None:
        self.rows = 0

    def feed(self, data: bytes) -> None:
        self.rows += data.count(b"\n")


class NdjsonEncoder(Encoder):
    name = "ndjson"
    media_type = "application/x-ndjson"
    extension = "ndjson"
    options_model: type[FormatOptions] = NdjsonOptions

    def open(self, plan: ExportPlan, facts: FileFacts | None = None) -> NdjsonEncoding:
        return NdjsonEncoding(plan)

    def row_form(self, options: FormatOptions) -> ObjectForm:
        return ObjectForm()

    def row_counter(self, options: FormatOptions) -> NdjsonRowCounter:
        return NdjsonRowCounter()
