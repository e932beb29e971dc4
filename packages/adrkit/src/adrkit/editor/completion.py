"""Completion of record numbers, statuses and paths."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from adrkit.document import Span
from adrkit.model import Status
from adrkit.project_files import ProjectFiles
from adrkit.record import CHECK_LANGUAGE, Record

_LABEL = re.compile(r"\bADR-?\d*$", re.IGNORECASE)
_STATUS = re.compile(r"^\*\*Status:\*\*[ \t]*(?P<typed>[A-Za-z ]*)$")
_TARGET = re.compile(r"\]\((?P<typed>[^()\s<>]*)$")
_CODE = re.compile(r"`(?P<typed>[^`\s]*)$")
_QUOTED = re.compile(r"[\"'](?P<typed>[^\"'\s]*)$")
_FENCE = re.compile(r"^(`{3,}|~{3,})[ \t]*(\S*)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """``kind`` is "record", "status", "file" or "folder"."""

    text: str
    kind: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Completion:
    """``span`` of the text is what a suggestion replaces."""

    span: Span
    suggestions: tuple[Suggestion, ...]


def complete(
    records: Sequence[Record],
    files: ProjectFiles,
    in_record: bool,
    path: Path,
    text: str,
    offset: int,
) -> Completion | None:
    """What may be meant before ``offset``. Numbers in every file, the rest in records only."""
    low = max(text.rfind("\n", 0, offset), text.rfind("\r", 0, offset)) + 1
    before = text[low:offset]

    def found(start: int, suggestions: Iterable[Suggestion]) -> Completion:
        return Completion(Span(start, offset), tuple(suggestions))

    if in_record:
        if match := _STATUS.match(before):
            return found(low + match.start("typed"), _statuses(records))
        if match := _TARGET.search(before):
            folder = path.resolve().parent
            typed = match["typed"]
            return found(low + match.start("typed"), _targets(records, files, folder, typed))
    if match := _LABEL.search(before):
        return found(low + match.start(), _labels(records))
    if in_record:
        pattern = _QUOTED if _in_check(text[:offset]) else _CODE
        if (match := pattern.search(before)) and before.count(before[match.start()]) % 2:
            return found(low + match.start("typed"), _paths(files.all, match["typed"]))
    return None


def _labels(records: Sequence[Record]) -> Iterator[Suggestion]:
    for record in records:
        if record.number is not None:
            yield Suggestion(f"ADR-{record.number:04d}", "record", _about(record))


def _about(record: Record) -> str:
    status = record.status_kind.value if record.status_kind else "no status"
    return f"{record.name} ({status})"


def _statuses(records: Sequence[Record]) -> Iterator[Suggestion]:
    for status in Status:
        if status is not Status.SUPERSEDED:
            yield Suggestion(status.value, "status")
    for label in _labels(records):
        yield Suggestion(f"Superseded by {label.text}", "status", label.detail)


def _targets(
    records: Sequence[Record], files: ProjectFiles, folder: Path, typed: str
) -> Iterator[Suggestion]:
    """Other records by file name, and the paths below what is typed, seen from ``folder``."""
    if "/" not in typed:
        for record in records:
            if record.path and record.path.resolve().parent == folder:
                yield Suggestion(record.path.name, "record", _about(record))
    relative = [
        os.path.relpath(files.root / name, folder).replace(os.sep, "/") for name in files.all
    ]
    known = {record.path.name for record in records if record.path} if "/" not in typed else set()
    yield from (item for item in _paths(relative, typed) if item.text not in known)


def _paths(names: Iterable[str], typed: str) -> Iterator[Suggestion]:
    """The next step of every path that begins with what is typed."""
    start = typed.rpartition("/")[0]
    prefix = f"{start}/" if start else ""
    steps: dict[str, str] = {}
    for name in names:
        if not name.startswith(typed):
            continue
        step, slash, _ = name[len(prefix) :].partition("/")
        steps.setdefault(prefix + step + slash, "folder" if slash else "file")
    for step, kind in sorted(steps.items()):
        yield Suggestion(step, kind)


def _in_check(before: str) -> bool:
    """Whether the end of ``before`` stands in an adr-check block."""
    mark, language = "", ""
    for match in _FENCE.finditer(before):
        if not mark:
            mark, language = match.group(1), match.group(2)
        elif match.group(1).startswith(mark) and not match.group(2):
            mark = ""
    return bool(mark) and language == CHECK_LANGUAGE
