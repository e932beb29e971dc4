"""Importing a set of records: numbers, file names and one transaction."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from adrkit.authoring import file_name, slug
from adrkit.confine import confined
from adrkit.document import Document
from adrkit.errors import AdrkitError, InvalidTitle, RecordExists
from adrkit.importing.completeness import lost_words
from adrkit.importing.convert import convert
from adrkit.importing.relink import Moves, relink_edits
from adrkit.model import Status
from adrkit.record import Record
from adrkit.transaction import FileChange, apply_changes

HOUSE = "house"
_KEBAB = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_FILE_PREFIX = re.compile(
    r"(?:(?:[a-z][a-z0-9]*[-_ ])?adr[-_ .#]*)?(?:\d{4}-\d{2}-\d{2}|\d{1,8})[a-z]?[-_. ]+",
    re.IGNORECASE,
)


class ImportLosesText(AdrkitError):
    """A defect of the import, found before anything was written."""

    def __init__(self, path: Path | None, words: Collection[str]) -> None:
        self.path, self.words = path, tuple(words)
        shown = ", ".join(repr(word) for word in self.words[:5])
        super().__init__(
            f"importing {path or 'the record'} would lose {len(self.words)} words: {shown}",
            remedy="nothing was written; leave that file out and report its form as a defect",
        )


@dataclass(frozen=True, slots=True)
class ImportedRecord:
    """One record to be written. ``notes`` is what its author should look at."""

    source: Record
    number: int
    path: Path
    content: bytes
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """``skipped`` are records that are in the house template already."""

    directory: Path
    records: tuple[ImportedRecord, ...]
    skipped: tuple[Record, ...]


def plan_import(
    records: Sequence[Record],
    directory: Path,
    *,
    taken: Collection[int] = (),
    date_of: Callable[[Path], str | None] | None = None,
    assumed_status: Status | None = None,
) -> ImportPlan:
    """Plan to write ``records`` in the house template to ``directory``; writes nothing.

    Records keep their numbers; a number that is ``taken``, or that an earlier record has, is
    replaced by the next free one, in links and citations too. ``date_of`` gives the date
    (YYYY-MM-DD) of a file whose record has none. Raises RecordExists when a file is there
    already, ImportLosesText when words of a source would be missing.
    """
    sources = [record for record in records if record.dialect.name != HOUSE]
    skipped = tuple(record for record in records if record.dialect.name == HOUSE)
    numbers = _numbers(sources, {*taken, *(r.number for r in skipped if r.number is not None)})
    paths = _paths(sources, numbers, directory)
    for path in paths:
        if path.exists():
            raise RecordExists(path)
    shared = Counter(record.number for record in (*sources, *skipped))
    moves = Moves(
        {r.path.resolve(): p for r, p in zip(sources, paths, strict=True) if r.path},
        {
            record.number: number
            for record, number in zip(sources, numbers, strict=True)
            if record.number is not None and shared[record.number] == 1
        },
    )
    planned = []
    for record, number, path in zip(sources, numbers, paths, strict=True):
        date = None
        if date_of is not None and record.path is not None and record.date_value is None:
            date = date_of(record.path)
        done = convert(record, number, path, moves, date=date, assumed_status=assumed_status)
        relinked = record.document.edit(*relink_edits(record, path, moves))
        if lost := lost_words(relinked.text, done.text):
            raise ImportLosesText(record.path, list(lost))
        notes = done.notes
        if record.number is not None and number != record.number:
            notes = (f"number {record.number:04d} is taken: {number:04d} is used", *notes)
        content = Document.from_text(done.text, path).to_bytes()
        planned.append(ImportedRecord(record, number, path, content, notes))
    return ImportPlan(directory, tuple(planned), skipped)


def apply_import(plan: ImportPlan, root: Path) -> None:
    """Write all records or none, below ``root``.

    Raises PathOutside, TransactionError or RecordExists.
    """
    if plan.records:
        changes = [FileChange(record.path, None, record.content) for record in plan.records]
        confined(plan.directory, root)
        apply_changes(plan.directory, changes)


def _numbers(records: Sequence[Record], taken: set[int]) -> list[int]:
    used = set(taken)
    found: list[int | None] = []
    for record in records:
        number = record.number
        found.append(None if number is None or number in used else number)
        if number is not None:
            used.add(number)
    following = max(used, default=0)
    numbers = []
    for known in found:
        if known is None:
            following += 1
        numbers.append(following if known is None else known)
    return numbers


def _paths(records: Sequence[Record], numbers: Sequence[int], directory: Path) -> list[Path]:
    return [
        directory / _file_name(record, number)
        for record, number in zip(records, numbers, strict=True)
    ]


def _file_name(record: Record, number: int) -> str:
    """The source's name where it is in the house form, else one made from the title."""
    stem = _FILE_PREFIX.sub("", record.path.stem, count=1) if record.path else ""
    if _KEBAB.fullmatch(stem) and not stem.isdigit():
        return f"{number:04d}-{stem}.md"
    for text in (record.name, stem.replace("_", " ")):
        try:
            slug(text)
        except InvalidTitle:
            continue
        return file_name(number, text)
    return f"{number:04d}-untitled.md"
