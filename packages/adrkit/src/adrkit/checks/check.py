"""What a check is: one entry of an ``adr-check`` block, read strictly and evaluated without running
anything of the project (``command`` excepted, when it is allowed)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol, Self

from adrkit.checks.context import CheckContext
from adrkit.checks.table import CheckTable
from adrkit.checks.verdict import Outcome


class Kind(Protocol):
    """One kind of check. Implementations are frozen dataclasses, registered in ``kinds``."""

    kind: ClassVar[str]
    #: Keys that say where the code is. They may follow it in an accepted record without an
    #: amendment; every other key is part of the promise (``adr audit``).
    location_keys: ClassVar[frozenset[str]]

    @classmethod
    def read(cls, table: CheckTable) -> Self:
        """Raises MalformedCheck."""
        ...

    @property
    def title(self) -> str:
        """The check in a few words, for reports."""
        ...

    @property
    def paths(self) -> tuple[str, ...]:
        """Paths and globs of the files it is about: the record governs them (``adr why``)."""
        ...

    def evaluate(self, context: CheckContext) -> Outcome:
        """Raises MissingEvidence, CannotEvaluate, PathOutside, FileTooLarge or UnreadableFile."""
        ...


@dataclass(frozen=True, slots=True)
class Check:
    """One entry of a block; ``line`` is the record's.

    ``revisit``: not a promise but a trigger; when it holds, the decision is due for another look.
    ``alternative`` names the option of the alternatives table that it is about.
    """

    spec: Kind
    line: int
    name: str = ""
    reason: str = ""
    revisit: bool = False
    alternative: str = ""


@dataclass(frozen=True, slots=True)
class Malformed:
    """An entry, or a whole block, that is not a check."""

    message: str
    line: int
    kind: str = "adr-check"
