"""The table of records that a README holds between two markers."""

from __future__ import annotations

import html
import os.path
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from adrkit.document import Document, Edit, Span
from adrkit.errors import AdrkitError, InvalidInput
from adrkit.record import Record

BEGIN = "<!-- adr-index:begin -->"
END = "<!-- adr-index:end -->"
NOTICE = "<!-- Written by `adr index`; edits between the markers are lost. -->"

COLUMNS = ("number", "title", "status", "date", "format")
DEFAULT_COLUMNS = ("number", "title", "status", "date")

# What Markdown would read as markup in a table cell; `&` and `<` become entities.
_MARKUP = re.compile(r"([\\`*_\[\]|~])")


class IndexMarkersInvalid(AdrkitError):
    """The file to hold the table does not say where, or not clearly."""

    def __init__(self, path: Path | None, problem: str, line: int | None = None) -> None:
        self.path, self.problem, self.line = path, problem, line
        where = f"{path or 'document'}:{line}" if line else f"{path or 'document'}"
        super().__init__(
            f"{where}: {problem}",
            remedy=f"put the lines `{BEGIN}` and `{END}` once, around the place of the table, "
            "or run `adr index --add-markers`",
        )


def index_table(
    records: Sequence[Record], base: Path, columns: Sequence[str] = DEFAULT_COLUMNS
) -> list[str]:
    """Lines of a Markdown table; links are relative to the directory ``base``.

    Drafts are left out: branches that each add a row would conflict, and their names go.
    Raises InvalidInput for an unknown column.
    """
    for column in columns:
        if column not in COLUMNS:
            raise InvalidInput("column", column, remedy=f"choose from {', '.join(COLUMNS)}")
    rows = [[column.title() for column in columns], ["---"] * len(columns)]
    links = {record.number: record for record in reversed(records) if record.number is not None}
    for record in records:
        if record.draft is not None:
            continue
        rows.append([_cell(record, column, base, links) for column in columns])
    return ["| " + " | ".join(row) + " |" for row in rows]


def _cell(record: Record, column: str, base: Path, links: dict[int, Record]) -> str:
    if column == "title":
        return _escaped(record.name) or "(no title)"
    if column == "status":
        status = record.status_kind.value if record.status_kind else _raw_status(record)
        if not record.superseded_by:
            return status
        return f"{status} by " + ", ".join(
            _link(links[number], base) if number in links else f"ADR-{number:04d}"
            for number in record.superseded_by
        )
    if column == "date":
        return _escaped(record.date.value) if record.date else ""
    if column == "format":
        return record.dialect.name
    return _link(record, base)


def _raw_status(record: Record) -> str:
    return _escaped(record.status.raw) if record.status else ""


def _link(record: Record, base: Path) -> str:
    if record.path is None:
        return _escaped(record.label)
    relative = Path(os.path.relpath(record.path.resolve(), base.resolve())).as_posix()
    return f"[{_escaped(record.label)}]({quote(relative)})"


def _escaped(text: str) -> str:
    one_line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return _MARKUP.sub(r"\\\1", html.escape(one_line, quote=False))


def with_index(document: Document, table: Sequence[str]) -> Document:
    """The document with ``table`` between its markers and every other byte as it was.

    Raises IndexMarkersInvalid.
    """
    begin, end = _markers(document)
    source = document.source
    eol = source.eol_at(begin)
    inner = Span(source.line_span(begin).end, source.line_span(end).start)
    content = eol + "".join(line + eol for line in (NOTICE, "", *table, ""))
    return document.edit(Edit(inner, content))


def has_markers(document: Document) -> bool:
    return any(_marker_lines(document))


def with_markers(document: Document) -> Document:
    """The document with an empty pair of markers at its end."""
    eol = document.source.eol
    text = document.text
    gap = "" if not text else (eol if text.endswith(("\n", "\r")) else eol * 2)
    end = Span(len(text), len(text))
    return document.edit(Edit(end, f"{gap}{BEGIN}{eol}{END}{eol}"))


def new_index(path: Path) -> Document:
    """A first README for a records directory, with markers and no table yet."""
    return Document.from_text(f"# Architecture Decision Records\n\n{BEGIN}\n{END}\n", path)


def _marker_lines(document: Document) -> tuple[list[int], list[int]]:
    begins: list[int] = []
    ends: list[int] = []
    for match in re.finditer(rf"{re.escape(BEGIN)}|{re.escape(END)}", document.text):
        line = document.line_of(match.start())
        if document.source.line_text(line).strip() != match.group():
            continue  # prose about the markers
        if any(match.start() in range(f.span.start, f.span.end) for f in document.fences):
            continue
        (begins if match.group() == BEGIN else ends).append(line)
    return begins, ends


def _markers(document: Document) -> tuple[int, int]:
    begins, ends = _marker_lines(document)
    path = document.path
    if not begins and not ends:
        raise IndexMarkersInvalid(path, "has no markers for the table")
    if len(begins) > 1 or len(ends) > 1:
        line = (begins if len(begins) > 1 else ends)[1]
        raise IndexMarkersInvalid(path, "has a marker twice", line)
    if not begins or not ends:
        raise IndexMarkersInvalid(path, "has one of the two markers only", (begins or ends)[0])
    if ends[0] < begins[0]:
        raise IndexMarkersInvalid(path, "has the end marker before the begin marker", ends[0])
    return begins[0], ends[0]
