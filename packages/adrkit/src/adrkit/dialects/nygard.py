"""Michael Nygard's format as adr-tools writes it: ``# 1. Title``, ``Date:``, ``## Status``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from adrkit.dialects.base import (
    Header,
    Successor,
    document_title,
    header_fields,
    link_to,
    missing_status,
    named_section,
    read_consequences,
    reason_text,
    table_alternatives,
)
from adrkit.document import Document, Edit, Heading, Paragraph, Section
from adrkit.model import (
    Alternative,
    Consequences,
    SectionName,
    Status,
    StatusField,
    read_status,
    record_numbers,
)


class NygardDialect:
    name = "nygard"

    def matches(self, document: Document) -> bool:
        return _status_section(document) is not None

    def header(self, document: Document) -> Header:
        fields = header_fields(document, continued=False)
        return Header(document_title(document), fields.get("date"), _status(document), None, fields)

    def section_name(self, heading: Heading) -> SectionName | None:
        return named_section(heading)

    def alternatives(
        self, document: Document, sections: Mapping[SectionName, Section]
    ) -> tuple[Alternative, ...]:
        section = sections.get(SectionName.ALTERNATIVES)
        return table_alternatives(document, section) if section else ()

    def consequences(
        self, document: Document, sections: Mapping[SectionName, Section]
    ) -> Consequences:
        return read_consequences(document, sections)

    def status_edits(
        self, document: Document, status: Status, successor: Successor | None, reason: str | None
    ) -> list[Edit]:
        paragraphs = _status_paragraphs(document)
        if not paragraphs:
            raise missing_status(document)
        first = paragraphs[0]
        line = document.source.line_span(first.line)
        edits = []
        if successor is None:
            text = status.value
        else:  # adr-tools replaces the word by the link, in the spelling of today
            own = document.path or successor.path
            text = "Superseded by " + link_to(
                successor, own, f"{successor.number}. {successor.title}"
            )
        edits.append(Edit(line, text))
        if reason:
            last = document.line_of(max(paragraphs[-1].span.end - 1, 0))
            edits.append(
                document.insert_after_line(last, "", f"Reason: {reason_text(status, reason)}")
            )
        return edits

    def relation_edits(
        self, document: Document, label: str, other: Successor, own_path: Path
    ) -> list[Edit]:
        paragraphs = _status_paragraphs(document)
        if not paragraphs:
            raise missing_status(document)
        for paragraph in paragraphs:
            if paragraph.text.casefold().startswith(label.casefold()) and (
                other.number in record_numbers(paragraph.text)
            ):
                return []
        if label.casefold() == "superseded by":
            return []  # the status line itself says it
        last = document.line_of(max(paragraphs[-1].span.end - 1, 0))
        link = link_to(other, own_path, f"{other.number}. {other.title}")
        return [document.insert_after_line(last, "", f"{label} {link}")]


def _status_section(document: Document) -> Section | None:
    for section in document.sections:
        if section.heading.level == 2 and named_section(section.heading) is SectionName.STATUS:
            return section
    return None


def _status_paragraphs(document: Document) -> tuple[Paragraph, ...]:
    section = _status_section(document)
    return Document.within(document.paragraphs, section.own) if section else ()


def _status(document: Document) -> StatusField | None:
    """The first line says the status; relations may follow in further lines and paragraphs."""
    paragraphs = _status_paragraphs(document)
    if not paragraphs:
        return None
    whole = "\n".join(paragraph.text for paragraph in paragraphs)
    first = paragraphs[0]
    line = document.source.line_span(first.line)
    read = read_status(whole, first.span, first.line)
    raw = document.slice(line).strip()
    own = read_status(raw, line, first.line)
    return StatusField(
        own.kind, own.word, raw, own.note, read.successors, read.supersedes, line, first.line
    )
