"""The metadata of a record, wherever its format keeps it.

Looked for, in this order: front matter; a table, list items and ``Key: value`` lines above the
first section (or in a section called Metadata); sections named like a key (``## Status``,
``## Date``). The first place counts, the others are kept as repetitions: two statuses in one record
are a fault that lint reports.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from adrkit.document import Document, Heading, Section, Span, Table, plain
from adrkit.model import Field, FieldPlace
from adrkit.reading import Reading
from adrkit.vocabulary import heading_words, read_date, read_status, read_title

#: Keys that mean the same, the one they are asked for by first.
KEYS = {
    "status": ("status", "adr status", "decision status", "current status"),
    "date": ("date", "decision date", "date decided", "decided", "decided on", "decision made on",
             "created", "date created", "created on", "accepted on", "date accepted"),
    "deciders": ("deciders", "decider", "decision makers", "decision maker", "decisionmakers",
                 "decided by"),
    "tags": ("tags", "tag", "labels", "label", "keywords"),
    "context": ("context", "technical story", "ticket", "issue"),
    "consulted": ("consulted",), "informed": ("informed",),
    "supersedes": ("supersedes", "superseding", "replaces", "supercedes"),
    "superseded by": ("superseded by", "supersededby", "superceded by", "replaced by"),
    "amends": ("amends",), "amended by": ("amended by", "amendedby"),
}  # fmt: skip
_KNOWN = {spelling: key for key, spellings in KEYS.items() for spelling in spellings}
_HEAD_SECTIONS = {"metadata", "meta", "meta data", "document control", "document information",
                  "adr metadata", "decision metadata", "record metadata"}  # fmt: skip
_MOST_LINES = 1000  # of metadata above the first section: no header is longer
_LONGEST_LINE = 10_000
_MOST_SECTIONS = 50  # named like a key
_LONGEST_KEY = 60  # of a heading that is a key, its marks included
_SECTION_KEYS = ("status", "date", "deciders", "tags", "supersedes", "superseded by", "amends",
                 "amended by")  # fmt: skip


def spelled(key: str) -> str:
    """A key for comparison: ``Decision-Makers``, ``decision_makers`` are "decision makers"."""
    return " ".join(re.sub(r"[-_*`]+", " ", key).split()).casefold()


@dataclass
class Metadata:
    """``fields`` holds every metadata line by its casefolded key, the first of a key counting;
    ``repeated`` are the others. ``tables`` are those that are metadata and nothing else."""

    reading: Reading
    fields: dict[str, Field] = field(default_factory=dict)
    repeated: list[Field] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)

    def add(self, found: Field) -> None:
        key = found.key.casefold()
        if key in self.fields:
            self.repeated.append(found)
        else:
            self.fields[key] = found

    def name(self, key: str) -> str | None:
        """What a key is called here: "deciders" for "Decision-Makers"; None for one unknown."""
        own = spelled(key)
        own = self.reading.field_names.get(own, own)
        return _KNOWN.get(own)

    def get(self, name: str) -> Field | None:
        """The value of ``name``, one of the keys above, in the spelling that comes first."""
        return next(iter(self.all(name)), None)

    def all(self, name: str) -> list[Field]:
        """All values of ``name`` that say something, in the order of places; empty ones last."""
        found = [f for f in (*self.fields.values(), *self.repeated) if self.name(f.key) == name]
        spellings = KEYS[name]

        def rank(item: Field) -> tuple[bool, int]:
            own = spelled(item.key)
            known = own in spellings and name == "date"
            return (not item.value.strip(), spellings.index(own) if known else 0)

        return sorted(found, key=rank)


def head_end(document: Document) -> int:
    """Offset where the header ends: the first section, or the end of the text. In a record without
    a level-1 heading one with a number may be the title."""
    headings = [heading for heading in document.headings if not heading.nested]
    if headings and not any(heading.level == 1 for heading in headings):
        first = headings[0]
        if read_title(first.text, first.text_span, first.line).number is not None:
            headings = headings[1:]
    for heading in headings:
        if heading.level >= 2:
            return heading.span.start
    return len(document.text)


def read_metadata(document: Document, reading: Reading) -> Metadata:
    return document.remembered((read_metadata, reading), lambda: _read(document, reading))


def _read(document: Document, reading: Reading) -> Metadata:
    found = Metadata(reading)
    for item in _front_matter(document):
        found.add(item)
    for area in _heads(document):
        for table in document.tables:
            if table.span in area and (rows := list(_table(table, found))):
                found.tables.append(table)
                for item in rows:
                    found.add(item)
        for item in _lines(document, area, found):
            found.add(item)
    for item in _sections(document, found):
        found.add(item)
    return found


def _heads(document: Document) -> Iterator[Span]:
    front = document.front_matter
    yield Span(front.span.end if front else 0, head_end(document))
    for section in document.sections:
        heading = section.heading
        if len(heading.text) > _LONGEST_KEY or heading.level == 1:
            continue
        if spelled(heading.plain) in _HEAD_SECTIONS:
            yield section.own


def _front_matter(document: Document) -> Iterator[Field]:
    front = document.front_matter
    for entry in front.entries if front else ():
        line = document.line_of(entry.span.start)
        yield Field(
            entry.key, entry.text, entry.span, line, entry.key_span, FieldPlace.FRONT_MATTER,
            entry.values,
        )  # fmt: skip


# --- tables -----------------------------------------------------------------------------------


def _table(table: Table, found: Metadata) -> Iterator[Field]:
    """Keys in the first column, or keys in the first row above one row of values."""
    rows = (table.header, *table.rows)
    first = [row.cells[0] for row in rows if row.cells]
    across = [cell for cell in table.header.cells if found.name(plain(cell.text).rstrip(":"))]
    down = [cell for cell in first if found.name(plain(cell.text).rstrip(":"))]
    if len(across) >= 2 and len(table.rows) == 1 and len(across) >= len(down):
        for column, key in enumerate(table.header.cells):
            if value := table.rows[0].cell(column):
                yield _cell(plain(key.text), key.span, value.text, value.span, value.line)
    elif down and all(len(row.cells) == 2 for row in rows):
        for row in rows:
            key, value = row.cells
            if plain(key.text):
                yield _cell(plain(key.text), key.span, value.text, value.span, value.line)


def _cell(key: str, key_span: Span, value: str, span: Span, line: int) -> Field:
    return Field(key.rstrip(": "), value, span, line, key_span, FieldPlace.TABLE)


# --- lines ------------------------------------------------------------------------------------

# `**Key:** value`, `**Key**: value`, `* Key: value` (MADR 2), `*Key:* value` and `Key: value`.
_FIELD = re.compile(
    r"[ \t]*(?:>[ \t]*)*(?:[-*+][ \t]+|\d+\.[ \t]+)?(?:"
    r"(?P<mark>\*{1,3}|_{1,3})(?P<bold>[^*_:\r\n][^*:\r\n]*?)"
    r"(?:(?:::?|：)[ \t]*(?P=mark)|(?P=mark)[ \t]*(?:::?|：))"
    r"|(?P<bare>[^\W\d_][\w /-]{0,30}?)[ \t]*(?:(?P<sign>::?|=)(?=[ \t]|$)|：))"
    r"[ \t]*(?P<value>.*)"
)
# A key in bold on a line of its own, as a heading would be: its value is what comes next.
_LABEL = re.compile(r"[ \t]*(?P<mark>\*\*|__)(?P<key>[^*_:\r\n]{2,30})(?P=mark)[ \t]*$")
_LONGEST_BELOW = 80
_DEFINED = re.compile(r"[ \t]*(?::[ \t]+)?")
# Further keys on the line: "**Status:** Accepted | **Date:** 2026-01-31".
_NEXT = re.compile(
    r"(?:[ \t]*(?:[|·•;,]|<br[ \t]*/?>)[ \t]*|[ \t]+)"
    r"(?P<mark>\*{1,3}|_{1,3}|)(?P<key>[^\W\d_][\w -]{1,24}?)"
    r"(?:::?(?P=mark)|(?P=mark)[ \t]*::?)[ \t]+"
)


def _lines(document: Document, area: Span, found: Metadata) -> Iterator[Field]:
    """Metadata lines of the paragraphs and lists of ``area``.

    A value runs over the following lines of its paragraph, as Markdown renders it, up to the next
    field: where the key is bold, or the line one of a list. A status or day may also stand in the
    paragraph below its key.
    """
    source = document.source
    end = source.line_of(area.start) + _MOST_LINES
    empty: Field | None = None  # at the end of the paragraph before
    for paragraph in document.paragraphs:
        if paragraph.line > end or paragraph.span.start >= area.end:
            break
        if paragraph.span not in area:
            continue
        first = paragraph.line
        if empty is not None:
            below = _value_below(document, empty, first, found)
            first += below is not None
            yield from _stated(below or empty)
            empty = None
        last: Field | None = None
        continued = False
        after_last = source.line_of(max(paragraph.span.end - 1, 0)) + 1
        for line in range(first, min(after_last, end + 1)):
            start = source.line_span(line).start
            text = source.line_text(line)
            fields = list(_on_line(text, start, line, found)) or _label(text, start, line, found)
            if fields:
                if last is not None:
                    yield from _stated(last)
                yield from fields[:-1]
                last = fields[-1]
                continued = not _bare(text) or not last.value
                continue
            if last is not None and continued and text.strip():
                stop = start + len(text.rstrip())
                begin = last.span.start if last.value else start + len(text) - len(text.lstrip())
                span = Span(begin, stop)
                own = last.line if last.value else line
                last = Field(
                    last.key, " ".join(document.slice(span).split()), span, own, last.key_span
                )
        if last is not None and not last.value:
            empty = last
        elif last is not None:
            yield last
    if empty is not None:
        yield from _stated(empty)


def _label(text: str, start: int, line: int, found: Metadata) -> list[Field]:
    """A key that says nothing by itself: FieldPlace.SECTION, as of a heading."""
    match = _LABEL.match(text)
    if match is None or found.name(match["key"]) not in ("status", "date"):
        return []
    at = Span(start + match.end(), start + match.end())
    key = Span(start + match.start("key"), start + match.end("key"))
    return [Field(match["key"], "", at, line, key, FieldPlace.SECTION)]


def _stated(field: Field) -> Iterator[Field]:
    if field.value or field.place is not FieldPlace.SECTION:
        yield field


def _value_below(document: Document, key: Field, line: int, found: Metadata) -> Field | None:
    """The first line of the next paragraph, if it is such a value and no prose."""
    name = found.name(key.key)
    start, text = document.source.line_span(line).start, document.source.line_text(line)
    low = defined.end() if (defined := _DEFINED.match(text)) else 0
    value, span = text[low:].strip(), Span(start + low, start + len(text.rstrip()))
    if line > key.line + 2 or len(value) > _LONGEST_BELOW:
        return None
    is_status = name == "status" and read_status(value, span, line, found.reading).kind is not None
    if is_status or (name == "date" and read_date(value) is not None):
        return Field(key.key, value, span, line, key.key_span)
    return None


def _bare(text: str) -> bool:
    """A ``Key: value`` line of plain text ends with itself; what follows is prose."""
    return re.match(r"[ \t]*(?:[-*+][ \t]|[*_>])", text) is None


def _on_line(text: str, start: int, line: int, found: Metadata) -> Iterator[Field]:
    match = _FIELD.match(text)
    if match is None or len(text) > _LONGEST_LINE:
        return
    group = "bold" if match["bold"] else "bare"
    key = match[group].strip()
    known = found.name(key)
    if group == "bare" and (match["sign"] == "=" or not key[:1].isupper()) and known is None:
        return  # prose: "note: ..."
    key_span = Span(start + match.start(group), start + match.end(group))
    low, high = match.start("value"), len(text.rstrip())
    while True:
        following = None
        position = low
        if known is not None:
            while following := _NEXT.search(text, max(position - 1, 0), high):
                if following.start() >= low - 1 and found.name(following["key"]):
                    break
                position = following.start() + 2
        end = following.start() if following else high
        yield _line_field(key, text, start, line, low, max(end, low), key_span)
        if following is None:
            return
        key = following["key"].strip()
        key_span = Span(start + following.start("key"), start + following.end("key"))
        low = following.end()


def _line_field(key: str, text: str, start: int, line: int, low: int, end: int, at: Span) -> Field:
    value = text[low:end].strip()
    low += len(text[low:end]) - len(text[low:end].lstrip()) if value else 0
    return Field(key, value, Span(start + low, start + low + len(value)), line, at)


# --- sections ---------------------------------------------------------------------------------

_INLINE_HEADING = re.compile(r"(?P<key>[^:：]{2,24})[:：][ \t]*(?P<value>\S.*)")


def _sections(document: Document, found: Metadata) -> Iterator[Field]:
    """``## Date`` and the first paragraph below, or ``## Status: Accepted``."""
    read = 0
    for section in document.sections:
        heading = section.heading
        if heading.level == 1 or read == _MOST_SECTIONS:
            continue
        inline = _INLINE_HEADING.fullmatch(heading.text)
        if len(heading.text) > _LONGEST_KEY and inline is None:
            continue
        name = found.name(heading_words(heading.text))
        if name in _SECTION_KEYS and name != "status":  # the Status section is read as a whole
            read += 1
            yield from _paragraph_of(document, section, heading)
        elif (
            (match := inline) and found.name(plain(match["key"])) in _SECTION_KEYS
        ):  # fmt: skip
            start = heading.text_span.start
            yield Field(
                plain(match["key"]), match["value"],
                Span(start + match.start("value"), heading.text_span.end),
                document.line_of(start + match.start("value")),
                Span(start, start + match.end("key")), FieldPlace.SECTION,
            )  # fmt: skip


def _paragraph_of(document: Document, section: Section, heading: Heading) -> Iterator[Field]:
    for paragraph in document.paragraphs:
        if paragraph.span not in section.own:
            continue
        span = paragraph.span
        items = [
            item for item in document.list_items if item.span in section.own and not item.depth
        ]
        values = tuple(item.text for item in items)
        text = paragraph.text
        if marker := re.match(r"[ \t]*[-*+][ \t]+", document.slice(span)):
            span = Span(span.start + marker.end(), span.end)
            text = document.slice(span)
        yield Field(
            heading_words(heading.text), ", ".join(values) or " ".join(text.split()), span,
            paragraph.line, heading.text_span, FieldPlace.SECTION, values,
        )  # fmt: skip
        return
