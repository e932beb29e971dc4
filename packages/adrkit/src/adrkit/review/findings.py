"""What a review says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from adrkit.governance import Governance

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
    that count, ``excused`` those that an exception answers. ``records`` are the diff's own."""

    base: str
    head: str
    commits: int
    files: int
    governed: tuple[tuple[str, tuple[Governance, ...]], ...]
    findings: tuple[ReviewFinding, ...]
    excused: tuple[ReviewFinding, ...]
    records: tuple[str, ...] = ()
    skipped_commands: int = 0

    @property
    def errors(self) -> int:
        return sum(finding.level == "error" for finding in self.findings)
