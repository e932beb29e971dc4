"""What a check found, and what that means for a record of a given status."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from adrkit.model import Status
from adrkit.renames import Followed


class Verdict(StrEnum):
    """``ERROR``: the check could not be carried out as it is written; it says nothing."""

    PASS = "pass"  # noqa: S105 - a verdict
    VIOLATED = "violated"
    STALE = "stale"
    MISSING = "missing"
    ERROR = "error"


class Level(StrEnum):
    """``ERROR`` fails the command, ``NONE`` is not worth a line unless everything is asked for."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Evidence:
    """The place in the project that a verdict rests on; ``line`` counts from 1."""

    path: str
    line: int | None = None

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" if self.line else self.path


@dataclass(frozen=True, slots=True)
class Outcome:
    verdict: Verdict
    message: str
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """One line of the report. ``path`` and ``line`` are the check's own place, in the record (or,
    for a citation, in the code); ``number`` is the record's. ``followed`` are paths of the check
    that are gone, with where they are now."""

    label: str
    number: int | None
    path: str
    line: int
    kind: str
    verdict: Verdict
    level: Level
    message: str
    reason: str = ""
    name: str = ""
    evidence: Evidence | None = None
    malformed: bool = field(default=False)
    followed: tuple[Followed, ...] = ()


def passed(message: str, evidence: Evidence | None = None) -> Outcome:
    return Outcome(Verdict.PASS, message, evidence)


def violated(message: str, evidence: Evidence | None = None) -> Outcome:
    return Outcome(Verdict.VIOLATED, message, evidence)


def judged(holds: bool, message: str, evidence: Evidence | None = None) -> Outcome:
    return Outcome(Verdict.PASS if holds else Verdict.VIOLATED, message, evidence)


class MissingEvidence(Exception):
    """The file or value a check speaks of is not there: neither kept nor broken."""

    def __init__(self, message: str, evidence: Evidence | None = None) -> None:
        super().__init__(message)
        self.evidence = evidence


class CannotEvaluate(Exception):
    """The check cannot be carried out as written; the message says what to change."""

    def __init__(self, message: str, evidence: Evidence | None = None) -> None:
        super().__init__(message)
        self.evidence = evidence


#: No longer, or never, what the project wants: a check that still holds is what is reported.
PAST = (Status.SUPERSEDED, Status.DEPRECATED, Status.REJECTED)


def level_of(status: Status | None, verdict: Verdict, *, revisit: bool) -> Level:
    """What a verdict weighs under a record's status.

    Accepted enforces, and so does a status that is not understood: a misspelling must not switch
    checks off. Proposed advises. For what is over, only what still holds is worth a word.
    A ``revisit`` check states a trigger: it never fails, and speaks up when it holds or cannot be
    evaluated.
    """
    if revisit:
        if status in PAST:
            return Level.NONE
        return Level.NONE if verdict is Verdict.VIOLATED else Level.NOTE
    if status in PAST:
        return Level.WARNING if verdict in (Verdict.PASS, Verdict.ERROR) else Level.NONE
    if verdict is Verdict.PASS:
        return Level.NONE
    return Level.NOTE if status is Status.PROPOSED else Level.ERROR
