"""The records of one directory."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from adrkit.config import Config
from adrkit.confine import boundary_of, confined
from adrkit.drafts import DraftName, draft_name
from adrkit.errors import (
    AmbiguousNumber,
    DocumentError,
    NoRecords,
    PathOutside,
    RecordNotFound,
    RecordsDirectoryMissing,
    UnreadableFile,
)
from adrkit.names import file_day, file_number, same_name
from adrkit.reading import DEFAULT_READING, Reading
from adrkit.record import Record

_SUFFIXES = {".md", ".markdown"}
_NOT_RECORDS = re.compile(
    r"(?:readme|index|changelog|contributing|toc|glossary)(?:[-_.].*)?"
    r"|(?:\d+[-_])?(?:[\w-]+[-_])?template",
    re.IGNORECASE,
)
# `0012-use-template-engines.md` is a record; `0000-template.md` and `adr-template.md` are not.
_NUMBERED_RECORD = re.compile(
    r"(?:(?:[a-z][a-z0-9]*[-_ ])?adr[-_ .#]*)?\d{1,6}[a-z]?[-_. ,](?!template$).+", re.IGNORECASE
)
_TITLE_WITH_NUMBER = re.compile(r"^(?:\ufeff)?#{1,2}[ \t]+\[?ADR[-_ ]?#?\d", re.MULTILINE | re.I)
_PEEK_BYTES = 4096


def is_record_path(path: Path, *, exclude: Sequence[str] = (), relative: str | None = None) -> bool:
    """Whether a path is a record's, by its name alone; see ``RecordRepository`` for the rule."""
    if path.suffix.lower() not in _SUFFIXES or path.name.startswith((".", "_")):
        return False
    shown = relative if relative is not None else path.name
    if any(fnmatch.fnmatch(shown, pattern) for pattern in exclude):
        return False
    if _NUMBERED_RECORD.fullmatch(path.stem) or file_day(path) is not None:
        return True
    return file_number(path) is not None and not _NOT_RECORDS.fullmatch(path.stem)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that should be a record and cannot be read."""

    path: Path
    error: DocumentError


def require_inside(path: Path, boundary: Path) -> None:
    """Raises UnreadableFile for a link out of the checkout, and for what is no file."""
    try:
        if path.is_symlink():
            confined(path, boundary)
        if not path.is_file():
            raise UnreadableFile(path, "it is no file")
    except PathOutside as error:
        raise UnreadableFile(path, error.reason) from error
    except OSError as error:
        raise UnreadableFile(path, error.strerror or str(error)) from error


class RecordRepository:
    """Records of a directory and its sub-directories, in order of number, then path.

    A Markdown file is a record when its name begins with a number or a day (``0007-title.md``,
    ``ADR-7_title.md``, ``20230501-title.md``), when it is a draft's (``draft-title-KEY.md``), or
    when its first 4 KiB have a title ``# ADR-NNNN`` or a status that is known. Never records:
    README, index, changelog, contributing, toc, glossary, files named ``template`` or
    ``*-template``, names that begin with ``.`` or ``_``, and what ``exclude`` matches.
    ``passed_over`` are the other Markdown files.
    """

    def __init__(
        self,
        directory: Path,
        *,
        exclude: Sequence[str] = (),
        reading: Reading = DEFAULT_READING,
        others: Sequence[Path] = (),
    ) -> None:
        self.directory = directory
        self.others = tuple(others)  # further records directories of the project
        self.exclude = tuple(exclude)
        self.reading = reading

    @classmethod
    def of(cls, config: Config) -> RecordRepository:
        others = [each for each in config.directories if each != config.directory]
        return cls(config.directory, exclude=config.exclude, reading=config.reading, others=others)

    @cached_property
    def paths(self) -> tuple[Path, ...]:
        """Paths of all records, readable or not. Raises RecordsDirectoryMissing."""
        return self._walked[0]

    @cached_property
    def passed_over(self) -> tuple[Path, ...]:
        """Markdown files that look like no record and were not left out on purpose: a command
        that reads all records has to say so."""
        return self._walked[1]

    @cached_property
    def _walked(self) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
        if not self.directory.is_dir():
            raise RecordsDirectoryMissing(self.directory)
        found, others = [], []
        for folder, folders, files in os.walk(self.directory):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in files:
                is_record = self._is_record(path := Path(folder, name))
                if is_record:
                    found.append(path)
                elif is_record is None:
                    others.append(path)
        return tuple(sorted(found, key=_order)), tuple(sorted(others))

    def _is_record(self, path: Path) -> bool | None:
        """None for a Markdown file that nothing says anything about."""
        relative = path.relative_to(self.directory).as_posix()
        if is_record_path(path, exclude=self.exclude, relative=relative):
            return True
        if path.suffix.lower() not in _SUFFIXES or path.name.startswith((".", "_")):
            return False
        if any(fnmatch.fnmatch(relative, pattern) for pattern in self.exclude):
            return False
        if _NOT_RECORDS.fullmatch(path.stem):
            return None if self._is_page_of_a_record(path) else False
        if draft_name(path) is not None:
            return True
        try:
            if not path.is_file():
                return True  # reported as unreadable when it is read
            with path.open("rb") as file:
                text = file.read(_PEEK_BYTES).decode("utf-8", errors="replace")
        except OSError:
            return True  # reported as unreadable when it is read
        if _TITLE_WITH_NUMBER.search(text):
            return True
        return Record.from_text(text, path, self.reading).status_kind is not None or None

    def _is_page_of_a_record(self, path: Path) -> bool:
        """`0006-title/README.md`: some give a record a directory, with its pictures."""
        if path.parent == self.directory or file_number(path.parent) is None:
            return False
        read = self._at(path)
        return isinstance(read, Record) and read.status_kind is not None

    @cached_property
    def _read(self) -> dict[Path, Record | DocumentError]:
        return {}

    def _at(self, path: Path) -> Record | DocumentError:
        """The record at ``path``, or why it cannot be read; each file is read once."""
        if path not in self._read:
            try:
                require_inside(path, self._boundary)
                self._read[path] = Record.read(path, self.reading)
            except DocumentError as error:
                self._read[path] = error
        return self._read[path]

    @cached_property
    def _boundary(self) -> Path:
        return boundary_of(self.directory.resolve())

    @cached_property
    def _loaded(self) -> tuple[tuple[Record, ...], tuple[Unreadable, ...]]:
        found = [(path, self._at(path)) for path in self.paths]
        return (
            tuple(item for _, item in found if isinstance(item, Record)),
            tuple(Unreadable(p, item) for p, item in found if not isinstance(item, Record)),
        )

    def _with_number(self, number: int) -> Iterator[Path]:
        """Files that may have the number: by their name, or by a title that has to be read."""
        for path in self.paths:
            named = file_number(path)
            if named is None or named[0] == number:
                yield path

    def list(self) -> tuple[Record, ...]:
        """All readable records, perhaps none. Raises RecordsDirectoryMissing."""
        return self._loaded[0]

    @property
    def unreadable(self) -> tuple[Unreadable, ...]:
        """Files left out of ``list``; a command that passes over them has to say so."""
        return self._loaded[1]

    def require(self) -> tuple[Record, ...]:
        """All readable records. Raises NoRecords when the directory holds no record file."""
        if not self.paths:
            raise NoRecords(self.directory)
        return self.list()

    def find_all(self, number: int) -> tuple[Record, ...]:
        found = (self._at(path) for path in self._with_number(number))
        return tuple(item for item in found if isinstance(item, Record) and item.number == number)

    def find(self, number: int) -> Record | None:
        """Raises AmbiguousNumber when several records share the number."""
        found = self.find_all(number)
        if len(found) > 1:
            raise AmbiguousNumber(number, [r.path for r in found if r.path])
        return found[0] if found else None

    def get(self, number: int) -> Record:
        """Raises RecordNotFound or AmbiguousNumber, or the error of reading that record."""
        record = self.find(number)
        if record is not None:
            return record
        for path in self._with_number(number):
            failed = self._at(path)
            if file_number(path) and isinstance(failed, DocumentError):
                raise failed
        raise RecordNotFound(f"ADR-{number:04d}", self.directory)

    def resolve(self, reference: str) -> Record:
        """Record named by "7", "0007", "ADR-7", "ADR-draft-title-KEY", a file name or a path.

        Raises RecordNotFound, AmbiguousNumber or a DocumentError.
        """
        text = reference.strip()
        match = re.fullmatch(r"(?:adr[-_ ]?)?(\d{1,6})", text, re.IGNORECASE)
        if match:
            return self.get(int(match.group(1)))
        wanted = {Path(text).resolve(), (self.directory / text).resolve()}
        draft = draft_name(Path(f"{re.sub('^adr[-_ ]', '', text, flags=re.I)}.md"))
        for path in self.paths:
            named = same_name(path.name, text) or path.resolve() in wanted
            if named or _is_draft(path, draft):
                found = self._at(path)
                if isinstance(found, DocumentError):
                    raise found
                return found
        raise RecordNotFound(reference, self.directory)

    @property
    def drafts(self) -> tuple[Record, ...]:
        """Readable records that wait for a number, in order of date, then name."""
        found = [record for record in self.list() if record.draft is not None]
        return tuple(
            sorted(found, key=lambda r: (r.date.value if r.date else "", r.label, str(r.path)))
        )

    def duplicates(self) -> Mapping[int, tuple[Record, ...]]:
        """Numbers that several records share; a letter suffix (020a, 020b) tells apart."""
        by_number: dict[tuple[int, str], list[Record]] = {}
        for record in self.list():
            if record.number is not None:
                named = file_number(record.path) if record.path else None
                by_number.setdefault((record.number, named[1] if named else ""), []).append(record)
        return {key[0]: tuple(found) for key, found in by_number.items() if len(found) > 1}


def _is_draft(path: Path, wanted: DraftName | None) -> bool:
    """Whether ``path`` is the draft that is ``wanted``: its key decides, the slug may differ."""
    named = draft_name(path) if wanted is not None else None
    return named is not None and wanted is not None and named.key == wanted.key


def _order(path: Path) -> tuple[int, str, str]:
    named = file_number(path)
    return (named[0] if named else 10**9, named[1] if named else "", path.as_posix())
