"""A part of all jobs, as one rule with two readings: in Python for a job, in SQL for a list.

Whose jobs somebody reaches is decided in ``requests.access``; here it is only carried out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, true

from waybill.jobs.job import ExportJob
from waybill.jobs.tables import export_jobs as jobs


@dataclass(frozen=True, slots=True)
class Reach:
    """The jobs whose fields are all as ``equal`` says, code point by code point.

    ``equal`` holds pairs of a field of ``ExportJob`` and its value. ``None`` is equal to ``None``
    alone: who has no tenant reaches what has none.
    """

    equal: tuple[tuple[str, str | None], ...] = ()

    @property
    def is_everything(self) -> bool:
        return not self.equal

    def includes(self, job: ExportJob) -> bool:
        """Whether ``job`` is among them."""
        return all(getattr(job, name) == value for name, value in self.equal)

    def includes_values(self, values: Mapping[str, str | None]) -> bool:
        """Whether a job with these ``values`` of its fields would be among them."""
        return all(values[name] == value for name, value in self.equal)

    def condition(self, columns: Mapping[str, Any] | None = None) -> ColumnElement[bool]:
        """Return the same rule for a WHERE; ``columns`` are what stands in another table for
        those of jobs."""
        found: Any = jobs.c if columns is None else columns
        # Not IS NOT DISTINCT FROM, which no index serves.
        return and_(
            true(),
            *(
                found[name].is_(None) if value is None else found[name] == value
                for name, value in self.equal
            ),
        )


EVERYTHING: Final = Reach()
"""For the service's own housekeeping, and for operators, who hold the database's password."""
