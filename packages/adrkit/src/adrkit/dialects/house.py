"""The house template: ``**Date:**``, ``**Status:**`` and ``**Context:**`` lines under the title."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from adrkit.dialects.base import (
    ReadsMetadata,
    Successor,
    has_bold_status,
    read_consequences,
    table_alternatives,
)
from adrkit.dialects.edits import link_to, reason_edit, reason_text, stated, status_edit
from adrkit.document import Document, Edit, Section, Span
from adrkit.model import Alternative, Consequences, SectionName, Status
from adrkit.vocabulary import record_numbers


class HouseDialect(ReadsMetadata):
    name = "house"

    def matches(self, document: Document) -> bool:
        return has_bold_status(document, self.reading)

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
        stated(document, header)
        text = f"Superseded by ADR-{successor.number:04d}" if successor else status.value
        edits = []
        if reason:
            text_of = reason_text(status, reason)
            edits.append(reason_edit(document, header, text_of, self.reading))
        edits.append(status_edit(document, header, text, self.reading))
        return edits

    def relation_edits(
        self, document: Document, label: str, other: Successor, own_path: Path
    ) -> list[Edit]:
        link = link_to(other, own_path, f"ADR-{other.number:04d}")
        line = f"- **{label}:** {link}"
        sections = [
            s for s in document.sections if self.section_name(s.heading) is SectionName.RELATED
        ]
        if not sections:
            return self._related_section(document, line)
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

    def _related_section(self, document: Document, line: str) -> list[Edit]:
        """A Related section before the appendix, else at the end of the record."""
        eol = document.source.eol
        for section in document.sections:
            if self.section_name(section.heading) is SectionName.APPENDIX:
                text = f"## Related{eol}{eol}{line}{eol}{eol}"
                return [Edit(Span(section.span.start, section.span.start), text)]
        end = len(document.text)
        text = f"{eol}## Related{eol}{eol}{line}"
        if document.text.endswith(("\n", "\r")):
            return [Edit(Span(end, end), text + eol)]
        return [Edit(Span(end, end), eol + text)]


# Ways in which people write that there is nothing to link.
_NOTHING = {"-", "–", "—", "none", "none.", "n/a", "n/a."}
