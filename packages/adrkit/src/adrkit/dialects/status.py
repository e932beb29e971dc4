"""The status of a record, wherever it stands, and edits that change it there.

A Status section may hold a history. The entry of the latest day counts; without days the last one
does; an entry "Superseded by ..." counts in any case, for nothing follows it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from adrkit.dialects.metadata import Metadata
from adrkit.document import Document, Section, Span
from adrkit.model import Field, FieldPlace, Relation, SectionName, Status, StatusField
from adrkit.reading import Reading
from adrkit.vocabulary import heading_words, read_date, read_status

_LONGEST_HEADING = 80  # of a Status section, a comment beside the word included
_MOST_ENTRIES = 200  # of a Status section: no history is longer
_CHECKBOX = re.compile(r"\[(?P<mark>[ xX])\][ \t]+")
_MARKER = re.compile(r"[ \t]*(?:>[ \t]*)*(?:[-*+][ \t]+|\d{1,9}[.)][ \t]+)?")


@dataclass(frozen=True, slots=True)
class Statuses:
    """``status`` is the one that counts, in ``field``'s place; ``all`` are every statement of it,
    that of each place and each entry of a Status section; ``history`` says that the entries are
    a history, dated or ended by a supersession."""

    status: StatusField | None
    place: FieldPlace
    all: tuple[StatusField, ...]
    history: bool
    relations: tuple[Relation, ...]


def status_section(document: Document, reading: Reading) -> Section | None:
    return document.remembered(
        (status_section, reading), lambda: _status_section(document, reading)
    )


def _status_section(document: Document, reading: Reading) -> Section | None:
    for at, section in enumerate(document.sections):
        heading = section.heading
        # Some give all their sections the level of the title, which comes first.
        if (heading.level < 2 and at == 0) or len(heading.text) > _LONGEST_HEADING:
            continue
        text = heading_words(heading.text).casefold()
        if text == "status" or reading.section_names.get(text) is SectionName.STATUS:
            return section
    return None


def read_statuses(document: Document, metadata: Metadata, reading: Reading) -> Statuses:
    found: list[tuple[StatusField, FieldPlace]] = []
    for item in metadata.all("status"):
        read = read_status(item.value, item.span, item.line, reading)
        found.append((read, item.place))
    section = status_section(document, reading)
    entries = list(islice(_entries(document, section, reading), _MOST_ENTRIES)) if section else []
    history = len(entries) > 1 and _is_history(entries)
    if entries:
        counted = _counted(entries)
        found.append((counted, FieldPlace.SECTION))
    status, place = next(
        (pair for pair in found if pair[0].kind is not None),
        next(
            (pair for pair in found if pair[0].raw.strip()),
            found[0] if found else (None, FieldPlace.LINE),
        ),
    )
    everything = [pair[0] for pair in found[: len(metadata.all("status"))]] + entries
    relations = [relation for entry in everything for relation in _relations(document, entry)]
    if status is not None and status in entries:
        own = dict.fromkeys(n for e in entries for n in e.successors)
        older = dict.fromkeys(n for e in entries for n in e.supersedes)
        status = replace(status, successors=tuple(own), supersedes=tuple(older))
    return Statuses(status, place, tuple(everything), history, tuple(relations))


def _relations(document: Document, entry: StatusField) -> Iterator[Relation]:
    exact = document.slice(entry.span).startswith(entry.raw)
    for declared in entry.relations:
        span, line = entry.span, entry.line
        if exact:
            span = Span(entry.span.start + declared.start, entry.span.start + declared.end)
            line = document.line_of(span.start)
        for number in declared.numbers:
            at = line if exact else line_of_number(document, span, number)
            yield Relation(declared.kind, number, link_target(entry.raw, number), span, at)


def line_of_number(document: Document, span: Span, number: int) -> int:
    """The line of ``span`` that names the record: values may run over several."""
    found = re.search(rf"(?<!\d)0*{number}(?!\d)", document.slice(span))
    return document.line_of(span.start + found.start() if found else span.start)


def link_target(text: str, number: int) -> str | None:
    """Target of the link in ``text`` that leads to the record with ``number``."""
    for match in re.finditer(r"\]\(<?([^()<>\s]+)", text):
        name = match.group(1).split("#")[0].rsplit("/", 1)[-1]
        found = re.match(r"(?:adr[-_]?)?0*(\d{1,6})[a-z]?[-_].*\.(?:md|markdown)$", name, re.I)
        if found and int(found.group(1)) == number:
            return match.group(1)
    return None


# --- the Status section -----------------------------------------------------------------------


def _entries(document: Document, section: Section, reading: Reading) -> Iterator[StatusField]:
    tables = [table for table in document.tables if table.span in section.own]
    for table in tables:
        status, day = table.column("status", "state"), table.column("date", "when", "on", "day")
        for row in table.rows:
            cell = row.cell(1 if status is None and len(row.cells) == 2 else status or 0)
            if cell is None:
                continue
            read = read_status(cell.text, cell.span, cell.line, reading)
            when = row.cell(day) if day is not None else None
            yield replace(read, day=when.text) if when and when.text else read
    for paragraph in document.paragraphs:
        if paragraph.span in section.own:
            yield from _statements(document, paragraph.span, reading)


def _statements(document: Document, span: Span, reading: Reading) -> Iterator[StatusField]:
    """A paragraph is one statement, unless lines of it are statements of their own."""
    begun: list[tuple[int, int]] = []
    source = document.source
    last = source.line_of(max(span.end - 1, span.start))
    last = min(last, source.line_of(span.start) + _MOST_ENTRIES)
    for line in range(source.line_of(span.start), last + 1):
        whole = source.line_span(line)
        text = document.slice(whole)
        low = whole.start + (marker.end() if (marker := _MARKER.match(text)) else 0)
        stated = low + 1 < whole.end and _states(document.slice(Span(low, whole.end)), reading)
        if not begun or stated:
            begun.append((low, line))
    for index, (low, line) in enumerate(begun):
        high = source.line_span(begun[index + 1][1] - 1).end if index + 1 < len(begun) else span.end
        text = document.slice(Span(low, high))
        box = _CHECKBOX.match(text)
        if box and box["mark"] == " ":
            continue
        begin = low + (box.end() if box else 0)
        # A status is one line; what a statement goes on to say are relations and remarks.
        own = Span(begin, min(source.line_span(line).end, high))
        read = read_status(document.slice(Span(begin, high)), own, line, reading)
        raw = document.slice(own).strip()
        note = read_status(raw, own, line, reading).note
        yield replace(
            read, raw=raw, note=note, span=Span(begin, begin + len(document.slice(own).rstrip()))
        )


def _states(text: str, reading: Reading) -> bool:
    read = read_status(text, Span(0, len(text)), 1, reading)
    if read.relations and read.relations[0].start <= 2:
        return True
    return read.kind is not None and (read.word[:1].isupper() or read.day is not None)


def _is_history(entries: Sequence[StatusField]) -> bool:
    known = [entry for entry in entries if entry.kind is not None]
    ended = any(entry.kind is Status.SUPERSEDED and entry.successors for entry in known)
    return ended or (bool(known) and all(entry.day and read_date(entry.day) for entry in known))


def _counted(entries: Sequence[StatusField]) -> StatusField:
    known = [entry for entry in entries if entry.kind is not None]
    if not known:
        return entries[0]
    ended = [e for e in known if e.kind is Status.SUPERSEDED and (e.successors or e.relations)]
    if ended:
        return ended[-1]
    days = [read_date(entry.day) if entry.day else None for entry in known]
    if all(days):
        latest = max(day for day in days if day)
        return [entry for entry, day in zip(known, days, strict=True) if day == latest][-1]
    return known[-1]


def status_field(status: StatusField, place: FieldPlace) -> Field:
    """The status as a field, for edits of its value."""
    return Field("status", status.raw, status.span, status.line, status.span, place)
