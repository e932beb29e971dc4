"""How a project's records are to be read: its own words for statuses, sections and header lines.

Views only: a record keeps the words it has.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from adrkit.model import SectionName, Status


@dataclass(frozen=True)
class Reading:
    """Pairs of the casefolded word and what it means.

    ``statuses``: "in betrieb" is Accepted; ``headings``: "entscheidung" is the decision;
    ``fields``: "datum" is the key ``date``.
    """

    statuses: tuple[tuple[str, Status], ...] = ()
    headings: tuple[tuple[str, SectionName], ...] = ()
    fields: tuple[tuple[str, str], ...] = ()

    @cached_property
    def status_words(self) -> dict[str, Status]:
        return dict(self.statuses)

    @cached_property
    def section_names(self) -> dict[str, SectionName]:
        return dict(self.headings)

    @cached_property
    def field_names(self) -> dict[str, str]:
        return dict(self.fields)


DEFAULT_READING = Reading()
