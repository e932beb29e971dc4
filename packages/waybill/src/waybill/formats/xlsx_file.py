"""An XLSX file in the making (ECMA-376, SpreadsheetML), in constant memory and without a disk.

Cells hold their texts in line: a table of shared ones would have to be kept until the end. Parts
that tell of all sheets (workbook, content types) come last, which ZIP allows.
"""

from __future__ import annotations

import re
import zipfile
from typing import BinaryIO, Final
from xml.sax.saxutils import escape as escape_xml

from waybill.clock import instant_text
from waybill.errors import UnreadableFile
from waybill.formats.arrow_text import read_text
from waybill.formats.arrow_types import TEXT
from waybill.formats.base import FileFacts
from waybill.formats.blocks import BlockEncoding
from waybill.formats.plan import ExportPlan
from waybill.formats.statement import copy_values
from waybill.formats.xlsx import MOST_SHEETS, too_many_sheets
from waybill.formats.xlsx_cells import (
    cell_column,
    escape,
    row_numbers,
    rows_xml,
)
from waybill.formats.zip_stream import ZipStream

SHEET_BYTES: Final = 2 * 1024**3
"""Of XML, after which the next sheet begins: a ZIP entry without ZIP64 ends at 4 GiB."""

_SHEET_NAME_CHARACTERS: Final = 31
_XML: Final = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
_MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"
_CONTENT: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_HEADER_STYLE: Final = 1
_FIRST_FORMAT_ID: Final = 164  # numbers below are Excel's own
_SHEET: Final = re.compile(r"xl/worksheets/sheet\d+\.xml")
_ROW: Final = b"<row r="


class XlsxEncoding(BlockEncoding):
    def __init__(
        self,
        plan: ExportPlan,
        *,
        formula_guard: bool,
        sheet_rows: int,
        facts: FileFacts | None,
    ) -> None:
        self._columns = [
            cell_column(column, index, formula_guard=formula_guard)
            for index, column in enumerate(plan.columns)
        ]
        super().__init__(
            copy_values(plan, [column.value for column in self._columns], delimiter=",")
        )
        formats = [c.number_format for c in self._columns if c.number_format]
        self._formats = list(dict.fromkeys(formats))
        self._styles = [
            self._formats.index(c.number_format) + 2 if c.number_format else 0
            for c in self._columns
        ]
        self._headers = [column.header for column in plan.columns]
        self._title = _sheet_title(plan.export_type.name)
        self._facts = facts
        self._sheet_rows = sheet_rows
        self._zip = ZipStream()
        self._sheets = 0
        self._rows_in_sheet = 0

    def header(self) -> bytes:
        relations = (
            f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships">'
            f'<Relationship Id="rId1" Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/>'
            f'<Relationship Id="rId2" Type="{_PACKAGE}/relationships/metadata/core-properties" '
            'Target="docProps/core.xml"/></Relationships>'
        )
        return (
            self._zip.entry("_rels/.rels", relations.encode())
            + self._zip.entry("docProps/core.xml", _core_properties(self._facts).encode())
            + self._zip.entry("xl/styles.xml", _styles_xml(self._formats).encode())
            + self._open_sheet()
        )

    def write_block(self, block: bytearray, rows: int) -> bytes:
        columns = read_text(
            escape(bytes(block)), [TEXT] * len(self._columns), rows, delimiter=",", quote='"'
        )
        written = []
        start = 0
        while start < rows:
            if self._rows_in_sheet >= self._sheet_rows or self._zip.entry_bytes >= SHEET_BYTES:
                written += [self._close_sheet(), self._open_sheet()]
            count = min(rows - start, self._sheet_rows - self._rows_in_sheet)
            numbers = row_numbers(self._rows_in_sheet + 1, count)
            cells = [
                column.cells(texts.slice(start, count), numbers, style)
                for column, texts, style in zip(self._columns, columns, self._styles, strict=True)
            ]
            written.append(self._zip.write(rows_xml(cells, numbers)))
            self._rows_in_sheet += count
            start += count
        return b"".join(written)

    def finish(self) -> bytes:
        return (
            self._close_sheet()
            + self._zip.entry("xl/workbook.xml", self._workbook().encode())
            + self._zip.entry("xl/_rels/workbook.xml.rels", self._workbook_relations().encode())
            + self._zip.entry("[Content_Types].xml", self._content_types().encode())
            + self._zip.finish()
        )

    # -- sheets -------------------------------------------------------------------------------

    def _open_sheet(self) -> bytes:
        if self._sheets >= MOST_SHEETS:
            raise too_many_sheets()
        self._sheets += 1
        selected = ' tabSelected="1"' if self._sheets == 1 else ""
        widths = "".join(
            f'<col min="{n}" max="{n}" width="{column.width}" customWidth="1"/>'
            for n, column in enumerate(self._columns, start=1)
            if column.width
        )
        labels = "".join(
            f'<c r="{column.letters}1" s="{_HEADER_STYLE}" t="inlineStr"><is>'
            f'<t xml:space="preserve">{escape(header.encode()).decode()}</t></is></c>'
            for column, header in zip(self._columns, self._headers, strict=True)
        )
        start = (
            f'{_XML}<worksheet xmlns="{_MAIN}"><sheetViews>'
            f'<sheetView{selected} workbookViewId="0">'
            '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/>'
            "</sheetView></sheetViews>"
            + (f"<cols>{widths}</cols>" if widths else "")
            + f'<sheetData>\n<row r="1">{labels}</row>\n'
        )
        self._rows_in_sheet = 1
        return self._zip.open_entry(f"xl/worksheets/sheet{self._sheets}.xml") + self._zip.write(
            start.encode()
        )

    def _close_sheet(self) -> bytes:
        return self._zip.write(b"</sheetData></worksheet>") + self._zip.close_entry()

    # -- parts that tell of the sheets --------------------------------------------------------

    def _workbook(self) -> str:
        sheets = "".join(
            f'<sheet name="{_attribute(_numbered(self._title, n))}" sheetId="{n}" r:id="rId{n}"/>'
            for n in range(1, self._sheets + 1)
        )
        return (
            f'{_XML}<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><bookViews><workbookView/>'
            f"</bookViews><sheets>{sheets}</sheets></workbook>"
        )

    def _workbook_relations(self) -> str:
        sheets = "".join(
            f'<Relationship Id="rId{n}" Type="{_OFFICE}/worksheet" '
            f'Target="worksheets/sheet{n}.xml"/>'
            for n in range(1, self._sheets + 1)
        )
        return (
            f'{_XML}<Relationships xmlns="{_PACKAGE}/relationships">{sheets}'
            f'<Relationship Id="rId{self._sheets + 1}" Type="{_OFFICE}/styles" '
            'Target="styles.xml"/></Relationships>'
        )

    def _content_types(self) -> str:
        sheets = "".join(
            f'<Override PartName="/xl/worksheets/sheet{n}.xml" '
            f'ContentType="{_CONTENT}.worksheet+xml"/>'
            for n in range(1, self._sheets + 1)
        )
        return (
            f'{_XML}<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" '
            'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            '<Default Extension="xml" ContentType="application/xml"/>'
            f'<Override PartName="/xl/workbook.xml" ContentType="{_CONTENT}.sheet.main+xml"/>'
            f'<Override PartName="/xl/styles.xml" ContentType="{_CONTENT}.styles+xml"/>'
            '<Override PartName="/docProps/core.xml" '
            'ContentType="application/vnd.openxmlformats-package.core-properties+xml"/>'
            f"{sheets}</Types>"
        )


def _attribute(text: str) -> str:
    return escape_xml(text, {'"': "&quot;"})


def _sheet_title(name: str) -> str:
    """Return a name that Excel takes: no ``[]:*?/\\``, no quote at an end, and not ``History``,
    which it keeps for itself in whatever case."""
    title = re.sub(r"[\[\]:*?/\\\x00-\x1f]", "_", name).strip("'") or "export"
    return f"{title}_" if title.lower() == "history" else title


def _numbered(title: str, number: int) -> str:
    suffix = "" if number == 1 else f" ({number})"
    return title[: _SHEET_NAME_CHARACTERS - len(suffix)].rstrip("'") + suffix


def _core_properties(facts: FileFacts | None) -> str:
    described = ""
    if facts is not None:
        created = f"{facts.taken_at:%Y-%m-%dT%H:%M:%SZ}"
        described = (
            f"<dc:title>{escape_xml(facts.export_type)}</dc:title>"
            f"<dc:description>Export {escape_xml(facts.export_id)}, snapshot "
            f"{escape_xml(facts.snapshot_id)} taken at {instant_text(facts.taken_at)}. "
            "Times are in UTC.</dc:description>"
            f'<dcterms:created xsi:type="dcterms:W3CDTF">{created}</dcterms:created>'
        )
    return (
        f'{_XML}<cp:coreProperties xmlns:cp="{_PACKAGE}/metadata/core-properties" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><dc:creator>waybill</dc:creator>'
        f"{described}</cp:coreProperties>"
    )


def _styles_xml(formats: list[str]) -> str:
    codes = "".join(
        f'<numFmt numFmtId="{n}" formatCode="{_attribute(code)}"/>'
        for n, code in enumerate(formats, start=_FIRST_FORMAT_ID)
    )
    cell_formats = "".join(
        f'<xf numFmtId="{n}" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/>'
        for n, _ in enumerate(formats, start=_FIRST_FORMAT_ID)
    )
    font = '<sz val="11"/><name val="Calibri"/><family val="2"/>'
    return (
        f'{_XML}<styleSheet xmlns="{_MAIN}">'
        + (f'<numFmts count="{len(formats)}">{codes}</numFmts>' if formats else "")
        + f'<fonts count="2"><font>{font}</font><font><b/>{font}</font></fonts>'
        '<fills count="2"><fill><patternFill patternType="none"/></fill>'
        '<fill><patternFill patternType="gray125"/></fill></fills>'
        '<borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders>'
        '<cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/>'
        f'</cellStyleXfs><cellXfs count="{len(formats) + 2}">'
        '<xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/>'
        '<xf numFmtId="0" fontId="1" fillId="0" borderId="0" xfId="0" applyFont="1"/>'
        f"{cell_formats}</cellXfs>"
        '<cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles>'
        "</styleSheet>"
    )


def count_rows(file: BinaryIO) -> int:
    """Return the rows of all sheets without their headers.

    Raises:
        UnreadableFile: it is no archive, or one whose checksums are wrong.
    """
    rows = 0
    try:
        with zipfile.ZipFile(file) as archive:
            for name in archive.namelist():
                if not _SHEET.fullmatch(name):
                    continue
                rows -= 1  # the header
                rest = b""
                with archive.open(name) as sheet:
                    while data := sheet.read(1024 * 1024):
                        # No text holds a bare ``<``.
                        rows += (rest + data).count(_ROW)
                        rest = data[-(len(_ROW) - 1) :]
    except (zipfile.BadZipFile, EOFError) as exc:
        raise UnreadableFile("This is no XLSX file: it is no whole ZIP archive.") from exc
    return rows
