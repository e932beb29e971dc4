"""Edits of a record's status and reason, in the place and manner in which its author wrote them."""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterator
from pathlib import Path

from adrkit.dialects.base import Header, Successor
from adrkit.dialects.status import status_section
from adrkit.document import Document, Edit, FrontMatter, Span
from adrkit.errors import EditNotPossible
from adrkit.model import FieldPlace, Status, StatusField
from adrkit.reading import Reading
from adrkit.vocabulary import read_status, status_word


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


# --- status -----------------------------------------------------------------------------------


def stated(document: Document, header: Header) -> StatusField:
    """The status that counts. Raises EditNotPossible when there is none to edit."""
    if header.status is None:
        raise missing_status(document)
    return header.status


def status_edit(document: Document, header: Header, text: str, reading: Reading) -> Edit:
    """Write ``text`` where the status stands. What its author said beside the word stays, relations
    and days as well, as long as the status then reads as it should.

    Raises EditNotPossible.
    """
    status = stated(document, header)
    place, span = header.status_place, status.span
    if place is FieldPlace.TABLE:
        text = text.replace("|", "\\|")
    wanted = read_status(text, Span(0, len(text)), 1, reading)
    written = document.slice(span)
    for at, new in _within(written, status, wanted, reading):
        after = f"{written[: at.start]}{new}{written[at.end :]}"
        if _says(after, status, wanted, reading):
            return Edit(Span(span.start + at.start, span.start + at.end), new)
    if place is FieldPlace.FRONT_MATTER:
        return _front_matter_value(document, span, text)
    before = document.text[span.start - 1 : span.start]
    return Edit(span, text if len(span) or before in " \t" else f" {text}")


def _within(
    written: str, status: StatusField, wanted: StatusField, reading: Reading
) -> Iterator[tuple[Span, str]]:
    """Ways to keep what is said beside the word, as a part of ``written`` and what it becomes;
    none when nothing is said."""
    word, end = status_word(written, reading)
    alone = written.strip("\"'{}*_ \t") == status.word
    if alone or not status.word or written[word.start : word.end] != status.word:
        return
    if wanted.kind is Status.SUPERSEDED and status.day:
        # The day is that of the decision, not of its end: "Accepted (2026-01-31); superseded by".
        kept = written[word.start : end]
        yield Span(word.start, end), f"{kept}; {wanted.raw[:1].lower()}{wanted.raw[1:]}"
    yield word, wanted.raw


def _says(after: str, before: StatusField, wanted: StatusField, reading: Reading) -> bool:
    """Whether a status means what is wanted, and tells of all records that the old one did."""
    read = read_status(after.strip("\"'"), Span(0, len(after)), 1, reading)
    told = {(item.kind, number) for item in read.relations for number in item.numbers}
    due = {
        (item.kind, number)
        for status in (before, wanted)
        for item in status.relations
        for number in item.numbers
    }
    return read.kind is wanted.kind and told == due


def _front_matter_value(document: Document, span: Span, text: str) -> Edit:
    front = document.front_matter
    quote = document.text[span.start : span.start + 1]
    if front is not None and front.format == "toml":
        value = f'"{text}"'
    elif quote in ("'", '"') or " " in text:
        quote = quote if quote in ("'", '"') else '"'
        value = f"{quote}{text}{quote}"
    else:
        value = text
    before = document.text[span.start - 1 : span.start]
    return Edit(span, value if before in " \t\r\n" else f" {value}")


# --- reason -----------------------------------------------------------------------------------


def reason_edit(document: Document, header: Header, reason: str, reading: Reading) -> Edit:
    """Where a reader of the status meets it; added to a reason that is there already."""
    existing = header.fields.get("reason")
    if existing is not None and existing.place is FieldPlace.LINE:
        end = Span(existing.span.end, existing.span.end)
        return Edit(end, f"; {reason}" if existing.value else f" {reason}")
    status = stated(document, header)
    front = document.front_matter
    line = document.line_of(max(status.span.end - 1, status.span.start))
    if header.status_place is FieldPlace.FRONT_MATTER and front is not None:
        return _front_matter_reason(document, front, line, reason)
    if header.status_place is FieldPlace.TABLE:
        return _reason_by_table(document, status, reason)
    if header.status_place is FieldPlace.SECTION and (section := status_section(document, reading)):
        inside = Document.within(document.paragraphs, section.own)
        tables = Document.within(document.tables, section.own)
        ends = [item.span.end for item in inside] + [item.span.end for item in tables]
        last = max(ends, default=status.span.end)
        return document.insert_after_line(document.line_of(last - 1), "", f"Reason: {reason}")
    for heading in document.headings:
        if status.span in heading.span:
            last = document.line_of(max(heading.span.end - 1, heading.span.start))
            return document.insert_after_line(last, "", f"Reason: {reason}")
    text = document.source.line_text(status.line)
    bullet = re.match(r"[ \t]*[-*+][ \t]+", text)
    # A header line that ends in two spaces is a hard break; the new line follows the habit.
    ending = "  " if document.source.line_text(line).endswith("  ") else ""
    label = f"{bullet.group()}Reason:" if bullet and "**" not in text else "**Reason:**"
    if bullet and "**" in text:
        label = f"{bullet.group()}{label}"
    return document.insert_after_line(line, f"{label} {reason}{ending}")


def _front_matter_reason(document: Document, front: FrontMatter, line: int, reason: str) -> Edit:
    entry = front.entry("reason")
    if entry is not None and entry.values:
        return Edit(entry.span, quoted(f"{entry.text}; {reason}"))
    if front.format == "json":  # where a comma belongs is its author's affair
        raise EditNotPossible(document.path, "reason to edit", 'write a "reason" by hand first')
    sign = " =" if front.format == "toml" else ":"
    return document.insert_after_line(line, f"reason{sign} {quoted(reason)}")


def quoted(text: str) -> str:
    """A string in double quotes as YAML and TOML read it."""
    escaped = one_line(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _reason_by_table(document: Document, status: StatusField, reason: str) -> Edit:
    for table in document.tables:
        if status.span in table.span:
            if table.column_count == 2:
                cell = reason.replace("|", "\\|")
                line = max(status.line, table.delimiter.line)
                return document.insert_after_line(line, f"| Reason | {cell} |")
            last = document.line_of(table.span.end - 1)
            return document.insert_after_line(last, "", f"**Reason:** {reason}")
    return document.insert_after_line(status.line, f"**Reason:** {reason}")
