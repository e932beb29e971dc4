"""What a dialect is: where one record format keeps title, status, sections and options."""

from __future__ import annotations

import os.path
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from adrkit.document import Document, Edit, Heading, ListItem, Section, Span, plain
from adrkit.errors import EditNotPossible
from adrkit.model import (
    Alternative,
    Consequences,
    Field,
    SectionName,
    Status,
    StatusField,
    Title,
    read_status,
    read_title,
    read_verdict,
)


@dataclass(frozen=True, slots=True)
class Header:
    """The metadata of a record, each part None when the record does not have it.

    ``fields`` holds every metadata line by its casefolded key, known or not.
    """

    title: Title | None
    date: Field | None
    status: StatusField | None
    context_link: Field | None
    fields: Mapping[str, Field] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Successor:
    """Names a record for the texts that dialects write."""

    number: int
    title: str
    path: Path


class Dialect(Protocol):
    """One record format. Implementations are stateless and registered in ``adrkit.dialects``."""

    name: str

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
    "appendix": SectionName.APPENDIX,
}


def named_section(heading: Heading) -> SectionName | None:
    """By heading text alone: case, emphasis and MADR 2's ``<!-- optional -->`` do not matter."""
    text = re.sub(r"<!--.*?-->", "", heading.text)
    return SECTION_NAMES.get(plain(text).rstrip(":").casefold())


def document_title(document: Document) -> Title | None:
    """The first level-1 heading; a record without one has no title."""
    for heading in document.headings:
        if heading.level == 1 and not heading.nested:
            return read_title(heading.text, heading.text_span, heading.line)
    return None


def head_end(document: Document) -> int:
    """Offset where the header ends: the first level-2 heading, or the end of the text."""
    for heading in document.headings:
        if heading.level >= 2 and not heading.nested:
            return heading.span.start
    return len(document.text)


# `**Key:** value`, `**Key**: value`, `* Key: value` (MADR 2) and `Key: value`, one per line.
_FIELD_LINE = re.compile(
    r"[ \t]*(?:[-*+][ \t]+)?"
    r"(?:\*\*(?P<bold>[^*:\r\n]+?)(?::\*\*|\*\*[ \t]*:)|(?P<bare>[A-Z][\w ]{0,30}?):(?=[ \t]|$))"
    r"[ \t]*(?P<value>.*)"
)


def header_fields(document: Document, *, continued: bool) -> dict[str, Field]:
    """Metadata lines of the paragraphs and lists before the first section, by casefolded key.

    With ``continued`` a value runs over the following lines of its paragraph, as Markdown
    renders it, up to the next field.
    """
    fields: dict[str, Field] = {}
    end = head_end(document)
    source = document.source
    for paragraph in document.paragraphs:
        if paragraph.span.start >= end:
            break
        last: Field | None = None
        for line in range(paragraph.line, source.line_of(max(paragraph.span.end - 1, 0)) + 1):
            start = source.line_span(line).start
            text = source.line_text(line)
            match = _FIELD_LINE.match(text)
            if match is None:
                if last is not None and continued and text.strip():
                    stop = start + len(text.rstrip())
                    span = Span(last.span.start, stop)
                    value = " ".join(document.slice(span).split())
                    last = Field(last.key, value, span, last.line, last.key_span)
                    fields[last.key.casefold()] = last
                continue
            group = "bold" if match["bold"] else "bare"
            value = match["value"].strip()
            low = start + match.start("value")
            key_span = Span(start + match.start(group), start + match.end(group))
            last = Field(match[group].strip(), value, Span(low, low + len(value)), line, key_span)
            if last.key.casefold() in fields:
                last = None  # the first one counts
            else:
                fields[last.key.casefold()] = last
    return fields


def status_of(status: Field | None) -> StatusField | None:
    return read_status(status.value, status.span, status.line) if status else None


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


# --- edits ----------------------------------------------------------------------------------


def one_line(text: str) -> str:
    return " ".join(text.split())


def reason_text(status: Status, reason: str) -> str:
    """A reason says which move it belongs to: later moves add theirs and keep this one."""
    return f"{status.value} - {one_line(reason)}"


def missing_status(document: Document) -> EditNotPossible:
    return EditNotPossible(document.path, "status to edit", "add a status line by hand first")


def link_to(other: Successor, own_path: Path, text: str) -> str:
    """Markdown link from the record at ``own_path`` to ``other``, relative, with ``/``."""
    target = other.path.name
    if other.path.parent != own_path.parent:
        target = Path(os.path.relpath(other.path, own_path.parent)).as_posix()
    return f"[{text}]({target.replace(' ', '%20')})"
