"""The whole set of decisions: which code no record speaks of, and which records speak past each
other."""

from __future__ import annotations

import os.path
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from packaging.utils import canonicalize_name

from adrkit.checks import Check, read_checks
from adrkit.checks.kinds.config import ConfigCheck
from adrkit.checks.kinds.dependency import DependencyCheck
from adrkit.checks.kinds.setting import SettingCheck
from adrkit.globs import matches_any
from adrkit.governance import governing_many, readings
from adrkit.model import Status
from adrkit.project_files import ProjectFiles
from adrkit.record import Record
from adrkit.renames import Renames

_IN_FORCE = (Status.ACCEPTED, Status.PROPOSED)
_PACKAGE = "package "


# --- coverage -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Area:
    """A directory with all that is below it. ``governed`` counts files that a record in force
    names, checks, or that cite one; ``records`` are those, in order."""

    path: str
    files: int
    governed: int
    records: tuple[str, ...]

    @property
    def share(self) -> float:
        return self.governed / self.files if self.files else 0.0


@dataclass(frozen=True, slots=True)
class Side:
    """The records of one directory, with the files that may cite them by number. ``place`` stands
    before their labels where there are several."""

    files: ProjectFiles
    records: Sequence[Record]
    renames: Renames | None = None
    place: str = ""

    @property
    def in_force(self) -> list[Record]:
        return [record for record in self.records if record.status_kind in _IN_FORCE]

    def label(self, record: Record) -> str:
        return f"{self.place}/{record.label}" if self.place else record.label


def coverage(
    sides: Sequence[Side],
    *,
    depth: int,
    only: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> tuple[Area, ...]:
    """Areas ``depth`` directories deep, in order of path. ``only`` and ``exclude`` are globs.

    Of several directories each may govern any file, as for ``adr why``.
    """
    files = sides[0].files
    own = {record.path.resolve() for side in sides for record in side.records if record.path}
    names = [
        name
        for name in files.all
        if (not only or matches_any(name, only))
        and not matches_any(name, exclude)
        and (files.root / name).is_file()
        and (files.root / name).resolve() not in own
    ]
    found: dict[str, list[tuple[int, str]]] = {name: [] for name in names}
    for side in sides:
        governed = governing_many(side.files, side.in_force, names, side.renames)
        for name, reasons in governed.items():
            found[name] += (
                (each.record.number or 10**9, side.label(each.record)) for each in reasons
            )
    areas: dict[str, list[str]] = {}
    for name in names:
        folders = name.split("/")[:-1][:depth]
        areas.setdefault("/".join(folders) or ".", []).append(name)
    return tuple(
        Area(
            path,
            len(below),
            sum(bool(found[name]) for name in below),
            tuple(
                dict.fromkeys(
                    label
                    for _, label in sorted(
                        (reason for name in below for reason in found[name]),
                        key=lambda reason: reason[0],
                    )
                )
            ),
        )
        for path, below in sorted(areas.items())
    )


# --- conflicts ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two records in force about one thing. ``contradicts``: they cannot both be kept; else they
    only do not know of each other."""

    first: Record
    second: Record
    subject: str
    contradicts: bool
    message: str
    line: int = 1  # of the second record
    labels: tuple[str, str] = ("", "")  # with their directories where there are several


@dataclass(frozen=True, slots=True)
class _Of:
    """A record in force, and whose it is."""

    side: Side
    record: Record

    @property
    def label(self) -> str:
        return self.side.label(self.record)


@dataclass
class _Pair:
    first: _Of
    second: _Of
    shared: set[str] = field(default_factory=set)


def conflicts(sides: Sequence[Side]) -> tuple[Conflict, ...]:
    """Contradicting checks, then records that speak of the same files or packages without a
    mention of each other. A directory that many records are about is no overlap; a file is. Nor is
    a package that records of two directories are about: each may want it for its own part."""
    in_force = [_Of(side, record) for side in sides for record in side.in_force]
    return (*_contradictions(in_force), *_overlaps(in_force))


def _contradictions(records: Sequence[_Of]) -> Iterator[Conflict]:
    seen: list[tuple[_Of, Check]] = []
    for one in records:
        for check in read_checks(one.record):
            if not isinstance(check, Check) or check.revisit:
                continue
            for other, earlier in seen:
                if other is one:
                    continue
                if (problem := _contradiction(earlier.spec, check.spec)) is not None:
                    subject, message = problem
                    labels = other.label, one.label
                    yield Conflict(
                        other.record, one.record, subject, True, message, check.line, labels
                    )
            seen.append((one, check))


def _contradiction(first: object, second: object) -> tuple[str, str] | None:
    if isinstance(first, DependencyCheck) and isinstance(second, DependencyCheck):
        return _of_dependencies(first, second)
    if isinstance(first, SettingCheck) and isinstance(second, SettingCheck):
        same = (first.file, first.attribute) == (second.file, second.attribute)
        return _of_values(f"{first.attribute} in {first.file}", first, second) if same else None
    if isinstance(first, ConfigCheck) and isinstance(second, ConfigCheck):
        same = (first.file, first.document, first.pointer) == (
            second.file,
            second.document,
            second.pointer,
        )
        return _of_values(f"{first.pointer} of {first.file}", first, second) if same else None
    return None


def _of_dependencies(first: DependencyCheck, second: DependencyCheck) -> tuple[str, str] | None:
    if canonicalize_name(first.package) != canonicalize_name(second.package):
        return None
    if first.scope and second.scope and first.scope != second.scope:
        return None
    if first.files != second.files and not set(first.files) & set(second.files):
        return None
    if first.absent != second.absent:
        return first.package, "one wants it, the other forbids it"
    one, other = first.version, second.version
    if one is not None and other is not None and not first.overlaps(one, other):
        return first.package, f"{one} and {other} have no version in common"
    return None


def _of_values(
    subject: str, first: SettingCheck | ConfigCheck, second: SettingCheck | ConfigCheck
) -> tuple[str, str] | None:
    if first.operator.name == second.operator.name == "==" and first.value != second.value:
        return subject, f"one wants {first.value!r}, the other {second.value!r}"
    return None


def _overlaps(records: Sequence[_Of]) -> Iterator[Conflict]:
    subjects: dict[str, list[_Of]] = {}
    for one in records:
        for subject in _subjects(one.side.files, one.record):
            subjects.setdefault(subject, []).append(one)
    pairs: dict[tuple[int, int], _Pair] = {}
    for subject, about in subjects.items():
        for at, first in enumerate(about):
            for second in about[at + 1 :]:
                is_two_parts_package = first.side is not second.side and subject.startswith(
                    _PACKAGE
                )
                if not is_two_parts_package and not _know_each_other(first, second):
                    pair = pairs.setdefault((id(first), id(second)), _Pair(first, second))
                    pair.shared.add(subject)
    for pair in pairs.values():
        shared = sorted(pair.shared)
        subject = ", ".join(shared[:3]) + (f" and {len(shared) - 3} more" if shared[3:] else "")
        message = "both speak of it, and neither mentions the other"
        first, second = pair.first, pair.second
        labels = first.label, second.label
        yield Conflict(first.record, second.record, subject, False, message, labels=labels)


def _subjects(files: ProjectFiles, record: Record) -> set[str]:
    found: set[str] = set()
    for cited in record.cited_paths:
        for path in readings(files, record, cited.path, is_link=cited.is_link):
            if (files.root / path).is_file():
                found.add(path)
                break
    for check in read_checks(record):
        if not isinstance(check, Check):
            continue
        if isinstance(check.spec, DependencyCheck):
            found.add(f"{_PACKAGE}{canonicalize_name(check.spec.package)}")
        elif isinstance(check.spec, SettingCheck | ConfigCheck):
            found.add(check.spec.file)
    return found


def _know_each_other(one: _Of, other: _Of) -> bool:
    first, second = one.record, other.record
    if one.side is not other.side:  # a number is another record's there; a link says which
        return _links(first, second) or _links(second, first)
    return any(
        other.number is not None
        and (
            other.number in {reference.number for reference in one.references}
            or other.number in {relation.number for relation in one.relations}
        )
        for one, other in ((first, second), (second, first))
    )


def _links(record: Record, other: Record) -> bool:
    if record.path is None or other.path is None:
        return False
    folder, goal = record.path.resolve().parent, other.path.resolve()
    targets = [reference.target for reference in record.references]
    targets += [relation.target for relation in record.relations]
    return any(
        Path(os.path.normpath(folder / unquote(target.split("#")[0]))) == goal
        for target in targets
        if target
    )
