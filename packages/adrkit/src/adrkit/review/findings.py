"""What a review says."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from adrkit.governance import Governance
from adrkit.record import Record

#: Rules with what they mean. Those of UNDECIDED ask whether there is a decision to record.
RULES: Mapping[str, str] = {
    "broken-check": "A check that held before, or a new one, does not hold behind the diff.",
    "check-removed": "A record in force has fewer checks than before.",
    "stale-citation": "A citation leads to a record that is not there or no longer in force.",
    "stale-path": "A record in force names a file that the diff took away.",
    "undecided-dependency": "A dependency that no record speaks of.",
    "undecided-service": "Something new that runs, without a record.",
    "undecided-schema": "A change of stored or exchanged data, without a record.",
    "undecided-auth": "A change of who may do what, without a record.",
    "exception-invalid": "An exception without a reason, or of a record that is not there.",
}


@dataclass(frozen=True, slots=True)
class ReviewFinding:
    """``level`` is error, warning or note. ``path`` and ``line`` are where the diff does it.

    ``record`` is the label of the record it is about, "" for none; ``place`` its path and line.
    ``excused`` is the reason of an exception, "" where there is none.
    """

    rule: str
    level: str
    message: str
    path: str
    line: int
    record: str = ""
    number: int | None = None
    place: tuple[str, int] | None = None
    excused: str = ""


@dataclass(frozen=True, slots=True)
class Review:
    """``governed`` are the changed files that records speak of, with why. ``findings`` are those
    that count, ``excused`` those that an exception answers. ``records`` are the diff's own.

    ``places`` are the records' paths relative to the project, by those that their reasons have;
    ``several`` is whether they lie in several directories, each with numbers of its own.
    """

    base: str
    head: str
    commits: int
    files: int
    governed: tuple[tuple[str, tuple[Governance, ...]], ...]
    findings: tuple[ReviewFinding, ...]
    excused: tuple[ReviewFinding, ...]
    records: tuple[str, ...] = ()
    skipped_commands: int = 0
    places: Mapping[Path, str] = field(default_factory=dict)
    several: bool = False

    def place(self, record: Record) -> str:
        """ "" for a record that is in no file."""
        return self.places.get(record.path, "") if record.path else ""

    def area(self, record: Record) -> str:
        """The directory that its number is one of, "" where the project has one."""
        return posixpath.dirname(self.place(record)) if self.several else ""

    @property
    def errors(self) -> int:
        return sum(finding.level == "error" for finding in self.findings)
