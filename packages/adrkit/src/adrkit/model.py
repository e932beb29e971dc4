"""What records are made of: the vocabulary shared by all dialects."""

from __future__ import annotations

import re
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

    @property
    def number_text(self) -> str | None:
        """The digits as written, leading zeros kept."""
        match = re.search(r"\d+", self.prefix)
        return match.group() if match else None


@dataclass(frozen=True, slots=True)
class Field:
    """A metadata value as written; ``span`` covers the value only, ``key_span`` its label."""

    key: str
    value: str
    span: Span
    line: int
    key_span: Span


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

    @property
    def misspelled(self) -> bool:
        return self.kind is not None and self.word.casefold() not in _STATUS_WORDS_PROPER


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


class RelationKind(StrEnum):
    SUPERSEDES = "supersedes"
    SUPERSEDED_BY = "superseded-by"
    AMENDS = "amends"
    AMENDED_BY = "amended-by"


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


# --- reading the vocabulary -----------------------------------------------------------------

# Words found in real records and adr-tools templates, and what they mean.
_STATUS_WORDS = {
    "proposed": Status.PROPOSED, "draft": Status.PROPOSED, "pending": Status.PROPOSED,
    "accepted": Status.ACCEPTED, "approved": Status.ACCEPTED, "implemented": Status.ACCEPTED,
    "rejected": Status.REJECTED, "declined": Status.REJECTED,
    "deprecated": Status.DEPRECATED,
    "superseded": Status.SUPERSEDED, "superceded": Status.SUPERSEDED,
    "superseeded": Status.SUPERSEDED, "supersceded": Status.SUPERSEDED,
}  # fmt: skip
_STATUS_WORDS_PROPER = {status.value.casefold() for status in Status}
STATUS_WORDS = tuple(_STATUS_WORDS)

_WORD = re.compile(r"[^\w]*([^\W\d_]+)")
_NUMBERED_FILE = r"(?:adr[-_]?)?(\d{1,6})[a-z]?[-_][^\s()\[\]]*?\.(?:md|markdown)"
_NUMBER = re.compile(
    rf"(?:^|[(/\s]){_NUMBERED_FILE}|\bADR[-_ ]?(\d{{1,6}})(?!\d)|\[(\d{{1,6}})\.\s", re.IGNORECASE
)
_SUPERSEDED_BY = re.compile(r"super[cs]e+(?:d|ed)ed\s+by\b", re.IGNORECASE)
_SUPERSEDES = re.compile(r"super[cs]e+(?:d|ed)es\b", re.IGNORECASE)


def status_kind(word: str) -> Status | None:
    return _STATUS_WORDS.get(word.casefold())


def record_numbers(text: str) -> tuple[int, ...]:
    """Numbers of the records named in ``text``, in order, each once: "ADR-0007", a link to
    ``0007-title.md`` or adr-tools' ``[7. Title](...)``."""
    found: dict[int, None] = {}
    for match in _NUMBER.finditer(text):
        found[int(next(group for group in match.groups() if group))] = None
    return tuple(found)


def read_status(raw: str, span: Span, line: int) -> StatusField:
    match = _WORD.match(raw)
    word = match.group(1) if match else ""
    note = raw[match.end() :].strip(" \t*_.,;:—–-\"'") if match else ""
    kind = status_kind(word)
    successors: tuple[int, ...] = ()
    supersedes: tuple[int, ...] = ()
    if match_by := _SUPERSEDED_BY.search(raw):
        successors = record_numbers(re.split(r"[;\n]", raw[match_by.end() :])[0])
    if match_of := _SUPERSEDES.search(raw):
        supersedes = record_numbers(re.split(r"[;\n]", raw[match_of.end() :])[0])
    return StatusField(kind, word, raw, note, successors, supersedes, span, line)


_VERDICT_MARKS = {
    "✅": VerdictKind.CHOSEN, "✔": VerdictKind.CHOSEN, "☑": VerdictKind.CHOSEN,
    "❌": VerdictKind.REJECTED, "✗": VerdictKind.REJECTED, "✖": VerdictKind.REJECTED,
    "⏸": VerdictKind.FUTURE, "⏳": VerdictKind.FUTURE,
}  # fmt: skip
_VERDICT_WORDS = (
    ("chosen", VerdictKind.CHOSEN), ("selected", VerdictKind.CHOSEN),
    ("accepted", VerdictKind.CHOSEN), ("rejected", VerdictKind.REJECTED),
    ("future consideration", VerdictKind.FUTURE), ("deferred", VerdictKind.FUTURE),
    ("future", VerdictKind.FUTURE), ("not chosen", VerdictKind.REJECTED),
)  # fmt: skip
_VERDICT = re.compile(
    r"\s*(?P<mark>[✅✔☑❌✗✖⏸⏳]?)\ufe0f?\s*[*_]*(?P<word>[^\W\d_]+(?: [^\W\d_]+)?)?[*_]*"
    r"(?P<rest>.*)",
    re.DOTALL,
)


def read_verdict(raw: str, span: Span, line: int) -> Verdict:
    match = _VERDICT.match(raw)
    if match is None:  # cannot be: every part is optional
        return Verdict(None, "", "", raw.strip(), raw, span, line)
    mark, rest = match["mark"], match["rest"]
    words = (match["word"] or "").casefold()
    kind = _VERDICT_MARKS.get(mark)
    word = ""
    for known, known_kind in _VERDICT_WORDS:
        if words == known or words.startswith(known + " "):
            word = (match["word"] or "")[: len(known)]
            kind = kind or known_kind
            rest = raw[match.start("word") + len(known) :]
            break
    else:
        if match["word"]:
            rest = raw[match.start("word") :]
    reason = rest.strip().lstrip("*_ ").lstrip("-–—:,; ").strip()
    return Verdict(kind, mark, word, reason, raw, span, line)


_TITLE = re.compile(
    r"(?P<prefix>(?:(?:ADR[-_ ])?draft-\S+-[2-9b-df-hjkmnp-tv-z]{8}(?:\s*[:.]\s*|$))"
    r"|(?:(?:ADR|RFC)[-_ ]?(?P<adr>\d{1,6})(?P<letter>[a-z]?)(?:\s*[:.–—-]\s*|\s+|$))"
    r"|(?:(?P<plain>\d{1,6})(?P<letter2>[a-z]?)(?:\s*[.:)]\s+|\s+[-–—]\s+)))",
    re.IGNORECASE,
)


def read_title(raw: str, span: Span, line: int) -> Title:
    match = _TITLE.match(raw)
    if match is None:
        return Title(raw, raw, None, "", "", span, line)
    prefix = match["prefix"]
    digits = match["adr"] or match["plain"]  # neither in a draft's title
    number = int(digits) if digits else None
    suffix = match["letter"] or match["letter2"] or ""
    return Title(raw[len(prefix) :].strip(), raw, number, suffix, prefix, span, line)
