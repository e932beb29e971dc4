"""What people can do with exports. Rights are decided in ``access``, HTTP is not known here."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from waybill import tracing
from waybill.audit.audit import AuditAction, AuditLog
from waybill.catalog import Catalog, ExportType
from waybill.clock import Clock
from waybill.errors import ExportGone, ExportNotReady, QueueUnavailable
from waybill.jobs.announcements import Announcements
from waybill.jobs.job import ExportJob, ExportStatus
from waybill.jobs.job_filter import JobFilter
from waybill.jobs.queue import ExportQueue
from waybill.jobs.repository import ExportRepository
from waybill.log import get_logger
from waybill.principal import Principal
from waybill.requests.access import Access, Deed
from waybill.requests.admission import Admission, Admitted
from waybill.requests.dry_runs import DryRunBudget, FairPlaces
from waybill.requests.object_folder import FolderOf, ask_for_folder
from waybill.requests.preview import MOST_ROWS, ExportPreviewer, Preview
from waybill.requests.quota import QuotaBucket, QuotaPolicy, QuotaState
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
        announcements: Announcements,
        catalog: Catalog,
        clock: Clock,
        access: Access,
        admission: Admission,
        quotas: QuotaPolicy,
        previewer: ExportPreviewer,
        dry_runs: DryRunBudget,
        dry_run_places: FairPlaces,
        source_columns: SourceColumns,
        audit: AuditLog,
        folder_of: FolderOf | None = None,
    ) -> None:
        self._repository = repository
        self._queue = queue
        self._announcements = announcements
        self._catalog = catalog
        self._clock = clock
        self._access = access
        self._admission = admission
        self._quotas = quotas
        self._previewer = previewer
        self._dry_runs = dry_runs
        self._dry_run_places = dry_run_places
        self._source_columns = source_columns
        self._audit = audit
        self._folder_of = folder_of

    async def request(
        self, principal: Principal, request: ExportRequest, *, idempotency_key: str | None = None
    ) -> Admitted:
        """Create a job, or give the one that answers the request already: commit the row, then
        publish its id.

        A broker that does not answer is no failure: the row is the truth, and the sweeper
        publishes it.

        Raises:
            PermissionDenied, PersonalDataDenied, RecentLoginRequired, UnknownExportType,
            UnknownFormat, FormatNotInstalled, UnknownColumn, UnknownFilter, InvalidFilter,
            InvalidOption, ObjectFolderRefused,
            IdempotencyKeyInUse, IdempotencyKeyReused, QuotaExceeded
        """
        with tracing.span("export.request", kind="server") as span:
            admitted = await self._request(principal, request, idempotency_key)
            job = admitted.job
            span.set(export_id=str(job.id), type=job.export_type, format=job.format)
            span.set(is_new=admitted.is_new)
        return admitted

    async def _request(
        self, principal: Principal, request: ExportRequest, idempotency_key: str | None
    ) -> Admitted:
        checked, _ = await self.check(principal, request)
        folder = ask_for_folder(self._folder_of, principal, checked, self._clock.now())
        admitted = await self._admission.admit(
            principal,
            checked,
            bucket=self._quotas.bucket(principal, checked.export_type),
            key=idempotency_key,
            folder=folder,
        )
        job = admitted.job
        if admitted.is_repeated:
            log.info("export.answer_repeated", export_id=str(job.id))
        elif not admitted.is_new:
            log.info("export.coalesced", export_id=str(job.id))
        else:
            log.info(
                "export.requested", export_id=str(job.id), type=job.export_type, format=job.format
            )
            await self._publish(job)
        return admitted

    async def preview(
        self, principal: Principal, request: ExportRequest
    ) -> tuple[Preview, QuotaState | None]:
        """Return what an export would be, and how the quota stands, of which nothing is spent. Dry
        runs have a budget of their own. Cancelled, it ends what it does at the source.

        Raises:
            DryRunsExceeded, TooManyDryRuns, SourceUnreadable, and what ``request`` raises about the
            request itself
        """
        checked, export_type = await self.check(principal, request)
        # Before the wait too, so that who has none left takes no place.
        await self._dry_runs.check(principal)
        async with (
            self._dry_run_places.hold((principal.tenant, principal.subject)),
            self._dry_runs.spend(principal, MOST_ROWS) as charge,
        ):
            # Recorded first: the preview hands out rows.
            await self._audit.record(
                principal, AuditAction.PREVIEWED, export_type=checked.export_type
            )
            preview = await self._previewer.preview(principal, checked, export_type)
            charge.rows = preview.rows_read
        bucket = self._quotas.bucket(principal, checked.export_type)
        return preview, await self._admission.quota(principal, bucket)

    async def quotas(
        self, principal: Principal
    ) -> Sequence[tuple[QuotaState | None, tuple[str, ...]]]:
        """Return how the principal's quotas stand, each with the offered types it counts."""
        types_of: dict[QuotaBucket | None, list[str]] = {}
        for each in self.offered(principal):
            bucket = self._quotas.bucket(principal, each.name)
            types_of.setdefault(bucket, []).append(each.name)
        return [
            (await self._admission.quota(principal, bucket), tuple(types))
            for bucket, types in types_of.items()
        ]

    def find_type(self, principal: Principal, name: str) -> ExportType:
        """Return the type, as ``Access.find_type``."""
        return self._access.find_type(principal, name)

    async def check(
        self, principal: Principal, request: ExportRequest
    ) -> tuple[ExportRequest, ExportType]:
        """Return the request in its canonical form, if the principal may make it, and its type.

        Raises:
            what ``Access.check_request`` raises
            UnknownColumn: the source has no such column.
            InvalidOption: the format cannot have the source's columns with these options.
        """
        checked = self._access.check_request(principal, request)
        export_type = self._catalog.get_type(checked.export_type)
        await self._source_columns.check(export_type, checked)
        return checked, export_type

    async def _publish(self, job: ExportJob) -> None:
        try:
            with tracing.span("queue.publish", kind="producer"):
                await self._queue.publish(job.id)
        except QueueUnavailable as exc:
            log.warning("export.publish_deferred", export_id=str(job.id), error=str(exc))
        else:
            await self._announcements.note(job.id)

    def offered(self, principal: Principal) -> Sequence[ExportType]:
        """Return the types that the principal may request, as ``Access.offered``."""
        return self._access.offered(principal)

    async def get(self, principal: Principal, export_id: UUID) -> ExportJob:
        """Return a job the principal may see.

        Raises:
            PermissionDenied
            ExportNotFound: there is none, or it is out of reach.
        """
        return await self._admit(principal, Deed.SEE, export_id)

    async def list(
        self, principal: Principal, wanted: JobFilter | None = None, *, limit: int
    ) -> Sequence[ExportJob]:
        """Return the principal's own jobs, newest first."""
        reach = self._access.reach(principal, Deed.LIST_OWN)
        return await self._repository.list_within(reach, wanted, limit=limit)

    async def watch(self, principal: Principal, export_id: UUID) -> ExportJob:
        """Return a job whose progress the principal may follow to its end: that takes the rights
        to its file.

        Raises:
            PermissionDenied, ExportNotFound, FileDenied, RecentLoginRequired
        """
        job = await self._admit(principal, Deed.FETCH, export_id)
        self._access.check_file(principal, job)
        return job

    async def get_result(self, principal: Principal, export_id: UUID) -> ExportJob:
        """Return a completed job whose file may be fetched now.

        Raises:
            PermissionDenied, ExportNotFound, FileDenied, RecentLoginRequired, ExportNotReady,
            ExportGone
        """
        job = await self.watch(principal, export_id)
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

        Raises:
            PermissionDenied, ExportNotFound
        """
        job = await self._admit(principal, Deed.DISCARD, export_id)
        changed = await self._repository.cancel(
            export_id, audit=[self._audit.listener(principal, AuditAction.CANCELLED)]
        )
        if changed is not None:
            log.info("export.cancelled", export_id=str(export_id))
            return changed
        changed = await self._repository.mark_deleted(
            export_id, audit=[self._audit.listener(principal, AuditAction.DELETED)]
        )
        if changed is not None:
            # The sweeper deletes the object: at once if it can, again until it could.
            log.info("export.deleted", export_id=str(export_id))
            return changed
        return await self._admit(principal, Deed.DISCARD, job.id)

    async def mark_gone(self, job: ExportJob) -> bool:
        """Mark a completed job whose object is no longer where its row says; ``False`` where the
        row has changed since ``job`` was read."""
        changed = await self._repository.mark_gone(job)
        if changed is not None:
            log.error("export.object_gone", export_id=str(job.id), storage=job.storage)
        return changed is not None

    async def _admit(self, principal: Principal, deed: Deed, export_id: UUID) -> ExportJob:
        job = await self._repository.find(export_id)
        job = self._access.admit(principal, deed, job, export_id)
        await self._audit.record_look(principal, job)
        return job
