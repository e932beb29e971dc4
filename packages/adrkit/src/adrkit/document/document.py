"""A Markdown document that is read for its structure and edited by spans, never re-rendered."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol, TypeVar, cast

from adrkit.bounded import read_bounded
from adrkit.document.blocks import BlockKind, parse_blocks
from adrkit.document.front_matter import FrontMatter, read_front_matter
from adrkit.document.inline import CodeSpan, Link, plain, scan_inline
from adrkit.document.source import Edit, Position, Source, Span
from adrkit.document.tables import Table, read_table
from adrkit.errors import UnreadableFile


@dataclass(frozen=True, slots=True)
class Heading:
    """``text`` is Markdown; ``text_span`` covers it; ``nested``: inside a list or quotation."""

    level: int
    text: str
    span: Span
    text_span: Span
    line: int
    nested: bool

    @property
    def plain(self) -> str:
        return plain(self.text)


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what follows: ``body`` up to the next heading of its level or higher,
    ``own`` only up to the next heading of any level."""

    heading: Heading
    span: Span
    body: Span
    own: Span

    @property
    def line(self) -> int:
        return self.heading.line


@dataclass(frozen=True, slots=True)
class Fence:
    """A fenced code block; ``content_line`` is the file line of ``content``'s first line."""

    info: str
    content: str
    span: Span
    line: int
    content_line: int
    nested: bool

    @property
    def language(self) -> str:
        return self.info.split(maxsplit=1)[0] if self.info.strip() else ""


@dataclass(frozen=True, slots=True)
class Paragraph:
    text: str
    span: Span
    line: int
    nested: bool


@dataclass(frozen=True, slots=True)
class ListItem:
    """``text`` is the item's Markdown without marker, its nested lists included."""

    text: str
    span: Span
    line: int
    depth: int


class _HasSpan(Protocol):
    @property
    def span(self) -> Span: ...


_Spanned = TypeVar("_Spanned", bound=_HasSpan)
_Read = TypeVar("_Read")

_ATX = re.compile(r"[ \t]*#{1,6}(?:[ \t]+|$)")
_ATX_CLOSE = re.compile(r"(?:^|[ \t]+)#+[ \t]*$")
_MARKER = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]?")


@dataclass(frozen=True, slots=True)
class _Structure:
    headings: tuple[Heading, ...]
    fences: tuple[Fence, ...]
    tables: tuple[Table, ...]
    paragraphs: tuple[Paragraph, ...]
    list_items: tuple[ListItem, ...]
    html_blocks: tuple[Span, ...]
    inline_spans: tuple[Span, ...]
    references: dict[str, str]


class Document:
    """Bytes in, the identical bytes out; structure is parsed when first asked for.

    Immutable: ``edit`` returns a new document. All spans count characters of ``text`` (the file
    without byte order mark); all lines count from 1.
    """

    def __init__(self, source: Source, path: Path | None = None) -> None:
        self.source = source
        self.path = path

    @classmethod
    def from_bytes(cls, data: bytes, path: Path | None = None) -> Document:
        """Raises NotUtf8."""
        return cls(Source.from_bytes(data, path), path)

    @classmethod
    def from_text(cls, text: str, path: Path | None = None) -> Document:
        return cls(Source(text), path)

    @classmethod
    def read(cls, path: Path) -> Document:
        """Raises UnreadableFile or NotUtf8."""
        try:
            data = read_bounded(path)
        except OSError as error:
            raise UnreadableFile(path, error.strerror or str(error)) from error
        return cls.from_bytes(data, path)

    def to_bytes(self) -> bytes:
        return self.source.to_bytes()

    @property
    def text(self) -> str:
        return self.source.text

    def slice(self, span: Span) -> str:
        return self.source.text[span.start : span.end]

    def line_of(self, offset: int) -> int:
        return self.source.line_of(offset)

    def position(self, offset: int) -> Position:
        return self.source.position(offset)

    # -- edits -------------------------------------------------------------------------------

    def edit(self, *edits: Edit) -> Document:
        """Raises OverlappingEdits."""
        return Document(self.source.edited(edits), self.path)

    def insert_after_line(self, line: int, *lines: str) -> Edit:
        """Edit that adds whole lines after ``line`` (0: at the top) in its line ending.

        A missing newline at the end of the file stays missing.
        """
        if line == 0:
            eol = self.source.eol
            return Edit(Span(0, 0), "".join(text + eol for text in lines))
        end = self.source.line_span(line).end
        eol = self.source.eol_at(line)
        return Edit(Span(end, end), "".join(eol + text for text in lines))

    def remembered(self, key: object, read: Callable[[], _Read]) -> _Read:
        """What ``read`` gives, called once for each ``key``: documents do not change."""
        if key not in self._memory:
            self._memory[key] = read()
        return cast("_Read", self._memory[key])

    @cached_property
    def _memory(self) -> dict[object, object]:
        return {}

    # -- structure ---------------------------------------------------------------------------

    @cached_property
    def front_matter(self) -> FrontMatter | None:
        return read_front_matter(self.text)

    @cached_property
    def _structure(self) -> _Structure:
        return _read_structure(self.source, self.front_matter)

    @property
    def headings(self) -> tuple[Heading, ...]:
        """All headings outside code, in order; those with ``nested`` open no section."""
        return self._structure.headings

    @property
    def fences(self) -> tuple[Fence, ...]:
        return self._structure.fences

    @property
    def tables(self) -> tuple[Table, ...]:
        return self._structure.tables

    @property
    def paragraphs(self) -> tuple[Paragraph, ...]:
        return self._structure.paragraphs

    @property
    def list_items(self) -> tuple[ListItem, ...]:
        """Items of all lists in order; an item of ``depth`` 0 is not inside another."""
        return self._structure.list_items

    @property
    def html_blocks(self) -> tuple[Span, ...]:
        return self._structure.html_blocks

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        headings = [heading for heading in self.headings if not heading.nested]
        end = len(self.text)
        ends_by_level = [end] * 7  # where a section of level i ends, walking backwards
        found: list[Section] = []
        following = end
        for heading in reversed(headings):
            until = ends_by_level[heading.level]
            found.append(
                Section(
                    heading,
                    Span(heading.span.start, until),
                    Span(heading.span.end, until),
                    Span(heading.span.end, following),
                )
            )
            following = heading.span.start
            for level in range(heading.level, 7):
                ends_by_level[level] = following
        return tuple(reversed(found))

    @cached_property
    def _inline(self) -> tuple[tuple[CodeSpan, ...], tuple[Link, ...]]:
        codes: list[CodeSpan] = []
        links: list[Link] = []
        line_of = self.source.line_of
        for span in self._structure.inline_spans:
            found = scan_inline(self.text, span, self._structure.references)
            codes += (CodeSpan(text, at, line_of(at.start)) for text, at in found.codes)
            links += (
                Link(kind, text, target, at, target_span, line_of(at.start))
                for kind, text, target, at, target_span in found.links
            )
        return tuple(codes), tuple(sorted(links, key=lambda link: link.span))

    @property
    def code_spans(self) -> tuple[CodeSpan, ...]:
        return self._inline[0]

    @property
    def links(self) -> tuple[Link, ...]:
        return self._inline[1]

    @property
    def prose_spans(self) -> tuple[Span, ...]:
        """Paragraphs, headings and table cells: everything that is neither code nor HTML."""
        return self._structure.inline_spans

    @staticmethod
    def within(items: Iterable[_Spanned], span: Span) -> tuple[_Spanned, ...]:
        """Those of ``items`` (tables, fences, links ...) that lie inside ``span``."""
        return tuple(item for item in items if item.span in span)


def _read_structure(source: Source, front_matter: FrontMatter | None) -> _Structure:
    text = source.text
    if front_matter:  # the parser sees blank lines there, so that line numbers stay
        blank = "\n" * (source.line_of(front_matter.span.end - 1) - 1)
        text = blank + text[front_matter.span.end :]
    blocks, references = parse_blocks(text)
    headings: list[Heading] = []
    fences: list[Fence] = []
    tables: list[Table] = []
    paragraphs: list[Paragraph] = []
    items: list[ListItem] = []
    html: list[Span] = []
    inline: list[Span] = []
    item_depth = 0
    for kind, first, after, nested, level, info, content in blocks:
        if kind is BlockKind.ITEM_END:
            item_depth -= 1
        elif kind is BlockKind.HEADING:
            heading = _read_heading(source, level, first, after, nested)
            headings.append(heading)
            inline.append(heading.text_span)
        elif kind is BlockKind.PARAGRAPH:
            span = _trimmed(source, first, after)
            paragraphs.append(Paragraph(source.text[span.start : span.end], span, first, nested))
            inline.append(span)
        elif kind is BlockKind.FENCE:
            span = _trimmed(source, first, after)
            fences.append(Fence(info, content, span, first, first + 1, nested))
        elif kind is BlockKind.TABLE:
            table = read_table(source, first, after, nested)
            tables.append(table)
            inline += (cell.span for row in (table.header, *table.rows) for cell in row.cells)
        elif kind is BlockKind.ITEM:
            items.append(_read_item(source, first, after, item_depth))
            item_depth += 1
        elif kind is BlockKind.HTML:
            html.append(_trimmed(source, first, after))
    return _Structure(
        tuple(headings), tuple(fences), tuple(tables), tuple(paragraphs), tuple(items),
        tuple(html), tuple(inline), references,
    )  # fmt: skip


def _trimmed(source: Source, first: int, after_last: int) -> Span:
    """Span of the lines without trailing blank lines and final line ending."""
    whole = source.lines_span(first, after_last)
    end = whole.end
    text = source.text
    while end > whole.start and text[end - 1].isspace():
        end -= 1
    return Span(whole.start, end)


def _read_heading(source: Source, level: int, first: int, after: int, nested: bool) -> Heading:
    span = source.lines_span(first, after)
    line = source.line_span(first)
    text = source.text[line.start : line.end]
    mark = _ATX.search(text) if nested else _ATX.match(text)
    if mark and after == first + 1:
        low, body = line.start + mark.end(), text[mark.end() :]
        body = _ATX_CLOSE.sub("", body)
    else:  # setext: everything above the underline
        low = line.start
        body = source.text[low : source.line_span(max(first, after - 2)).end]
    low += len(body) - len(body.lstrip())
    body = body.strip()
    return Heading(level, body, span, Span(low, low + len(body)), first, nested)


def _read_item(source: Source, first: int, after: int, depth: int) -> ListItem:
    span = _trimmed(source, first, after)
    text = source.text[span.start : span.end]
    marker = _MARKER.match(text)
    return ListItem(text[marker.end() :].strip() if marker else text, span, first, depth)
