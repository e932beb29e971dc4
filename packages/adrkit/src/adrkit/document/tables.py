"""Pipe tables, split raw: as GitHub splits them, before any inline syntax is seen.

An unescaped ``|`` ends a cell even inside backticks (GFM 0.29, section 4.10), and cells beyond
the header's count are dropped when rendered. A verdict column is lost that way without a trace,
so rows here keep every raw cell and say how many there are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from adrkit.document.source import Source, Span

# As cmark-gfm: a bar right after a backslash never ends a cell, whatever stands before.
_CELL_END = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True, slots=True)
class Cell:
    """``text`` is trimmed, still Markdown, escapes kept; ``span`` covers exactly that text."""

    text: str
    span: Span
    line: int


@dataclass(frozen=True, slots=True)
class TableRow:
    cells: tuple[Cell, ...]
    span: Span
    line: int

    @property
    def raw_cell_count(self) -> int:
        return len(self.cells)

    def cell(self, column: int) -> Cell | None:
        return self.cells[column] if 0 <= column < len(self.cells) else None


@dataclass(frozen=True, slots=True)
class Table:
    header: TableRow
    delimiter: TableRow
    rows: tuple[TableRow, ...]
    span: Span
    line: int
    nested: bool

    @property
    def column_count(self) -> int:
        return len(self.header.cells)

    def column(self, *names: str) -> int | None:
        """Index of the first column whose header, lower-cased and bare, is one of ``names``."""
        for index, cell in enumerate(self.header.cells):
            if cell.text.strip("*_` ").casefold() in names:
                return index
        return None


def split_row(text: str, start: int, line: int) -> TableRow:
    """Cells of one line; ``start`` is the offset of ``text`` in its document."""
    bounds: list[tuple[int, int]] = []
    begin = 0
    for bar in _CELL_END.finditer(text):
        bounds.append((begin, bar.start()))
        begin = bar.end()
    bounds.append((begin, len(text)))
    # Only a bar at the very edge is a frame; `||` at the edge opens an empty cell.
    if len(bounds) > 1 and not text[: bounds[0][1]].strip():
        bounds.pop(0)
    if len(bounds) > 1 and not text[bounds[-1][0] :].strip():
        bounds.pop()
    cells = []
    for low, high in bounds:
        raw = text[low:high]
        content = raw.strip()
        offset = start + low + (len(raw) - len(raw.lstrip()) if content else 0)
        cells.append(Cell(content, Span(offset, offset + len(content)), line))
    return TableRow(tuple(cells), Span(start, start + len(text)), line)


def read_table(source: Source, first: int, after_last: int, nested: bool) -> Table:
    """Table on lines ``first .. after_last - 1``; the first two are header and delimiter."""
    rows = []
    for line in range(first, after_last):
        span = source.line_span(line)
        text = source.text[span.start : span.end]
        lead = _container_prefix(text) if nested else 0
        rows.append(split_row(text[lead:], span.start + lead, line))
    span = Span(rows[0].span.start, rows[-1].span.end)
    return Table(rows[0], rows[1], tuple(rows[2:]), span, first, nested)


def _container_prefix(text: str) -> int:
    """Length of the block-quote markers before a row of a table inside a block quote."""
    return len(text) - len(text.lstrip("> \t"))
