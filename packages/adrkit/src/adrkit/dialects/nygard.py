"""Michael Nygard's format as adr-tools writes it: ``# 1. Title``, ``Date:``, ``## Status``."""

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
from adrkit.dialects.madr import related_edits
from adrkit.dialects.status import status_section
from adrkit.document import Document, Edit, Section
from adrkit.model import Alternative, Consequences, FieldPlace, SectionName, Status
from adrkit.vocabulary import record_numbers

# What makes a record one of this format without a Status section, its status in front matter.
_OWN = {SectionName.CONTEXT, SectionName.DECISION, SectionName.CONSEQUENCES}
_HOUSE = {SectionName.ALTERNATIVES, SectionName.RATIONALE, SectionName.RISKS}


class NygardDialect(ReadsMetadata):
    name = "nygard"

    def matches(self, document: Document) -> bool:
        if status_section(document, self.reading) is not None:
            return True
        names = {self.section_name(heading) for heading in document.headings}
        if not names >= _OWN or names & _HOUSE:
            return False
        return not has_bold_status(document, self.reading)

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
        in_section = header.status_place is FieldPlace.SECTION
        if successor is None:
            text = status.value
        elif not in_section:
            text = f"Superseded by ADR-{successor.number:04d}"
        else:  # adr-tools replaces the word by the link, in the spelling of today
            own = document.path or successor.path
            text = "Superseded by " + link_to(
                successor, own, f"{successor.number}. {successor.title}"
            )
        edits = [status_edit(document, header, text, self.reading)]
        if reason:
            text_of = reason_text(status, reason)
            edits.append(reason_edit(document, header, text_of, self.reading))
        return edits

    def relation_edits(
        self, document: Document, label: str, other: Successor, own_path: Path
    ) -> list[Edit]:
        section = status_section(document, self.reading)
        paragraphs = Document.within(document.paragraphs, section.own) if section else ()
        if not paragraphs:
            return related_edits(document, self.reading, label, other, own_path)
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
