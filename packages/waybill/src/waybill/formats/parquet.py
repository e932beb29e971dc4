"""Parquet with real types, row groups streamed; ``docs/formats.md`` says how each type is written.

Arrow is imported with the first file: a process that writes no Parquet need not pay for it
(ADR-0010).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, BinaryIO, Literal

from pydantic import Field, field_validator

from waybill.errors import InvalidOption
from waybill.formats.base import Encoder, FileFacts
from waybill.formats.computed import RecordForm
from waybill.formats.plan import ExportPlan, FormatOptions

if TYPE_CHECKING:
    from waybill.formats.parquet_file import ParquetEncoding


class ParquetOptions(FormatOptions):
    codec: Literal["zstd", "snappy", "gzip", "none"] = "zstd"
    """How pages are compressed, inside the file."""
    text_columns: tuple[str, ...] = Field((), max_length=1664)
    """Columns (by name) to write as PostgreSQL's text, whatever their type: for values that a type
    of Parquet does not hold, such as ``infinity``."""

    @field_validator("text_columns", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        # As the command line has it: ``text_columns=a,b``. A name with a comma needs the array.
        return tuple(value.split(",")) if isinstance(value, str) else value


class ParquetEncoder(Encoder):
    name = "parquet"
    media_type = "application/vnd.apache.parquet"
    extension = "parquet"
    options_model: type[FormatOptions] = ParquetOptions
    is_compressed = True
    needs = ("pyarrow",)

    def check_columns(self, headers: Mapping[str, str], options: FormatOptions) -> None:
        for name in ParquetOptions.model_validate(options, from_attributes=True).text_columns:
            if name not in headers:
                near = difflib.get_close_matches(name, headers, n=1)
                guess = f"; did you mean {near[0]!r}?" if near else ""
                raise InvalidOption("text_columns", f"the export has no column {name!r}{guess}")

    def open(self, plan: ExportPlan, facts: FileFacts | None = None) -> ParquetEncoding:
        from waybill.formats.parquet_file import ParquetEncoding

        self.check_columns(plan.headers, plan.options)
        options = ParquetOptions.model_validate(plan.options, from_attributes=True)
        return ParquetEncoding(plan, options.codec, options.text_columns, facts)

    def row_form(self, options: FormatOptions) -> RecordForm:
        from waybill.formats.arrow_text import DELIMITER, QUOTE

        return RecordForm(delimiter=DELIMITER, quote=QUOTE, is_iso=False)

    def count_rows(self, file: BinaryIO, options: FormatOptions) -> int:
        from waybill.formats.parquet_file import count_rows

        return count_rows(file)
