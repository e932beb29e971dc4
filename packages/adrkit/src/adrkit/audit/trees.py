"""Where two versions of the records stand against each other: pairs, losses and reused numbers."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from adrkit.audit.comparison import DECIDED, Difference, differences
from adrkit.audit.content import Content
from adrkit.document import Document
from adrkit.errors import DocumentError
from adrkit.lint import RULES, LintSettings, ProjectView
from adrkit.lint.fixes import fixed
from adrkit.names import file_number
from adrkit.reading import DEFAULT_READING, Reading
from adrkit.record import Record

# Fixes of the form alone need to know nothing of the project.
_FORM = LintSettings(enabled=frozenset(rule.code for rule in RULES if rule.fixable) - {"ADR705"})
_NO_PROJECT = ProjectView(Path(), Path(), datetime.date.max, frozenset())

# Two texts with half of their lines in common are one record that was renamed.
_SAME_RECORD_SHARE = 0.5


@dataclass
class Version:
    """One version of one record's file. ``path`` is relative to the top level."""

    path: str
    data: bytes
    reading: Reading = DEFAULT_READING

    @cached_property
    def record(self) -> Record | None:
        """None when it is not UTF-8."""
        try:
            return Record(Document.from_bytes(self.data, Path(self.path)), self.reading)
        except DocumentError:
            return None

    @cached_property
    def content(self) -> Content | None:
        return Content(self.record) if self.record else None

    @cached_property
    def mended(self) -> Content | None:
        """The content after all that ``adr lint --fix`` mends, which is form and no decision."""
        if self.record is None:
            return None
        project = replace(_NO_PROJECT, reading=self.reading)
        return Content(Record(fixed(self.record.document, project, _FORM)[0], self.reading))

    @property
    def is_decided(self) -> bool:
        return self.record is not None and self.record.status_kind in DECIDED

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).name

    @property
    def label(self) -> str:
        return self.record.label if self.record else self.name


def number_key(path: str) -> tuple[int, str] | None:
    return file_number(Path(PurePosixPath(path).name))


def compare_versions(old: Version, new: Version) -> tuple[Difference, ...]:
    """``old`` is decided."""
    if old.data == new.data or old.content is None:
        return ()
    if new.content is None:
        return (Difference("unreadable", "it is no longer UTF-8", 1),)
    found = differences(old.content, new.content)
    if any(item.rule == "content-changed" for item in found) and old.mended and new.mended:
        mended = differences(old.mended, new.mended)
        if not any(item.rule == "content-changed" for item in mended):
            return mended
    return found


def same_record(old: Version, new: Version) -> bool:
    if old.content is None or new.content is None:
        return False
    before, after = _telling(old.content), _telling(new.content)
    if not before or not after:
        return False
    return len(before & after) / max(len(before), len(after)) >= _SAME_RECORD_SHARE


def _telling(content: Content) -> set[str]:
    """Lines that tell records apart: not headings and metadata, which come from the template."""
    return {line for line in content.lines[1:] if line and not line.startswith(("#", "**"))}


@dataclass
class Pairing:
    """Files of two trees matched: by path, else by file name (a directory may move)."""

    pairs: list[tuple[Version, Version]] = field(default_factory=list)
    gone: list[Version] = field(default_factory=list)
    added: list[Version] = field(default_factory=list)

    @classmethod
    def of(cls, old: Mapping[str, Version], new: Mapping[str, Version]) -> Pairing:
        found = cls()
        added = {path: version for path, version in new.items() if path not in old}
        by_name: dict[str, list[str]] = {}
        for path, version in added.items():
            by_name.setdefault(version.name, []).append(path)
        for path, version in old.items():
            if path in new:
                found.pairs.append((version, new[path]))
            elif moved := by_name.get(version.name):
                found.pairs.append((version, added.pop(moved.pop(0))))
            else:
                found.gone.append(version)
        found.added = list(added.values())
        return found

    def renamed_to(self, version: Version) -> Version | None:
        """The added file that a gone record became, None when it is simply gone."""
        likely = [item for item in self.added if number_key(item.path) == number_key(version.path)]
        for candidate in (*likely, *self.added):
            if same_record(version, candidate):
                return candidate
        return None
