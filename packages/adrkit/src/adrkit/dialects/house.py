"""The house template: ``**Date:**``, ``**Status:**`` and ``**Context:**`` lines under the title."""

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
    status_of,
    table_alternatives,
)
from adrkit.document import Document, Edit, Heading, Section, Span
from adrkit.model import Alternative, Consequences, SectionName, Status, record_numbers


class HouseDialect:
    name = "house"

    def matches(self, document: Document) -> bool:
        fields = header_fields(document, continued=False)
        status = fields.get("status")
        return status is not None and "**" in document.source.line_text(status.line)

    def header(self, document: Document) -> Header:
        fields = header_fields(document, continued=True)
        return Header(
            document_title(document), fields.get("date"), status_of(fields.get("status")),
            fields.get("context"), fields,
        )  # fmt: skip

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
        header = self.header(document)
        if header.status is None:
            raise missing_status(document)
        text = f"Superseded by ADR-{successor.number:04d}" if successor else status.value
        field = header.fields["status"]
        edits = []
        if reason:
            edits = _reason_edits(document, header, reason_text(status, reason))
        edits.append(Edit(field.span, text if field.value else f" {text}"))
        return edits

    def relation_edits(
        self, document: Document, label: str, other: Successor, own_path: Path
    ) -> list[Edit]:
        link = link_to(other, own_path, f"ADR-{other.number:04d}")
        line = f"- **{label}:** {link}"
        sections = [s for s in document.sections if named_section(s.heading) is SectionName.RELATED]
        if not sections:
            return _related_section(document, line)
        section = sections[0]
        items = [i for i in Document.within(document.list_items, section.body) if i.depth == 0]
        for item in items:
            if not item.text.casefold().startswith(f"**{label.casefold()}:**"):
                continue
            if other.number in record_numbers(item.text):
                return []
            value = item.text[len(label) + 5 :].strip()
            start = document.text.index(":**", item.span.start) + 3
            if not value or value.startswith("[Link to") or value.casefold() in _NOTHING:
                return [Edit(Span(start, item.span.end), f" {link}")]
            return [Edit(Span(item.span.end, item.span.end), f", {link}")]
        if items:
            last = document.line_of(max(items[-1].span.end - 1, 0))
            return [document.insert_after_line(last, line)]
        return [document.insert_after_line(section.line, "", line)]


# Ways in which people write that there is nothing to link.
_NOTHING = {"-", "–", "—", "none", "none.", "n/a", "n/a."}


def _reason_edits(document: Document, header: Header, reason: str) -> list[Edit]:
    existing = header.fields.get("reason")
    if existing is not None:
        end = Span(existing.span.end, existing.span.end)
        return [Edit(end, f"; {reason}" if existing.value else f" {reason}")]
    status = header.fields["status"]
    line = document.line_of(max(status.span.end - 1, status.span.start))
    # A header line that ends in two spaces is a hard break; the new line follows the habit.
    ending = "  " if document.source.line_text(line).endswith("  ") else ""
    return [document.insert_after_line(line, f"**Reason:** {reason}{ending}")]


def _related_section(document: Document, line: str) -> list[Edit]:
    """A Related section before the appendix, else at the end of the record."""
    for section in document.sections:
        if named_section(section.heading) is SectionName.APPENDIX:
            eol = document.source.eol
            text = f"## Related{eol}{eol}{line}{eol}{eol}"
            return [Edit(Span(section.span.start, section.span.start), text)]
    eol = document.source.eol
    end = len(document.text)
    text = f"{eol}## Related{eol}{eol}{line}"
    if document.text.endswith(("\n", "\r")):
        return [Edit(Span(end, end), text + eol)]
    return [Edit(Span(end, end), eol + text)]
