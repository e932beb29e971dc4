"""Give drafts their numbers: file, title, what they supersede, and every mention in the project.

A draft's name is random, so a mention of it means this record wherever it stands: in records,
prose, links and code. Nothing has to be guessed. A branch that comes after its draft was numbered
may bring further mentions; the records keep the key of the draft that they were, and the next run
follows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from adrkit.config import Config
from adrkit.dialects import Successor
from adrkit.document import Document, Edit, Source, Span
from adrkit.drafts import (
    draft_comment,
    draft_mentions,
    key_of_comment,
    may_mention_drafts,
    renamed,
)
from adrkit.errors import AmbiguousNumber, DocumentError, LifecycleError, RecordExists
from adrkit.ledger import NumberLedger
from adrkit.lifecycle import check_supersession, superseded_document
from adrkit.record import Record
from adrkit.renumber import citing_files
from adrkit.repository import RecordRepository
from adrkit.transaction import FileChange, apply_changes


@dataclass(frozen=True, slots=True)
class Assigned:
    """One draft with its number; ``left`` are the records that it could not supersede, and why."""

    record: Record
    key: str
    number: int
    old_path: Path
    new_path: Path
    superseded: tuple[Path, ...] = ()
    left: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Mended:
    """A file in which mentions of drafts became numbers; ``lines`` count from 1."""

    path: Path
    lines: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class NumberingPlan:
    """What ``apply_numbering`` will do; nothing when ``changes`` is empty."""

    assigned: tuple[Assigned, ...]
    mended: tuple[Mended, ...]
    changes: tuple[FileChange, ...]
    unreadable: tuple[Path, ...]  # files that mention a draft in bytes that are no UTF-8


@dataclass
class _Names:
    """Keys of all drafts that have, or now get, a number."""

    numbers: dict[str, int] = field(default_factory=dict)
    stems: dict[str, str] = field(default_factory=dict)

    def add(self, key: str, number: int, stem: str) -> None:
        self.numbers[key], self.stems[key] = number, stem


def plan_numbering(
    config: Config,
    repository: RecordRepository,
    ledger: NumberLedger,
    drafts: Sequence[Record] | None = None,
) -> NumberingPlan:
    """Number ``drafts`` (by default all of them, in order of date and name) from the next free
    number on. Raises RecordExists.
    """
    names = _Names()
    for record in repository.list():
        number = record.number
        if record.draft is None and number is not None and record.path is not None:
            key = key_of_comment(record.document.text)
            if key is not None:
                names.add(key, number, record.path.stem)
    assigned = list(_assign(repository, ledger, drafts, names))
    for item in assigned:
        names.add(item.key, item.number, item.new_path.stem)
    texts = _Texts(config, ledger, names, {item.old_path.resolve(): item for item in assigned})
    texts.read()
    done = [_supersede(repository, texts, item) for item in assigned]
    return NumberingPlan(
        tuple(done), tuple(texts.mended), tuple(texts.changes()), tuple(texts.unreadable)
    )


def apply_numbering(config: Config, plan: NumberingPlan) -> None:
    """Make all changes or none; citations are edited anywhere in the checkout.

    Raises PathOutside or TransactionError.
    """
    if plan.changes:
        apply_changes(config.directory, plan.changes, config.boundary)


def _assign(
    repository: RecordRepository,
    ledger: NumberLedger,
    drafts: Sequence[Record] | None,
    names: _Names,
) -> Iterator[Assigned]:
    number = ledger.next()
    for record in repository.drafts if drafts is None else drafts:
        name, path = record.draft, record.path
        if name is None or path is None:
            continue
        if name.key in names.numbers:  # numbered before, by a run that was killed or a merge
            taken = names.numbers[name.key]
            new = path.with_name(names.stems[name.key] + path.suffix)
            yield Assigned(record, name.key, taken, path, new)
            continue
        new = path.with_name(f"{number:04d}-{name.slug}{path.suffix}")
        if new.exists():
            raise RecordExists(new)
        yield Assigned(record, name.key, number, path, new)
        number += 1


class _Texts:
    """Files of the project that mention drafts, as they will be."""

    def __init__(
        self,
        config: Config,
        ledger: NumberLedger,
        names: _Names,
        moving: Mapping[Path, Assigned],
    ) -> None:
        self.config, self.ledger, self.names, self.moving = config, ledger, names, moving
        self.before: dict[Path, bytes] = {}
        self.after: dict[Path, bytes] = {}
        self.mended: list[Mended] = []
        self.unreadable: list[Path] = []

    def read(self) -> None:
        if not self.names.numbers:
            return
        for path in citing_files(self.config, self.ledger.git):
            item = self.moving.get(path.resolve())
            try:
                data = path.read_bytes()
            except OSError:
                continue
            if item is None and not may_mention_drafts(data):
                continue
            try:
                source = Source.from_bytes(data, path)
            except DocumentError:
                if any(key.encode() in data.lower() for key in self.names.numbers):
                    self.unreadable.append(path)
                continue
            self._take(path, data, source, item)
        for item in self.moving.values():  # ignored by git or by the settings: moved all the same
            if item.old_path.resolve() not in self.before:
                source = item.record.document.source
                self._take(item.old_path, item.record.document.to_bytes(), source, item)

    def _take(self, path: Path, data: bytes, source: Source, item: Assigned | None) -> None:
        edits = list(self._edits(source, item))
        if not edits and item is None:
            return
        resolved = path.resolve()
        self.before[resolved] = data
        self.after[resolved] = source.edited(edits).to_bytes()
        if item is None:
            lines = tuple(sorted({source.line_of(edit.span.start) for edit in edits}))
            self.mended.append(Mended(path, lines))

    def _edits(self, source: Source, item: Assigned | None) -> Iterator[Edit]:
        text = source.text
        title = item.record.title if item is not None else None
        if title is not None and item is not None and title.prefix:
            start = title.span.start
            plain = not title.prefix.upper().startswith("ADR")
            number = str(item.number) if plain else f"{title.prefix[:4]}{item.number:04d}"
            end = start + len(title.prefix.rstrip().rstrip(":."))
            yield Edit(Span(start, end), number)
        own = range(title.span.start, title.span.start + len(title.prefix)) if title else range(0)
        for mention in draft_mentions(text, self.names.numbers):
            if mention.start in own:
                continue
            new = renamed(mention, text, self.names.numbers, self.names.stems.__getitem__)
            if new is not None:
                yield Edit(Span(mention.start, mention.end), new)
        if item is not None and key_of_comment(text) is None:
            newline, end = source.eol, len(text)
            gap = "" if text.endswith(("\n", "\r")) else newline
            comment = f"{gap}{newline}{draft_comment(item.key)}{newline}"
            yield Edit(Span(end, end), comment)

    def document(self, path: Path, record: Record) -> Document:
        """A record with the mentions in it already mended."""
        data = self.after.get(path.resolve())
        if data is None:
            return record.document
        return Document(Source.from_bytes(data, path), path)

    def replace(self, path: Path, before: bytes, after: bytes) -> None:
        self.before.setdefault(path.resolve(), before)
        self.after[path.resolve()] = after

    def changes(self) -> Iterator[FileChange]:
        """Draft files go last: whatever was done before is found again by the key."""
        gone = []
        for path, after in self.after.items():
            item = self.moving.get(path)
            if item is not None:
                if not item.new_path.exists():
                    yield FileChange(item.new_path, None, after)
                gone.append(FileChange(item.old_path, self.before[path], None))
            elif after != self.before[path]:
                yield FileChange(path, self.before[path], after)
        yield from gone


def _supersede(repository: RecordRepository, texts: _Texts, item: Assigned) -> Assigned:
    """Tell the records that the draft supersedes. One that is no longer in force, or no longer
    alone under its number, is left for people to decide."""
    superseded: list[Path] = []
    left: list[str] = []
    own = Successor(item.number, item.record.name, item.new_path)
    for number in item.record.supersedes:
        try:
            older = repository.find(number)
            if older is None or older.path is None:
                left.append(f"ADR-{number:04d} is not there")
                continue
            mended = Record(texts.document(older.path, older), older.reading)
            if item.number in mended.superseded_by:
                continue
            numbered = Record.from_text(
                item.record.document.text, item.new_path, item.record.reading
            )
            check_supersession(repository, mended, numbered, force=False)
        except (LifecycleError, AmbiguousNumber) as error:
            left.append(str(error))
            continue
        after = superseded_document(mended, own, None).to_bytes()
        texts.replace(older.path, older.document.to_bytes(), after)
        superseded.append(older.path)
    return replace(item, superseded=tuple(superseded), left=tuple(left))
