"""What people can do with exports. Rights are decided here, HTTP is not known here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from waybill.audit.audit import AuditAction, AuditLog
from waybill.catalog import Catalog, ExportType
from waybill.clock import Clock
from waybill.errors import (
    ExportGone,
    ExportNotFound,
    ExportNotReady,
    PermissionDenied,
    PersonalDataDenied,
    QueueUnavailable,
    RecentLoginRequired,
    TenantRequired,
)
from waybill.jobs.job import ExportJob, ExportStatus
from waybill.jobs.queue import ExportQueue
from waybill.jobs.repository import ExportRepository
from waybill.log import get_logger
from waybill.principal import ADMIN, READ, REQUEST, Principal
from waybill.requests.admission import Admission, AdmissionDesk
from waybill.requests.preview import ExportPreviewer, Preview
from waybill.requests.quota import QuotaPolicy, QuotaState
from waybill.requests.request import ExportRequest
from waybill.requests.source_columns import SourceColumns

log = get_logger(__name__)


class ExportService:
    """Request, read, cancel and delete exports."""

    def __init__(
        self,
        *,
        repository: ExportRepository,
        queue: ExportQueue,
        catalog: Catalog,
        clock: Clock,
        desk: AdmissionDesk,
        quotas: QuotaPolicy,
        previewer: ExportPreviewer,
        source_columns: SourceColumns,
        audit: AuditLog,
    ) -> None:
        self._repository = repository
        self._queue = queue
        self._catalog = catalog
        self._clock = clock
        self._desk = desk
        self._quotas = quotas
        self._previewer = previewer
        self._source_columns = source_columns
        self._audit = audit

    async def request(
        self, principal: Principal, request: ExportRequest, *, idempotency_key: str | None = None
    ) -> Admission:
        """Create a job, or give the one that answers the request already: commit the row, then
        publish its id.

        A broker that does not answer is no failure: the row is the truth, and the sweeper
        publishes it.

        Raises:
            PermissionDenied, PersonalDataDenied, TenantRequired, RecentLoginRequired,
            UnknownExportType, UnknownFormat,
            UnknownColumn, UnknownFilter, InvalidFilter, InvalidOption, IdempotencyKeyInUse,
            IdempotencyKeyReused, QuotaExceeded
        """
        checked, _ = await self.check(principal, request)
        admission = await self._desk.admit(
            principal,
            checked,
            bucket=self._quotas.bucket(principal, checked.export_type),
            key=idempotency_key,
        )
        job = admission.job
        if admission.is_repeated:
            log.info("export.answer_repeated", export_id=str(job.id))
        elif not admission.is_new:
            log.info("export.coalesced", export_id=str(job.id))
        else:
            log.info(
                "export.requested", export_id=str(job.id), type=job.export_type, format=job.format
            )
            await self._publish(job)
        return admission

    async def preview(
        self, principal: Principal, request: ExportRequest
    ) -> tuple[Preview, QuotaState | None]:
        """Return what an export would be, and how the quota stands. Nothing is stored or spent.

        Raises:
            SourceUnreadable, and what ``request`` raises about the request itself
        """
        checked, export_type = await self.check(principal, request)
        # Recorded first: the preview hands out rows.
        await self._audit.record(principal, AuditAction.PREVIEWED, export_type=checked.export_type)
        preview = await self._previewer.preview(principal, checked, export_type)
        bucket = self._quotas.bucket(principal, checked.export_type)
        return preview, await self._desk.quota(principal, bucket)

    def find_type(self, principal: Principal, name: str) -> ExportType:
        """Return the type, for one who may request exports at all.

        Raises:
            PermissionDenied, UnknownExportType
        """
        self._require(principal, REQUEST)
        return self._catalog.get_type(name)

    async def check(
        self, principal: Principal, request: ExportRequest
    ) -> tuple[ExportRequest, ExportType]:
        """Return the request in its canonical form, if the principal may make it, and its type.

        Raises:
            PermissionDenied, PersonalDataDenied, TenantRequired, UnknownExportType, UnknownFormat,
            UnknownColumn, UnknownFilter, InvalidFilter, InvalidOption
        """
        export_type = self.find_type(principal, request.export_type)
        for scope in export_type.requires:
            self._require(principal, scope)
        self._require_recent_login(principal, export_type)
        checked = request.canonical(export_type)
        personal = export_type.personal_columns(checked.reads(export_type))
        denied = next((column.pii for column in personal if not principal.may(column.pii)), None)
        if denied is not None:
            raise PersonalDataDenied(tuple(c.name for c in personal if c.pii == denied), denied)
        if not _has_rows(export_type, principal):
            raise TenantRequired(export_type.name)
        await self._source_columns.check(export_type, checked.columns)
        return checked, export_type

    async def _publish(self, job: ExportJob) -> None:
        try:
            await self._queue.publish(job.id)
        except QueueUnavailable:
            log.warning("export.publish_deferred", export_id=str(job.id))
        else:
            await self._repository.mark_published([job.id])

    def offered(self, principal: Principal) -> Sequence[ExportType]:
        """Return the types that the principal may request, by name.

        Raises:
            PermissionDenied: they may request nothing at all.
        """
        self._require(principal, REQUEST)
        return [
            export_type
            for _, export_type in sorted(self._catalog.items())
            if all(map(principal.may, export_type.requires)) and _has_rows(export_type, principal)
        ]

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
        return await self._repository.list_for(
            principal.subject, principal.tenant, limit=limit, before=before
        )

    async def get_result(self, principal: Principal, export_id: UUID) -> ExportJob:
        """Return a completed job whose file may be fetched now.

        Raises:
            ExportNotFound, ExportNotReady, ExportGone, RecentLoginRequired
        """
        job = await self.get(principal, export_id)
        export_type = self._catalog.get(job.export_type)
        if export_type is not None:
            self._require_recent_login(principal, export_type)
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

    def _require_recent_login(self, principal: Principal, export_type: ExportType) -> None:
        seconds = export_type.requires_recent_login_seconds
        if seconds is None:
            return
        signed_in_at = principal.authenticated_at
        if signed_in_at is None or self._clock.now() - signed_in_at > timedelta(seconds=seconds):
            raise RecentLoginRequired(export_type.name, seconds)

    @staticmethod
    def _may_see(principal: Principal, job: ExportJob) -> bool:
        same_tenant = job.tenant == principal.tenant
        own = job.requested_by == principal.subject and same_tenant
        return own or principal.may(ADMIN)

    @staticmethod
    def _require(principal: Principal, scope: str) -> None:
        if not principal.may(scope):
            raise PermissionDenied(scope)


def _has_rows(export_type: ExportType, principal: Principal) -> bool:
    scope = export_type.scope
    return scope is None or not scope.needs_tenant or principal.tenant is not None
