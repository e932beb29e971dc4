"""What people can do with exports. Rights are decided here, HTTP is not known here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from waybill.catalog import Catalog
from waybill.clock import Clock
from waybill.errors import (
    ExportGone,
    ExportNotFound,
    ExportNotReady,
    PermissionDenied,
    QueueUnavailable,
)
from waybill.exports.audit import AuditAction, AuditLog
from waybill.exports.job import ExportJob, ExportStatus
from waybill.exports.principal import ADMIN, READ, REQUEST, Principal
from waybill.exports.queue import ExportQueue
from waybill.exports.repository import ExportRepository
from waybill.exports.request import ExportRequest
from waybill.log import get_logger

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ServiceLimits:
    """The part of the settings the service needs."""

    max_attempts: int


class ExportService:
    """Request, read, cancel and delete exports."""

    def __init__(
        self,
        *,
        repository: ExportRepository,
        queue: ExportQueue,
        catalog: Catalog,
        clock: Clock,
        limits: ServiceLimits,
        audit: AuditLog,
    ) -> None:
        self._repository = repository
        self._queue = queue
        self._catalog = catalog
        self._clock = clock
        self._limits = limits
        self._audit = audit

    async def request(self, principal: Principal, request: ExportRequest) -> ExportJob:
        """Create a job: commit the row, then publish its id.

        A broker that does not answer is no failure: the row is the truth, and the sweeper
        publishes it.

        Raises:
            PermissionDenied, UnknownExportType, UnknownFormat, UnknownColumn, InvalidOption
        """
        self._require(principal, REQUEST)
        request.validate(self._catalog)
        job = await self._repository.add(
            export_type=request.export_type,
            format=request.format,
            options=request.options_json(),
            requested_by=principal.subject,
            tenant=principal.tenant,
            max_attempts=self._limits.max_attempts,
        )
        log.info("export.requested", export_id=str(job.id), type=job.export_type, format=job.format)
        try:
            await self._queue.publish(job.id)
        except QueueUnavailable:
            log.warning("export.publish_deferred", export_id=str(job.id))
        else:
            await self._repository.mark_published([job.id])
        return job

    async def get(self, principal: Principal, export_id: UUID) -> ExportJob:
        """Return a job the principal may see.

        Raises:
            ExportNotFound: there is none, or it is another person's.
        """
        self._require(principal, READ)
        job = await self._repository.find(export_id)
        if job is None or not self._may_see(principal, job):
            raise ExportNotFound(str(export_id))
        return job

    async def list(
        self, principal: Principal, *, limit: int, before: datetime | None = None
    ) -> Sequence[ExportJob]:
        """Return the principal's own jobs, newest first."""
        self._require(principal, READ)
        return await self._repository.list_for(principal.subject, limit=limit, before=before)

    async def get_result(self, principal: Principal, export_id: UUID) -> ExportJob:
        """Return a completed job whose file may be fetched now.

        Raises:
            ExportNotFound, ExportNotReady, ExportGone
        """
        job = await self.get(principal, export_id)
        if job.status.had_file:
            raise ExportGone(job.status.value)
        if job.status is not ExportStatus.COMPLETED:
            raise ExportNotReady(job.status.value)
        if job.expires_at is not None and job.expires_at <= self._clock.now():
            # Past its time, though the sweeper has not been by yet.
            raise ExportGone(ExportStatus.EXPIRED.value)
        return job

    async def discard(self, principal: Principal, export_id: UUID) -> ExportJob:
        """Cancel an unfinished job, or put a completed job's file out of reach for good.

        Does nothing to a job that is over already, so it can be repeated.
        """
        job = await self.get(principal, export_id)
        self._require(principal, REQUEST)
        changed = await self._repository.cancel(
            export_id, witnesses=[self._audit.witness(principal, AuditAction.CANCELLED)]
        )
        if changed is not None:
            log.info("export.cancelled", export_id=str(export_id))
            return changed
        changed = await self._repository.mark_deleted(
            export_id, witnesses=[self._audit.witness(principal, AuditAction.DELETED)]
        )
        if changed is not None:
            # The sweeper deletes the object: at once if it can, again until it could.
            log.info("export.deleted", export_id=str(export_id))
            return changed
        return await self.get(principal, job.id)

    @staticmethod
    def _may_see(principal: Principal, job: ExportJob) -> bool:
        same_tenant = job.tenant == principal.tenant
        own = job.requested_by == principal.subject and same_tenant
        return own or principal.may(ADMIN)

    @staticmethod
    def _require(principal: Principal, scope: str) -> None:
        if not principal.may(scope):
            raise PermissionDenied(scope)
