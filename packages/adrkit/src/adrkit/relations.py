"""What a record declares of other records: in its status, its metadata and under Related."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from adrkit.dialects.status import line_of_number, link_target
from adrkit.document import Document, Span, plain
from adrkit.model import Field, Relation, RelationKind, SectionName
from adrkit.vocabulary import leading_records, relation_values

if TYPE_CHECKING:
    from adrkit.record import Record

_KEYS = {
    "superseded by": RelationKind.SUPERSEDED_BY, "supersedes": RelationKind.SUPERSEDES,
    "amended by": RelationKind.AMENDED_BY, "amends": RelationKind.AMENDS,
}  # fmt: skip
_LABEL = re.compile(
    r"[*_\s\[]*(?:this (?:adr|decision|record)\s+)?"
    r"(?P<words>super[cs]e+d\w*\s+by|replaced\s+by|super[cs]e+d?es|replaces"
    r"|amended\s+by|amends)\b[*_]*\s*:?[*_]*\s*",
    re.IGNORECASE,
)


def declared_relations(record: Record) -> Iterator[Relation]:
    """In the order status, metadata, Related; the same relation may be there twice."""
    yield from record.header.relations
    metadata = record.header.metadata
    for name, kind in _KEYS.items():
        for item in metadata.all(name):
            yield from _of_field(record.document, kind, item)
    for entry in record.related:
        if entry.label:
            yield from _of_text(f"{entry.label}: {entry.value}", entry.span, entry.line)
        else:
            yield from _of_text(entry.value, entry.span, entry.line)
    status = record.sections.get(SectionName.STATUS)
    for listed in Document.within(record.document.list_items, status.own) if status else ():
        if ":" in listed.text:  # "* Superseded by: ADR-0007"; without a colon the status has it
            yield from _of_text(listed.text, listed.span, listed.line)


def _of_field(document: Document, kind: RelationKind, item: Field) -> Iterator[Relation]:
    numbers, _ = relation_values(item.values or (item.value,))
    for number in numbers:
        line = line_of_number(document, item.span, number)
        yield Relation(kind, number, link_target(item.value, number), item.span, line)


def _of_text(text: str, span: Span, line: int) -> Iterator[Relation]:
    match = _LABEL.match(text)
    if match is None:
        return
    words = plain(match["words"]).casefold()
    if words.endswith("by"):
        kind = RelationKind.AMENDED_BY if words.startswith("am") else RelationKind.SUPERSEDED_BY
    else:
        kind = RelationKind.AMENDS if words.startswith("am") else RelationKind.SUPERSEDES
    for number in leading_records(text[match.end() :]):
        yield Relation(kind, number, link_target(text, number), span, line)
