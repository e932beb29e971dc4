"""A record cut into pieces: each heading with the text up to the next heading."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from adrkit.document import Document, Edit, Heading, Source, Span
from adrkit.model import SectionName
from adrkit.record import Record

# Sub-sections that may go elsewhere than the section around them.
_MOVABLE = {
    SectionName.CONSEQUENCES,
    SectionName.POSITIVE,
    SectionName.NEGATIVE,
    SectionName.RISKS,
    SectionName.CONFIRMATION,
}
_KEPT_WHOLE = {SectionName.APPENDIX, SectionName.ALTERNATIVES_DETAIL, SectionName.STATUS}


@dataclass(frozen=True, slots=True)
class Piece:
    """``target`` is the section the piece belongs to; ``top`` is the piece with that section's
    own heading, itself for the first. ``body`` ends before the next heading."""

    heading: Heading | None
    body: Span
    target: SectionName
    top: Heading | None

    @property
    def is_top(self) -> bool:
        return self.heading is self.top


def read_pieces(record: Record) -> tuple[Piece | None, tuple[Piece, ...]]:
    """The head (title and what stands above the first section), then all other pieces.

    The head is None when the text begins with a section.
    """
    document = record.document
    headings = [heading for heading in document.headings if not heading.nested]
    start = document.front_matter.span.end if document.front_matter else 0
    title = record.title
    if headings and title and headings[0].text_span == title.span:
        end = headings[1].span.start if len(headings) > 1 else len(document.text)
        head = Piece(headings[0], Span(headings[0].span.end, end), SectionName.CONTEXT, headings[0])
        lead = Span(start, headings[0].span.start)
        pieces = list(_sections(record, headings[1:]))
        if document.slice(lead).strip():
            pieces.insert(0, Piece(None, lead, SectionName.CONTEXT, None))
        return head, tuple(pieces)
    end = headings[0].span.start if headings else len(document.text)
    lead = Span(start, end)
    pieces = list(_sections(record, headings))
    return Piece(None, lead, SectionName.CONTEXT, None), tuple(pieces)


def _sections(record: Record, headings: Sequence[Heading]) -> Iterable[Piece]:
    stack: list[tuple[int, SectionName, Heading]] = []
    ends = [*(heading.span.start for heading in headings[1:]), len(record.document.text)]
    for heading, end in zip(headings, ends, strict=False):  # no heading, no piece
        while stack and stack[-1][0] >= heading.level:
            stack.pop()
        name = record.dialect.section_name(heading) if heading.level >= 2 else None
        if name is not None and stack and stack[-1][0] == 1:
            stack.pop()  # a second title: its sections are sections all the same
        parent = stack[-1] if stack else None
        if parent is not None and (
            name is None or parent[1] in _KEPT_WHOLE or name not in _MOVABLE
        ):
            target, top = parent[1], parent[2]
        else:
            target, top = name or SectionName.APPENDIX, heading
        stack.append((heading.level, target, top))
        yield Piece(heading, Span(heading.span.end, end), target, top)


class Fragments:
    """Pieces of the source as text: links mended, line ends LF, blank lines around removed."""

    def __init__(self, document: Document, edits: Sequence[Edit]) -> None:
        self._document = document
        self._edits = edits

    def text(self, span: Span, *, without: Sequence[Span] = ()) -> str:
        """Text of ``span`` without the parts in ``without``."""
        parts = []
        start = span.start
        for gap in sorted(without, key=lambda part: part.start):
            parts.append(self._edited(Span(start, gap.start)))
            start = max(start, gap.end)
        parts.append(self._edited(Span(start, span.end)))
        return trimmed("".join(parts))

    def line(self, span: Span) -> str:
        """Text of ``span`` on one line."""
        return " ".join(self.text(span).split())

    def _edited(self, span: Span) -> str:
        if span.end <= span.start:
            return ""
        inside = [
            Edit(Span(edit.span.start - span.start, edit.span.end - span.start), edit.text)
            for edit in self._edits
            if edit.span in span
        ]
        text = self._document.slice(span)
        if inside:
            text = Source(text).edited(inside).text
        return text.replace("\r\n", "\n").replace("\r", "\n")


def trimmed(text: str) -> str:
    """Without blank lines at both ends; the first line keeps its indent."""
    return re.sub(r"\A(?:[^\S\n]*\n)+", "", text).rstrip()


def leaks(text: str) -> bool:
    """Whether a heading after ``text`` would not be one: an open fence, comment or HTML block."""
    probe = Document.from_text(f"{text}\n\n## probe\n")
    return not probe.headings or probe.headings[-1].text != "probe" or probe.headings[-1].nested
