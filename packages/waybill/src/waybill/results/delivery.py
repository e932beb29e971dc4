"""Handing results out: who may, how often, and that it is recorded before the first byte leaves."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from waybill.audit.audit import AuditAction, AuditLog
from waybill.audit.audit_tables import export_downloads as downloads
from waybill.errors import DownloadLimitReached, ExportGone, ResultUnreadable, RunError
from waybill.jobs.job import ExportJob, ExportStatus
from waybill.jobs.tables import export_jobs as jobs
from waybill.principal import Principal
from waybill.requests.service import ExportService
from waybill.storage.base import Storage


@dataclass(frozen=True, slots=True)
class DownloadPolicy:
    """How often a file may be downloaded; ``max_downloads`` ``None`` means as often as wanted.

    All requests of one person for one file within ``window`` of the first are one download: a
    file is resumed, or fetched in several ranges at once, without being counted again.
    """

    max_downloads: int | None
    window: timedelta


class ResultDelivery:
    """Gives out manifests and files of completed exports.

    Args:
        engine: waybill's own database.
        exports: decides who may see which job.
        audit: told of every manifest and every download.
        policy: how often a file may be downloaded.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        exports: ExportService,
        audit: AuditLog,
        policy: DownloadPolicy,
    ) -> None:
        self._engine = engine
        self._exports = exports
        self._audit = audit
        self._policy = policy

    async def read_manifest(self, principal: Principal, export_id: UUID) -> dict[str, Any]:
        """Return the manifest of a completed job.

        Raises:
            what ``ExportService.get_result`` raises
        """
        job = await self._exports.get_result(principal, export_id)
        await self._audit.record(
            principal, AuditAction.READ, export_id=job.id, export_type=job.export_type
        )
        async with self._engine.connect() as connection:
            found = await connection.scalar(select(jobs.c.manifest).where(jobs.c.id == job.id))
        return dict(found or {})

    async def require_object(self, job: ExportJob, storage: Storage) -> None:
        """Make sure that a completed job's object is there; if it is gone, the job is marked so.

        That happens where our database failed over and forgot that the file had been deleted, or
        where somebody else deletes in the bucket.

        Raises:
            ExportGone: there is no such object.
            ResultUnreadable: storage cannot tell, or the object has been moved meanwhile.
        """
        try:
            if await asyncio.to_thread(storage.modified_at, job.object_key or "") is not None:
                return
            # A bucket that is gone, or that we may not see, answers like an object that is.
            await asyncio.to_thread(storage.check)
        except RunError as exc:
            raise ResultUnreadable from exc
        if not await self._exports.mark_gone(job):
            raise ResultUnreadable
        raise ExportGone(ExportStatus.DELETED.value)

    async def begin_download(self, principal: Principal, job: ExportJob, *, how: str) -> None:
        """Count and record a request for the file; after this, bytes or a link may leave.

        Args:
            principal: who downloads.
            job: what ``ExportService.get_result`` returned.
            how: ``redirect`` or ``stream``, for the trail.

        Raises:
            DownloadLimitReached: it was downloaded as often as it may be.
            ExportGone: it was taken out of reach in the meantime.
        """
        async with self._engine.begin() as connection:
            # Downloads of one job take turns here, and none overtakes a revocation.
            status = await connection.scalar(
                select(jobs.c.status).where(jobs.c.id == job.id).with_for_update(key_share=True)
            )
            if status != ExportStatus.COMPLETED.value:
                raise ExportGone(status or ExportStatus.DELETED.value)
            await self._count(connection, principal, job.id)
            await self._audit.record(
                principal,
                AuditAction.DOWNLOADED,
                export_id=job.id,
                export_type=job.export_type,
                code=how,
                connection=connection,
            )

    async def _count(
        self, connection: AsyncConnection, principal: Principal, export_id: UUID
    ) -> None:
        continued = await connection.execute(
            update(downloads)
            .where(
                downloads.c.export_id == export_id,
                downloads.c.subject == principal.subject,
                downloads.c.tenant.is_not_distinct_from(principal.tenant),
                downloads.c.opened_at > func.now() - self._policy.window,
            )
            .values(requests=downloads.c.requests + 1)
        )
        if continued.rowcount:
            return
        limit = self._policy.max_downloads
        if limit is not None:
            count = await connection.scalar(
                select(func.count())
                .select_from(downloads)
                .where(downloads.c.export_id == export_id)
            )
            if (count or 0) >= limit:
                raise DownloadLimitReached(limit)
        await connection.execute(
            insert(downloads).values(
                export_id=export_id, subject=principal.subject, tenant=principal.tenant
            )
        )
