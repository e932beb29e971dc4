"""Which jobs a list is asked for: the one rule of every list."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, tuple_

from waybill.jobs.job import ExportStatus
from waybill.jobs.tables import export_jobs as jobs


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs; a field left ``None`` does not narrow. ``before`` pages: the creation time and
    id of the last job seen."""

    status: ExportStatus | None = None
    export_type: str | None = None
    requested_by: str | None = None
    tenant: str | None = None
    error_code: str | None = None
    created_since: datetime | None = None
    created_until: datetime | None = None
    before: tuple[datetime, UUID] | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the rule for a WHERE."""
        equal: dict[Any, Any] = {
            jobs.c.status: self.status and self.status.value,
            jobs.c.export_type: self.export_type,
            jobs.c.requested_by: self.requested_by,
            jobs.c.tenant: self.tenant,
            jobs.c.error_code: self.error_code,
        }
        found = [column == value for column, value in equal.items() if value is not None]
        if self.created_since is not None:
            found.append(jobs.c.created_at >= self.created_since)
        if self.created_until is not None:
            found.append(jobs.c.created_at < self.created_until)
        if self.before is not None:
            found.append(tuple_(jobs.c.created_at, jobs.c.id) < self.before)
        return found
