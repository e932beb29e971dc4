"""What a dialect is: where one record format keeps title, status, sections and options."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from adrkit.dialects.metadata import Metadata, read_metadata
from adrkit.dialects.status import read_statuses
from adrkit.document import Document, Edit, Heading, ListItem, Section, Span, plain
from adrkit.model import (
    Alternative,
    Consequences,
    Field,
    FieldPlace,
    Relation,
    SectionName,
    Status,
    StatusField,
    Title,
)
from adrkit.reading import DEFAULT_READING, Reading
from adrkit.vocabulary import heading_words, read_title, read_verdict


@dataclass(frozen=True, slots=True)
class Header:
    """The metadata of a record, each part None when the record does not have it.

    ``fields`` holds every metadata line by its casefolded key, known or not. ``statuses`` are all
    statements of the status, one of which is ``status``; ``relations`` are what these declare.
    """

    title: Title | None
    date: Field | None
    status: StatusField | None
    context_link: Field | None
    fields: Mapping[str, Field] = field(default_factory=dict)
    status_place: FieldPlace = FieldPlace.LINE
    statuses: tuple[StatusField, ...] = ()
    is_history: bool = False
    relations: tuple[Relation, ...] = ()
    metadata: Metadata = field(default_factory=lambda: Metadata(DEFAULT_READING))


@dataclass(frozen=True, slots=True)
class Successor:
    """Names a record for the texts that dialects write."""

    number: int
    title: str
    path: Path


class Dialect(Protocol):
    """One record format. Implementations are registered in ``adrkit.dialects``; they know nothing
    but how the project wants its records read."""

    name: str
    reading: Reading

    def matches(self, document: Document) -> bool: ...

    def header(self, document: Document) -> Header: ...

    def section_name(self, heading: Heading) -> SectionName | None:
        """Canonical name of a heading, None when it has none."""
        ...

    def alternatives(
        self, document: Document, sections: Mapping[SectionName, Section]
    ) -> tuple[Alternative, ...]: ...

    def consequences(
        self, document: Document, sections: Mapping[SectionName, Section]
    ) -> Consequences: ...

    def status_edits(
        self, document: Document, status: Status, successor: Successor | None, reason: str | None
    ) -> list[Edit]:
        """Edits that set the status. Raises EditNotPossible when there is no status to edit."""
        ...

    def relation_edits(
        self, document: Document, label: str, other: Successor, own_path: Path
    ) -> list[Edit]:
        """Edits that add "Supersedes" or "Superseded by" ``other`` unless it is there already."""
        ...


SECTION_NAMES: Mapping[str, SectionName] = {
    "status": SectionName.STATUS,
    "decision": SectionName.DECISION,
    "decision outcome": SectionName.DECISION,
    "context": SectionName.CONTEXT,
    "context and problem statement": SectionName.CONTEXT,
    "problem": SectionName.CONTEXT,
    "decision drivers": SectionName.DRIVERS,
    "alternatives considered": SectionName.ALTERNATIVES,
    "alternatives": SectionName.ALTERNATIVES,
    "considered options": SectionName.ALTERNATIVES,
    "options considered": SectionName.ALTERNATIVES,
    "considered alternatives": SectionName.ALTERNATIVES,
    "pros and cons of the options": SectionName.ALTERNATIVES_DETAIL,
    "decision rationale": SectionName.RATIONALE,
    "rationale": SectionName.RATIONALE,
    "consequences": SectionName.CONSEQUENCES,
    "positive": SectionName.POSITIVE,
    "positive consequences": SectionName.POSITIVE,
    "negative": SectionName.NEGATIVE,
    "negative consequences": SectionName.NEGATIVE,
    "negative / risks": SectionName.NEGATIVE,
    "risks & mitigations": SectionName.RISKS,
    "risks and mitigations": SectionName.RISKS,
    "risks": SectionName.RISKS,
    "implementation notes": SectionName.IMPLEMENTATION,
    "implementation": SectionName.IMPLEMENTATION,
    "confirmation": SectionName.CONFIRMATION,
    "validation": SectionName.CONFIRMATION,
    "related": SectionName.RELATED,
    "links": SectionName.RELATED,
    "more information": SectionName.RELATED,
    "references": SectionName.RELATED,
    "related decisions": SectionName.RELATED,
    "related adrs": SectionName.RELATED,
    "related records": SectionName.RELATED,
    "relationship to existing adrs": SectionName.RELATED,
    "relationship to other adrs": SectionName.RELATED,
    "see also": SectionName.RELATED,
    "appendix": SectionName.APPENDIX,
}


def named_section(heading: Heading, reading: Reading) -> SectionName | None:
    """By heading text alone: case, emphasis, numbers, symbols and MADR 2's ``<!-- optional -->`` do
    not matter."""
    text = heading_words(heading.text).casefold()
    return reading.section_names.get(text) or SECTION_NAMES.get(text)


def document_title(document: Document) -> Title | None:
    """The first level-1 heading, else the front matter's ``title``, else a heading above all
    sections that has the number."""
    for heading in document.headings:
        if heading.level == 1 and not heading.nested:
            return read_title(heading.text, heading.text_span, heading.line)
    entry = document.front_matter.entry("title") if document.front_matter else None
    if entry is not None and entry.text.strip():
        text, span = entry.text, entry.span
        if (low := document.text.find(text, span.start, span.end)) >= 0:
            span = Span(low, low + len(text))
        return read_title(text, span, document.line_of(span.start))
    first = next((heading for heading in document.headings if not heading.nested), None)
    if first is not None:
        title = read_title(first.text, first.text_span, first.line)
        return title if title.number is not None and title.text else None
    return None


def has_bold_status(document: Document, reading: Reading) -> bool:
    """Whether the status is a ``**Status:**`` line, which is the house template's form."""
    status = read_metadata(document, reading).get("status")
    return (
        status is not None
        and status.place is FieldPlace.LINE
        and "**" in document.source.line_text(status.line)
    )


class ReadsMetadata:
    """What all dialects have in common: metadata is looked for everywhere."""

    def __init__(self, reading: Reading = DEFAULT_READING) -> None:
        self.reading = reading

    def section_name(self, heading: Heading) -> SectionName | None:
        return named_section(heading, self.reading)

    def header(self, document: Document) -> Header:
        metadata = read_metadata(document, self.reading)
        statuses = read_statuses(document, metadata, self.reading)
        date = metadata.get("date")
        status = statuses.status
        if date is None and status is not None and status.day:
            date = _day_of(document, status, statuses.place)
        return Header(
            document_title(document), date, status, metadata.get("context"), metadata.fields,
            statuses.place, statuses.all, statuses.history, statuses.relations, metadata,
        )  # fmt: skip


def _day_of(document: Document, status: StatusField, place: FieldPlace) -> Field | None:
    """The day beside the status, "Accepted (2026-01-31)", as the record's date."""
    line = document.source.line_span(status.line)
    low = document.text.find(status.day or "", line.start, line.end)
    if low < 0 or not status.day:
        return None
    span = Span(low, low + len(status.day))
    return Field("date", status.day, span, status.line, status.span, place)


# --- alternatives ---------------------------------------------------------------------------


def table_alternatives(document: Document, section: Section) -> tuple[Alternative, ...]:
    """Alternatives from the first table of the section; verdict by header, else last column."""
    tables = Document.within(document.tables, section.body)
    if not tables:
        return ()
    table = tables[0]
    approach_column = table.column("approach", "option", "alternative", "options", "name") or 0
    pros_column = table.column("pros", "advantages", "benefits")
    cons_column = table.column("cons", "disadvantages", "risk", "drawbacks")
    verdict_column = table.column("verdict", "decision", "outcome", "result")
    found = []
    for row in table.rows:

        def text(column: int | None) -> str | None:
            cell = row.cell(column) if column is not None else None  # noqa: B023 - used at once
            return cell.text if cell else None

        verdict_cell = row.cell(verdict_column) if verdict_column is not None else None
        verdict = (
            read_verdict(verdict_cell.text, verdict_cell.span, verdict_cell.line)
            if verdict_cell
            else None
        )
        found.append(
            Alternative(
                plain(text(approach_column) or ""), text(pros_column), text(cons_column), verdict,
                row.span, row.line, row.raw_cell_count, table.column_count,
            )
        )  # fmt: skip
    return tuple(found)


_TONE = re.compile(r"[*_]*(good|bad|neutral)[*_]*\s*[,:]", re.IGNORECASE)


def tone(item: ListItem) -> str | None:
    """ "good", "bad" or "neutral" of a MADR item "Good, because ..."."""
    match = _TONE.match(item.text)
    return match.group(1).casefold() if match else None


def items_in(document: Document, span: Span) -> tuple[ListItem, ...]:
    return tuple(item for item in Document.within(document.list_items, span) if item.depth == 0)


def read_consequences(document: Document, sections: Mapping[SectionName, Section]) -> Consequences:
    """By the sub-sections Positive and Negative, else by MADR 4's "Good/Bad, because"."""
    positive: list[ListItem] = []
    negative: list[ListItem] = []
    other: list[ListItem] = []
    claimed: list[Span] = []
    for name, side in ((SectionName.POSITIVE, positive), (SectionName.NEGATIVE, negative)):
        if section := sections.get(name):
            side.extend(items_in(document, section.body))
            claimed.append(section.span)
    if section := sections.get(SectionName.RISKS):
        claimed.append(section.span)
    if section := sections.get(SectionName.CONSEQUENCES):
        for item in items_in(document, section.body):
            if any(item.span in span for span in claimed):
                continue
            {"good": positive, "bad": negative}.get(tone(item) or "", other).append(item)
    return Consequences(tuple(positive), tuple(negative), tuple(other))
