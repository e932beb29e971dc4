"""XLSX for spreadsheets: typed cells, sheets of at most 1,048,576 rows, written as a stream.

``docs/formats.md`` says how each type is written. Arrow is imported with the first file (see
``encoders.parquet``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, BinaryIO, Final

from pydantic import Field

from waybill.errors import FileTooLarge, InvalidOption
from waybill.formats.base import Encoder, FileFacts, check_labels
from waybill.formats.computed import RecordForm
from waybill.formats.plan import ExportPlan, FormatOptions

if TYPE_CHECKING:
    from waybill.formats.xlsx_file import XlsxEncoding

MAX_ROWS: Final = 1_048_576
"""Of a sheet, the header included: a limit of Excel, which LibreOffice shares."""


MAX_CELL_CHARACTERS: Final = 32_767
"""Of a cell's text, in UTF-16."""

FEWEST_ROWS: Final = 1_000
"""Of a sheet that is asked for. Each sheet costs time, memory and bytes of its own: with two rows
in each, an export of a moment is one of hours that nobody can open."""

MOST_SHEETS: Final = 65_535 - 6
"""A ZIP archive without ZIP64 has 65,535 entries, of which six tell of the sheets."""


def too_many_sheets() -> FileTooLarge:
    """Return the error of a file with more sheets than the format can hold."""
    return FileTooLarge(
        f"The file would have more than the {MOST_SHEETS} sheets that XLSX can hold. Ask for more "
        "rows in a sheet (option sheet_rows), or request csv, ndjson or parquet."
    )


class XlsxOptions(FormatOptions):
    formula_guard: bool = True
    """Put ``'`` before text that a spreadsheet would run, should the cell become one or be saved
    as CSV; see ``pipeline.formula_guard``."""
    sheet_rows: int = Field(MAX_ROWS, ge=FEWEST_ROWS, le=MAX_ROWS)
    """How many rows a sheet may have, the header included, before the next sheet begins."""


class XlsxEncoder(Encoder):
    name = "xlsx"
    media_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    extension = "xlsx"
    options_model: type[FormatOptions] = XlsxOptions
    is_compressed = True
    needs = ("pyarrow",)

    def check_columns(self, headers: Mapping[str, str], options: FormatOptions) -> None:
        if XlsxOptions.model_validate(options, from_attributes=True).formula_guard:
            check_labels(headers)
        for name, header in headers.items():
            if len(header.encode("utf-16-le")) > 2 * MAX_CELL_CHARACTERS:
                raise InvalidOption(
                    "columns",
                    f"the header of column {name!r} has more than the 32,767 characters that a "
                    "spreadsheet's cell takes; give it a shorter label",
                )

    def open(self, plan: ExportPlan, facts: FileFacts | None = None) -> XlsxEncoding:
        from waybill.formats.xlsx_file import XlsxEncoding

        options = XlsxOptions.model_validate(plan.options, from_attributes=True)
        self.check_columns(plan.headers, plan.options)
        return XlsxEncoding(
            plan,
            formula_guard=options.formula_guard,
            sheet_rows=options.sheet_rows,
            facts=facts,
        )

    def row_form(self, options: FormatOptions) -> RecordForm:
        read = XlsxOptions.model_validate(options, from_attributes=True)
        return RecordForm(delimiter=",", formula_guard=read.formula_guard, truths=("0", "1"))

    def check_rows(self, rows: int, options: FormatOptions) -> None:
        read = XlsxOptions.model_validate(options, from_attributes=True)
        # The header is a row of each sheet.
        if -(-rows // (read.sheet_rows - 1)) > MOST_SHEETS:
            raise too_many_sheets()

    def count_rows(self, file: BinaryIO, options: FormatOptions) -> int:
        from waybill.formats.xlsx_file import count_rows

        return count_rows(file)
