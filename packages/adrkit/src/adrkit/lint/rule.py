"""What a rule is, what it sees and what it reports."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from adrkit.document import Edit, Span
from adrkit.model import Relation, Status
from adrkit.names import existing
from adrkit.reading import DEFAULT_READING, Reading
from adrkit.record import Record

#: Two pages; of 1,266 records of 25 public projects 40 % are longer.
DEFAULT_MAX_WORDS = 1200


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """What a rule found at a place of one record. ``edits`` mend it, where that is safe.

    ``subject`` is the path that was not found, for rules about paths.
    """

    message: str
    at: Span
    edits: tuple[Edit, ...] = ()
    subject: str | None = None
    severity: Severity | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem with its rule and place. ``line`` and ``column`` count from 1.

    ``source`` is the text of that line, ``length`` the number of characters concerned on it.
    ``moved_to`` is where git says the path that was not found went, relative to the project.
    """

    code: str
    name: str
    severity: Severity
    message: str
    remedy: str
    path: Path
    line: int
    column: int
    length: int
    source: str
    edits: tuple[Edit, ...] = ()
    subject: str | None = None
    moved_to: str | None = None

    @property
    def fixable(self) -> bool:
        return bool(self.edits)


@dataclass(frozen=True)
class ProjectView:
    """What a rule may know beside its record. Cheap to send to another process.

    ``numbers`` are those of all records; ``root`` is the project's.
    """

    root: Path
    directory: Path
    today: datetime.date
    numbers: frozenset[int]
    successors: Mapping[int, Path] = field(default_factory=dict)
    max_words: int = DEFAULT_MAX_WORDS
    reading: Reading = DEFAULT_READING

    @cached_property
    def _known(self) -> dict[Path, bool]:
        return {}

    def exists(self, path: Path) -> bool:
        """Whether a path is there, in either normal form; each is looked up once."""
        if path not in self._known:
            self._known[path] = existing(path) is not None
        return self._known[path]


@dataclass(frozen=True, slots=True)
class Facts:
    """What rules across records need of one record."""

    path: Path
    number: int | None
    label: str
    status: Status | None
    relations: tuple[Relation, ...]
    place: Place
    relation_places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A place that needs no document any more."""

    line: int
    column: int
    length: int
    source: str


@dataclass(frozen=True, slots=True)
class ProjectProblem:
    message: str
    path: Path
    place: Place


RecordCheck = Callable[[Record, ProjectView], Iterable[Problem]]
ProjectCheck = Callable[[Sequence[Facts]], Iterable[ProjectProblem]]

ALL_DIALECTS = ("house", "madr", "nygard", "unmarked")
HOUSE = ("house", "unmarked")


@dataclass(frozen=True, slots=True)
class Rule:
    """``explanation`` says why the rule is there; ``fixable`` that ``--fix`` can mend it."""

    code: str
    name: str
    explanation: str
    remedy: str
    severity: Severity = Severity.ERROR
    dialects: tuple[str, ...] = ALL_DIALECTS
    fixable: bool = False
    check: RecordCheck | None = None
    project_check: ProjectCheck | None = None


class Group:
    """Rules of one module, in the order of their definition."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []

    def rule(
        self,
        code: str,
        name: str,
        *,
        remedy: str,
        severity: Severity = Severity.ERROR,
        dialects: tuple[str, ...] = ALL_DIALECTS,
        fixable: bool = False,
    ) -> Callable[[RecordCheck], RecordCheck]:
        """The function's docstring explains the rule to users."""

        def add(check: RecordCheck) -> RecordCheck:
            why = " ".join((check.__doc__ or "").split())
            self.rules.append(Rule(code, name, why, remedy, severity, dialects, fixable, check))
            return check

        return add

    def across(
        self, code: str, name: str, *, remedy: str, severity: Severity = Severity.ERROR
    ) -> Callable[[ProjectCheck], ProjectCheck]:
        """A rule over all records at once."""

        def add(check: ProjectCheck) -> ProjectCheck:
            why = " ".join((check.__doc__ or "").split())
            self.rules.append(Rule(code, name, why, remedy, severity, project_check=check))
            return check

        return add


def title_span(record: Record) -> Span:
    """Where faults of the record as a whole are shown: its title, else its first line."""
    return record.title.span if record.title else record.document.source.line_span(1)


def place_of(record: Record, span: Span) -> Place:
    source = record.document.source
    position = source.position(span.start)
    text = source.line_text(position.line)
    length = max(1, min(len(span), len(text) - position.column + 1))
    return Place(position.line, position.column, length, text)
