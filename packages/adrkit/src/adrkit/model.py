"""What records are made of: the vocabulary shared by all dialects."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from adrkit.document import ListItem, Span, plain


class Status(StrEnum):
    PROPOSED = "Proposed"
    ACCEPTED = "Accepted"
    REJECTED = "Rejected"
    DEPRECATED = "Deprecated"
    SUPERSEDED = "Superseded"


class SectionName(StrEnum):
    """Canonical section names; each dialect maps its own headings onto them."""

    STATUS = "status"
    DECISION = "decision"
    CONTEXT = "context"
    DRIVERS = "drivers"
    ALTERNATIVES = "alternatives"
    ALTERNATIVES_DETAIL = "alternatives-detail"
    RATIONALE = "rationale"
    CONSEQUENCES = "consequences"
    POSITIVE = "positive"
    NEGATIVE = "negative"
    RISKS = "risks"
    IMPLEMENTATION = "implementation"
    CONFIRMATION = "confirmation"
    RELATED = "related"
    APPENDIX = "appendix"


class VerdictKind(StrEnum):
    CHOSEN = "chosen"
    REJECTED = "rejected"
    FUTURE = "future"


@dataclass(frozen=True, slots=True)
class Title:
    """Title of a record: ``text`` without number, ``raw`` the whole heading text as written.

    ``number`` is None when the heading has none; ``suffix`` is the letter of ``ADR-020a``.
    """

    text: str
    raw: str
    number: int | None
    suffix: str
    prefix: str  # everything before ``text``: "ADR-0001: ", "1. " or ""
    span: Span  # of ``raw``
    line: int


class FieldPlace(StrEnum):
    """Where a metadata value stands, which is how it has to be edited."""

    LINE = "line"  # `**Status:** x`, `* Status: x`
    FRONT_MATTER = "front matter"
    TABLE = "table"
    SECTION = "section"  # `## Status` and a paragraph


@dataclass(frozen=True, slots=True)
class Field:
    """A metadata value as written; ``span`` covers the value only, ``key_span`` its label.

    ``values`` are the items of a list, in front matter.
    """

    key: str
    value: str
    span: Span
    line: int
    key_span: Span
    place: FieldPlace = FieldPlace.LINE
    values: tuple[str, ...] = ()


class RelationKind(StrEnum):
    SUPERSEDES = "supersedes"
    SUPERSEDED_BY = "superseded-by"
    AMENDS = "amends"
    AMENDED_BY = "amended-by"


@dataclass(frozen=True, slots=True)
class DeclaredRelation:
    """A clause of a status: "supersedes ADR-NNNN". ``targets`` are links to records without a
    number; ``start`` and ``end`` are offsets in the status as written."""

    kind: RelationKind
    numbers: tuple[int, ...]
    targets: tuple[str, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class StatusField:
    """``kind`` is None when the first word is not in the vocabulary.

    ``word`` is that first word as written ("superceded" is understood as Superseded);
    ``note`` is what follows it, for example "implemented".
    """

    kind: Status | None
    word: str
    raw: str
    note: str
    successors: tuple[int, ...]  # numbers after "superseded by"
    supersedes: tuple[int, ...]  # numbers after "supersedes"
    span: Span
    line: int
    relations: tuple[DeclaredRelation, ...] = ()
    others: tuple[
        str, ...
    ] = ()  # further statuses of the same line: "Accepted" of "Draft/Accepted"
    day: str | None = None  # the day written beside the word
    misspelled: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """``kind`` is None when neither mark nor word says what became of the alternative.

    ``mark`` is the emoji written, or ""; ``reason`` is what follows the dash, or "".
    """

    kind: VerdictKind | None
    mark: str
    word: str
    reason: str
    raw: str
    span: Span
    line: int


@dataclass(frozen=True, slots=True)
class Alternative:
    """One option. ``raw_cell_count`` and ``column_count`` differ when a ``|`` split a cell;
    both are None when the alternatives are no table."""

    approach: str
    pros: str | None
    cons: str | None
    verdict: Verdict | None
    span: Span
    line: int
    raw_cell_count: int | None = None
    column_count: int | None = None


@dataclass(frozen=True, slots=True)
class Risk:
    """One row of the risk table; a value is None where the cell or column is missing.

    ``*_span`` are the spans of the cells, for edits.
    """

    risk: str
    impact: str | None
    likelihood: str | None
    mitigation: str | None
    impact_span: Span | None
    likelihood_span: Span | None
    span: Span
    line: int
    raw_cell_count: int
    column_count: int


@dataclass(frozen=True, slots=True)
class Consequences:
    """``positive`` and ``negative`` are the items that say so; ``other`` says neither."""

    positive: tuple[ListItem, ...]
    negative: tuple[ListItem, ...]
    other: tuple[ListItem, ...]


class ReferenceKind(StrEnum):
    LINK = "link"  # [text](0007-title.md)
    CITATION = "citation"  # ADR-0007 in prose


@dataclass(frozen=True, slots=True)
class RecordReference:
    """A mention of another record. ``target`` is the link target as written, else None."""

    number: int
    kind: ReferenceKind
    text: str
    target: str | None
    span: Span
    line: int


@dataclass(frozen=True, slots=True)
class Relation:
    """A declared relation to another record: in the status, in Related or in front matter."""

    kind: RelationKind
    number: int
    target: str | None
    span: Span
    line: int


@dataclass(frozen=True, slots=True)
class RelatedEntry:
    """``- **Label:** value`` of the Related section; ``label`` is "" for a plain item."""

    label: str
    value: str
    span: Span  # of the whole item
    value_span: Span
    line: int


@dataclass(frozen=True, slots=True)
class CitedPath:
    """A repository path in backticks or a relative link that is no record.

    ``path`` is without anchor, line number and quotes; ``raw`` is what is written.
    ``fragment`` is the part cut off: "#L12", ":12" or "::test_name", else "".
    """

    path: str
    raw: str
    fragment: str
    is_link: bool
    span: Span
    line: int


@dataclass(frozen=True, slots=True)
class CheckBlock:
    """A fenced ``adr-check`` block: ``content`` is raw, its first line is ``content_line``."""

    content: str
    info: str
    span: Span
    line: int
    content_line: int


@dataclass(frozen=True, slots=True)
class Decision:
    """First paragraph of the decision section (Markdown), one clear sentence if all is well."""

    text: str
    span: Span
    line: int

    @property
    def plain(self) -> str:
        return plain(self.text)
