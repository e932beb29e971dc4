"""One record of another format, written anew in the house template.

Sections move, their text does not change: bodies are copied with their links mended. What the
template has no place for goes to the appendix. Header and headings that the template words
differently are kept as they were in the appendix's "Source".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from adrkit.dialects.base import items_in, tone
from adrkit.document import Span
from adrkit.importing.options import option_table
from adrkit.importing.pieces import Fragments, Piece, leaks, read_pieces, trimmed
from adrkit.importing.relink import Moves, relink_edits
from adrkit.importing.suggestions import suggested_checks
from adrkit.model import RelationKind, SectionName, Status
from adrkit.record import Record

NOT_RECORDED = "Not recorded in the source."
DATE_PLACEHOLDER = "[YYYY-MM-DD]"
STATUS_PLACEHOLDER = "[Proposed | Accepted | Rejected | Deprecated | Superseded by ADR-XXXX]"

_HOUSE_HEADINGS = {
    SectionName.DECISION: "## Decision",
    SectionName.CONTEXT: "## Context",
    SectionName.ALTERNATIVES: "## Alternatives Considered",
    SectionName.RATIONALE: "## Decision Rationale",
    SectionName.CONSEQUENCES: "## Consequences",
    SectionName.POSITIVE: "### Positive",
    SectionName.NEGATIVE: "### Negative",
    SectionName.RISKS: "### Risks & Mitigations",
    SectionName.IMPLEMENTATION: "## Implementation Notes",
    SectionName.RELATED: "## Related",
    SectionName.APPENDIX: "## Appendix",
}
_REQUIRED = {
    SectionName.DECISION, SectionName.CONTEXT, SectionName.ALTERNATIVES, SectionName.RATIONALE,
    SectionName.CONSEQUENCES, SectionName.POSITIVE, SectionName.NEGATIVE,
}  # fmt: skip
# Sections that become sub-sections, with their own heading, of one the template has.
_HOUSED_IN = {
    SectionName.DRIVERS: SectionName.RATIONALE,
    SectionName.ALTERNATIVES_DETAIL: SectionName.APPENDIX,
    SectionName.CONFIRMATION: SectionName.IMPLEMENTATION,
}
_LABELS = {
    RelationKind.SUPERSEDES: "Supersedes",
    RelationKind.SUPERSEDED_BY: "Superseded by",
    RelationKind.AMENDS: "Amends",
    RelationKind.AMENDED_BY: "Amended by",
}
_FORMATS = {"madr": "MADR", "nygard": "Nygard (adr-tools)"}


@dataclass(frozen=True, slots=True)
class Conversion:
    """``text`` has the source's line endings; ``notes`` is what the author should look at."""

    text: str
    notes: tuple[str, ...]


@dataclass
class _Draft:
    sections: dict[SectionName, list[str]] = field(default_factory=dict)
    source: list[str] = field(default_factory=list)
    last: list[str] = field(default_factory=list)  # must stand at the very end
    notes: list[str] = field(default_factory=list)
    headed: set[SectionName] = field(default_factory=set)  # whose heading a piece has taken

    def add(self, name: SectionName, text: str, *, last: bool) -> None:
        if not text.strip():
            return
        if last and leaks(text):
            self.last.append(text)
        else:
            self.sections.setdefault(name, []).append(text)


def convert(
    record: Record,
    number: int,
    target: Path,
    moves: Moves,
    *,
    date: str | None = None,
    assumed_status: Status | None = None,
) -> Conversion:
    """``record`` in the house template, as it will stand at ``target``.

    ``date`` (YYYY-MM-DD) is used when the record has none.
    """
    draft = _Draft()
    fragments = Fragments(record.document, relink_edits(record, target, moves))
    head, pieces = read_pieces(record)
    _place_head(record, head, fragments, draft, alone=not pieces)
    levels: dict[int, int] = {}
    for piece in pieces:
        _place(record, piece, fragments, draft, levels, last=piece is pieces[-1])
    lines = [
        f"# ADR-{number:04d}: {_title(record, fragments)}",
        "",
        f"**Date:** {_date(record, date, draft)}",
        f"**Status:** {_status(record, moves, assumed_status, draft)}",
        f"**Context:** {_context(record, fragments)}",
    ]
    related = _relations(record, target, moves)
    if related:
        draft.sections.setdefault(SectionName.RELATED, []).insert(0, related)
    for name, heading in _HOUSE_HEADINGS.items():
        if name is SectionName.APPENDIX:
            continue
        parts = draft.sections.get(name, [])
        if parts or name in _REQUIRED or name in draft.headed:
            lines += ["", heading]
            if not parts and name is not SectionName.CONSEQUENCES:
                parts = [NOT_RECORDED]
        for part in parts:
            lines += ["", part]
    lines += ["", _HOUSE_HEADINGS[SectionName.APPENDIX]]
    appendix = [*draft.sections.get(SectionName.APPENDIX, []), _source(record, draft), *draft.last]
    for part in appendix:
        lines += ["", part]
    text = "\n".join(lines) + "\n"
    eol = record.document.source.eol
    return Conversion(text if eol == "\n" else text.replace("\n", eol), tuple(draft.notes))


# --- header ---------------------------------------------------------------------------------


def _title(record: Record, fragments: Fragments) -> str:
    if record.title and (text := record.title.text.strip()):
        prefix = len(record.title.raw) - len(record.title.raw.removeprefix(record.title.prefix))
        span = Span(record.title.span.start + prefix, record.title.span.end)
        return fragments.line(span) or " ".join(text.split())
    stem = re.sub(r"^(?:adr[-_]?)?\d*[a-z]?[-_]*", "", record.path.stem) if record.path else ""
    return stem.replace("-", " ").replace("_", " ").strip().title() or "Untitled"


def _date(record: Record, given: str | None, draft: _Draft) -> str:
    if record.date_value is not None:
        return record.date_value.isoformat()
    if record.date is not None and record.date.value:
        draft.notes.append(f"the date {record.date.value!r} is no day that could be read")
        return " ".join(record.date.value.split())
    if given is None:
        draft.notes.append("no date: fill in the placeholder")
        return DATE_PLACEHOLDER
    draft.notes.append("no date: the day of the file's first commit is used")
    return given


def _status(record: Record, moves: Moves, assumed: Status | None, draft: _Draft) -> str:
    status = record.status
    if status is None or not status.raw.strip():
        if assumed is None:
            draft.notes.append("no status: fill in the placeholder, or import with --assume-status")
            return STATUS_PLACEHOLDER
        draft.notes.append(f"no status: {assumed.value}, as was asked for")
        return assumed.value
    if status.kind is None:
        draft.notes.append(f"unknown status {status.raw!r}")
        return " ".join(moves.renumbered(status.raw).split())
    if status.kind is not Status.SUPERSEDED:
        return status.kind.value
    successors = record.superseded_by
    if not successors and record.unnumbered_successors:
        numbers = [moves.number_at(record.path, target) for target in record.unnumbered_successors]
        successors = tuple(number for number in numbers if number is not None)
        if successors:
            return "Superseded by " + ", ".join(f"ADR-{number:04d}" for number in successors)
    if not successors:
        draft.notes.append("superseded, but no successor is named")
        return status.kind.value
    return "Superseded by " + ", ".join(f"ADR-{moves.number(n):04d}" for n in successors)


def _context(record: Record, fragments: Fragments) -> str:
    link = record.context_link
    if link is not None and link.value:
        return fragments.line(link.span) or link.value
    name = record.path.name if record.path else "a record without a file"
    return f"Imported from {_FORMATS.get(record.dialect.name, 'another format')}: {name}"


def _relations(record: Record, target: Path, moves: Moves) -> str:
    """Relations that the status or front matter declares; those of Related are copied anyway."""
    section = record.sections.get(SectionName.RELATED)
    by_number = {int(path.name[:4]): path for path in moves.paths.values()}
    lines = []
    for kind, label in _LABELS.items():
        links = []
        for relation in record.relations:
            if relation.kind is not kind or (section and relation.span in section.body):
                continue
            number = moves.number(relation.number)
            path = by_number.get(number)
            name = f"ADR-{number:04d}"
            same = path is not None and path.parent == target.parent
            links.append(f"[{name}]({path.name})" if path and same else name)
        if links:
            lines.append(f"- **{label}:** {', '.join(links)}")
    return "\n".join(lines)


# --- body -----------------------------------------------------------------------------------


def _place_head(
    record: Record, head: Piece | None, fragments: Fragments, draft: _Draft, *, alone: bool
) -> None:
    """Title and metadata to the source notes; prose above the first section to the context."""
    document = record.document
    if document.front_matter:
        draft.source.append(fragments.text(document.front_matter.span))
    if head is None:
        return
    if head.heading is not None:
        draft.source.append(trimmed(document.slice(head.heading.span)).replace("\r", ""))
    source = document.source
    metadata = [table.span for table in record.header.metadata.tables if table.span in head.body]
    draft.source += [fragments.text(span) for span in metadata]
    for value in (*record.header.fields.values(), *record.header.metadata.repeated):
        lines = source.lines_span(value.line, source.line_of(max(value.span.end - 1, 0)) + 1)
        known = any(lines in taken for taken in metadata)
        if not known and lines in head.body and value.span in head.body:
            metadata.append(lines)
            draft.source.append(fragments.text(lines))
    draft.add(SectionName.CONTEXT, fragments.text(head.body, without=metadata), last=alone)


def _place(
    record: Record,
    piece: Piece,
    fragments: Fragments,
    draft: _Draft,
    levels: dict[int, int],
    *,
    last: bool,
) -> None:
    heading, name = piece.heading, piece.target
    if heading is None or piece.top is None:
        draft.add(name, fragments.text(piece.body), last=last)
        return
    if name is SectionName.STATUS:
        mark = "#" * heading.level
        whole = f"{mark} {fragments.line(heading.text_span)}\n\n{fragments.text(piece.body)}"
        if last and leaks(whole):
            draft.last.append(fragments.text(piece.body))
            whole = f"{mark} {fragments.line(heading.text_span)}"
        draft.source.append(whole.strip())
        return
    place = _HOUSED_IN.get(name, name)
    kept = name in _HOUSED_IN or name is SectionName.APPENDIX
    if piece.is_top:
        if name is SectionName.APPENDIX and heading.plain.casefold() == "appendix":
            kept = False
        levels[id(heading)] = 3 if kept or _HOUSE_HEADINGS[place].startswith("###") else 2
    level = levels[id(piece.top)] + heading.level - piece.top.level
    text = "#" * min(max(level, 3), 6) + " " + fragments.line(heading.text_span)
    if not piece.is_top or kept:
        draft.add(place, text.rstrip(), last=False)
    elif place in draft.headed or heading.text != _HOUSE_HEADINGS[place].lstrip("# "):
        draft.source.append("#" * heading.level + " " + fragments.line(heading.text_span))
    draft.headed.add(place)
    if not piece.is_top:
        draft.add(place, fragments.text(piece.body), last=last)
    elif name is SectionName.ALTERNATIVES:
        _place_options(record, piece, fragments, draft, last=last)
    elif name is SectionName.CONSEQUENCES:
        _place_consequences(record, piece, fragments, draft, last=last)
    else:
        draft.add(place, fragments.text(piece.body), last=last)
    if name is SectionName.CONFIRMATION and (checks := suggested_checks(record, piece.body)):
        draft.add(place, checks, last=False)


def _place_options(
    record: Record, piece: Piece, fragments: Fragments, draft: _Draft, *, last: bool
) -> None:
    table, listed = option_table(record, piece.body, fragments)
    draft.add(SectionName.ALTERNATIVES, table, last=False)
    draft.add(SectionName.ALTERNATIVES, fragments.text(piece.body, without=listed), last=last)
    if table and not record.chosen:
        draft.notes.append("which option was chosen could not be read")


def _place_consequences(
    record: Record, piece: Piece, fragments: Fragments, draft: _Draft, *, last: bool
) -> None:
    """MADR 4's "Good, because" and "Bad, because" items to their sides, the rest above them."""
    document = record.document
    moved: list[Span] = []
    for item in items_in(document, piece.body):
        side = {"good": SectionName.POSITIVE, "bad": SectionName.NEGATIVE}.get(tone(item) or "")
        start = document.source.line_span(item.line).start
        if side is None or document.text[start : item.span.start].strip():
            continue
        text = fragments.text(Span(start, item.span.end))
        if leaks(text):
            continue
        moved.append(Span(start, item.span.end))
        parts = draft.sections.setdefault(side, [])
        if parts and parts[-1].startswith(("*", "-", "+")) and text.startswith(parts[-1][0]):
            parts[-1] += "\n" + text  # one list, not a list per item
        else:
            parts.append(text)
    draft.add(SectionName.CONSEQUENCES, fragments.text(piece.body, without=moved), last=last)


def _source(record: Record, draft: _Draft) -> str:
    """Header and headings as they were, in a fence that none of them can close."""
    origin = _FORMATS.get(record.dialect.name, "another format")
    name = f" ({record.path.name})" if record.path else ""
    text = "\n\n".join(part for part in _joined(draft.source) if part.strip())
    longest = max((len(run) for run in re.findall(r"`{3,}|~{3,}", text)), default=2)
    fence = "`" * max(longest + 1, 3)
    shown = f"\n\n{fence}markdown\n{text}\n{fence}" if text else ""
    return f"### Source\n\nImported from {origin}{name}; header and headings as they were:{shown}"


def _joined(parts: Sequence[str]) -> list[str]:
    """Metadata lines that followed each other stay together."""
    joined: list[str] = []
    for part in parts:
        single = "\n" not in part and not part.startswith("#")
        if joined and single and "\n\n" not in joined[-1] and not joined[-1].startswith(("#", "-")):
            joined[-1] += "\n" + part
        else:
            joined.append(part)
    return joined
