"""Which decisions govern a file: because they cite it, check it, or are cited in it."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from adrkit.checks import Check, read_checks
from adrkit.checks.citations import MAX_CITING_BYTES, citations_in
from adrkit.globs import is_glob, matches
from adrkit.project_files import ProjectFiles
from adrkit.record import Record
from adrkit.renames import Followed, Renames


class Link(StrEnum):
    CITES = "cites"  # the record names the file, or a directory around it
    CHECKS = "checks"  # one of its adr-check blocks is about the file
    CITED = "cited"  # the file says ADR-NNNN


_ORDER = {link: index for index, link in enumerate(Link)}


@dataclass(frozen=True, slots=True)
class Governance:
    """Why a record governs a file: ``line`` is the record's, for CITED the file's."""

    record: Record
    link: Link
    line: int
    detail: str


def governing(
    files: ProjectFiles, records: Sequence[Record], relative: str, renames: Renames | None = None
) -> tuple[Governance, ...]:
    """Reasons in order of records, then lines. ``relative`` is a file or directory of the project;
    one that does not exist (any more) is governed by what names it.

    A directory is also governed by what is said of the files below it. With ``renames``, what a
    record names under an older name is known under today's, too.
    """
    return governing_many(files, records, [relative], renames)[relative]


def governing_many(
    files: ProjectFiles,
    records: Sequence[Record],
    paths: Sequence[str],
    renames: Renames | None = None,
) -> dict[str, tuple[Governance, ...]]:
    """``governing`` for each of ``paths``; every record's checks are read once."""
    checks = [
        (record, [check for check in read_checks(record) if isinstance(check, Check)])
        for record in records
    ]
    return {relative: _governing(files, checks, relative, renames) for relative in paths}


def _governing(
    files: ProjectFiles,
    checks: Sequence[tuple[Record, Sequence[Check]]],
    relative: str,
    renames: Renames | None,
) -> tuple[Governance, ...]:
    is_directory = (files.root / relative).is_dir()
    records = [record for record, _ in checks]
    found: list[Governance] = []
    for record, own in checks:
        names = _Names(files, record, renames, relative, is_directory)
        found += _cited_paths(files, record, names)
        found += _checked_paths(record, own, names)
    found += _citations(files, records, relative, is_directory)
    unique = {(id(item.record), item.link, item.line, item.detail): item for item in found}
    return tuple(
        sorted(unique.values(), key=lambda g: (g.record.number or 10**9, _ORDER[g.link], g.line))
    )


@dataclass(frozen=True, slots=True)
class _Names:
    """Whether what a record names is, or holds, one file or directory."""

    files: ProjectFiles
    record: Record
    renames: Renames | None
    relative: str
    is_directory: bool

    def covered(self, path: str, written: str) -> str | None:
        """What to say beside the name: "" for its own, today's name for an older one, or None."""
        if _covers(path, self.relative, self.is_directory):
            return ""
        if self.renames is None or self.record.path is None or path == ".":
            return None
        if is_glob(path):
            moved: Sequence[Followed] = (
                ()
                if any(matches(name, path) for name in self.files.all)
                else self.renames.follow_files(self.record.path, path, written)
            )
        elif (self.files.root / path).exists():
            return None
        else:
            one = self.renames.follow(self.record.path, path, written)
            moved = (one,) if one else self.renames.follow_files(self.record.path, path, written)
        for item in moved:
            if _covers(item.to, self.relative, self.is_directory):
                return f" (now {item.to})"
        return None


def _cited_paths(files: ProjectFiles, record: Record, names: _Names) -> Iterator[Governance]:
    for cited in record.cited_paths:
        for path in readings(files, record, cited.path, is_link=cited.is_link):
            now = names.covered(path, cited.raw)
            if now is not None:
                yield Governance(record, Link.CITES, cited.line, cited.raw + now)
                break


def readings(files: ProjectFiles, record: Record, path: str, *, is_link: bool) -> Iterator[str]:
    """What a written path may mean: relative to the project, for links first to the record."""
    if is_link and record.path is not None and not path.startswith("/"):
        folder = record.path.parent.resolve()
        if folder.is_relative_to(files.root):
            joined = posixpath.normpath(
                posixpath.join(folder.relative_to(files.root).as_posix(), path)
            )
            if not joined.startswith(".."):
                yield joined
    elif not path.startswith(".."):
        yield posixpath.normpath(path.lstrip("/") or ".")


def _checked_paths(record: Record, checks: Sequence[Check], names: _Names) -> Iterator[Governance]:
    for check in checks:
        found = (names.covered(path, path) for path in check.spec.paths)
        now = next((item for item in found if item is not None), None)
        if now is not None:
            detail = f"{check.spec.kind}: {check.name or check.spec.title}{now}"
            yield Governance(record, Link.CHECKS, check.line, detail)


def _covers(path: str, relative: str, is_directory: bool) -> bool:
    if path == ".":
        return False  # a record that speaks of the whole project governs nothing in particular
    if is_glob(path):
        return matches(relative, path)
    if relative == path or relative.startswith(f"{path}/"):
        return True
    return is_directory and (relative == "." or path.startswith(f"{relative}/"))


def _citations(
    files: ProjectFiles, records: Sequence[Record], relative: str, is_directory: bool
) -> Iterator[Governance]:
    by_number = {record.number: record for record in records if record.number is not None}
    names = (
        [name for name in files.all if relative == "." or name.startswith(f"{relative}/")]
        if is_directory
        else [relative]
    )
    own = {record.path.resolve() for record in records if record.path}
    for name in names:
        path: Path = files.root / name
        if not files.may_cite(name) or not path.is_file() or path.resolve() in own:
            continue
        if path.stat().st_size > MAX_CITING_BYTES:
            continue
        for citation in citations_in(name, path.read_bytes()):
            if record := by_number.get(citation.number):
                detail = f"{name}: {citation.text}" if is_directory else citation.text
                yield Governance(record, Link.CITED, citation.line, detail)
