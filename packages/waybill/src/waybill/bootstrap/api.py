"""The parts of the API."""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property

from waybill.bootstrap import shared
from waybill.bootstrap.parts import ProcessParts
from waybill.jobs.announcements import Announcements
from waybill.jobs.changes import ExportChanges
from waybill.jobs.dead_letters import DeadLetters
from waybill.notify.states import NotificationStates
from waybill.requests.access import Access
from waybill.requests.admin import ExportAdministration
from waybill.requests.dry_runs import FairPlaces
from waybill.requests.overview import OperationsView
from waybill.requests.preview import ExportPreviewer
from waybill.requests.quota import QuotaPolicy
from waybill.requests.row_estimates import RowEstimates
from waybill.requests.service import ExportService
from waybill.requests.source_columns import SourceColumns
from waybill.results.delivery import DownloadPolicy, ResultDelivery
from waybill.run.streams import ExportStreams


class ApiParts(ProcessParts):
    """Requests, downloads, events, streams and administration."""

    role = "api"
    reads_sources = True
    takes_requests = True
    is_audited = True

    source = cached_property(shared.create_source)
    source_use = cached_property(shared.create_source_use)
    admission = cached_property(shared.create_admission)
    dry_runs = cached_property(shared.create_dry_runs)
    cleanup = cached_property(shared.create_cleanup)
    monitor = cached_property(shared.create_monitor)
    portal_links = cached_property(shared.create_portal_links)
    sessions = cached_property(shared.create_sessions)

    @cached_property
    def access(self) -> Access:
        return Access(self.catalog, self.clock)

    @cached_property
    def quotas(self) -> QuotaPolicy:
        settings = self.settings
        return QuotaPolicy(
            self.catalog,
            settings.quota_per_day,
            settings.quota_roles,
            refunds_per_day=settings.quota_refunds_per_day,
        )

    @cached_property
    def announcements(self) -> Announcements:
        return Announcements(self.repository.mark_announced)

    @cached_property
    def exports(self) -> ExportService:
        settings = self.settings
        return ExportService(
            repository=self.repository,
            queue=self.queue,
            announcements=self.announcements,
            catalog=self.catalog,
            clock=self.clock,
            access=self.access,
            admission=self.admission,
            quotas=self.quotas,
            previewer=ExportPreviewer(
                source=self.source,
                engine=self.engine,
                timeout_seconds=settings.preview_timeout_seconds,
            ),
            dry_runs=self.dry_runs,
            dry_run_places=FairPlaces(settings.max_dry_runs, settings.dry_run_wait_seconds),
            source_columns=SourceColumns(self.source),
            audit=self.audit,
            folder_of=self._folder_of,
        )

    @cached_property
    def row_estimates(self) -> RowEstimates:
        return RowEstimates(self.source, self.catalog)

    @cached_property
    def streams(self) -> ExportStreams:
        return ExportStreams(
            exports=self.exports,
            admission=self.admission,
            dry_runs=self.dry_runs,
            source=self.source,
            leases=self.leases,
            repository=self.repository,
            quotas=self.quotas,
            clock=self.clock,
            use=self.source_use,
            settings=self.settings,
            family=self.family,
        )

    @cached_property
    def delivery(self) -> ResultDelivery:
        settings = self.settings
        return ResultDelivery(
            self.engine,
            exports=self.exports,
            audit=self.audit,
            policy=DownloadPolicy(
                max_downloads=settings.max_downloads,
                window=timedelta(seconds=settings.download_window_seconds),
            ),
        )

    @cached_property
    def changes(self) -> ExportChanges:
        return ExportChanges(
            self.settings.notification_dsn,
            self.repository.find_many,
            max_watchers=self.settings.max_watchers,
            schema=self.settings.own_schema,
        )

    @cached_property
    def dead_letters(self) -> DeadLetters:
        return DeadLetters(self.repository, self.queue, max_attempts=self.settings.max_attempts)

    @cached_property
    def notification_states(self) -> NotificationStates:
        return NotificationStates(self.engine, self.clock)

    @cached_property
    def administration(self) -> ExportAdministration:
        return ExportAdministration(
            self.engine,
            access=self.access,
            repository=self.repository,
            dead_letters=self.dead_letters,
            notifications=self.notification_states,
            audit=self.audit,
        )

    @cached_property
    def operations(self) -> OperationsView:
        return OperationsView(self.engine, lease_seconds=self.settings.lease_seconds)

    async def close(self) -> None:
        """Close the connections of this process, and let the threads of its streams go."""
        if "streams" in vars(self):
            self.streams.shut_down()
        if "changes" in vars(self):
            await self.changes.close()
        await super().close()
