"""Builds everything, once per process. The only place where adapters are constructed; importing
any module of this package does no work."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType
from typing import Self

from celery import Celery
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from waybill.audit.audit import AuditLog
from waybill.catalog import Catalog, load
from waybill.clock import Clock, SystemClock
from waybill.config import Settings
from waybill.errors import ResultUnreadable, WaybillError
from waybill.jobs.celery_app import create_celery
from waybill.jobs.changes import ExportChanges
from waybill.jobs.checkpoints import forget_checkpoint
from waybill.jobs.dead_letters import DeadLetters
from waybill.jobs.job import ExportJob
from waybill.jobs.leases import LeaseRepository
from waybill.jobs.queue import ExportQueue
from waybill.jobs.repository import ExportRepository
from waybill.jobs.rows import JobListener
from waybill.jobs.turns import RunningLimits, Turns
from waybill.log import get_logger
from waybill.notify.notifications import build_notifications
from waybill.requests.access import Access
from waybill.requests.admin import ExportAdministration
from waybill.requests.admission import Admission
from waybill.requests.dry_runs import DryRunBudget, FairPlaces
from waybill.requests.preview import ExportPreviewer
from waybill.requests.quota import QuotaPolicy
from waybill.requests.service import ExportService
from waybill.requests.source_columns import SourceColumns
from waybill.results.adoption import ResultAdoption
from waybill.results.delivery import DownloadPolicy, ResultDelivery
from waybill.run.identity import new_family
from waybill.run.produce import ExportProducer
from waybill.run.runner import ExportRunner
from waybill.run.shutdown import ShutdownFlag
from waybill.run.streams import ExportStreams
from waybill.source.source import PostgresSource, SourceSettings
from waybill.storage.base import Storage
from waybill.storage.registry import FALLBACK, create_storages
from waybill.upkeep.cleanup import CleanupPolicy, ResultCleanup
from waybill.upkeep.fallback import FallbackMover
from waybill.upkeep.monitor import ExportMonitor, MonitorBounds
from waybill.upkeep.orphans import OrphanSweep
from waybill.upkeep.sweeper import Sweeper

log = get_logger(__name__)

_CHECK_SECONDS = 3.0
_WARM_UP_SECONDS = 2.0


class Services:
    """The adapters and services of one process. Nothing connects before it is used."""

    def __init__(
        self,
        settings: Settings,
        *,
        catalog: Catalog | None = None,
        clock: Clock | None = None,
        celery: Celery | None = None,
        shutdown: ShutdownFlag | None = None,
        family: str | None = None,
    ) -> None:
        self.settings = settings
        self.clock = clock or SystemClock(settings.clock_offset_seconds)
        self.catalog = load(settings.catalog) if catalog is None else catalog
        self.engine = create_engine(settings)
        # Told of every job that ends, in the transaction that ends it.
        self.notifications = build_notifications(settings, self.engine, clock=self.clock)
        listeners: list[JobListener] = [self.notifications.outbox.enqueue, forget_checkpoint]
        self.repository = ExportRepository(self.engine, listeners=listeners)
        self.turns = Turns(
            self.engine,
            RunningLimits.of(
                self.catalog,
                per_tenant=settings.max_running_per_tenant,
                per_person=settings.max_running_per_person,
            ),
        )
        self.leases = LeaseRepository(self.engine, listeners=listeners, turns=self.turns)
        self.queue = ExportQueue(celery or create_celery(settings))
        self.storages = create_storages(settings)
        self.storage = self.storages[settings.storage]
        self.audit = AuditLog(self.engine)
        self.source = PostgresSource(
            settings.source_url, SourceSettings(max_row_bytes=settings.max_row_bytes)
        )
        self.admission = Admission(
            self.engine,
            audit=self.audit,
            max_attempts=settings.max_attempts,
            key_retention=timedelta(hours=settings.idempotency_hours),
            max_keys=settings.max_idempotency_keys,
            outbox=self.notifications.outbox,
        )
        quotas = QuotaPolicy(
            self.catalog,
            settings.quota_per_day,
            settings.quota_roles,
            refunds_per_day=settings.quota_refunds_per_day,
        )
        self.access = Access(self.catalog, self.clock)
        self.dry_runs = DryRunBudget(
            self.engine, calls=settings.dry_runs_per_day, rows=settings.dry_run_rows_per_day
        )
        self.exports = ExportService(
            repository=self.repository,
            queue=self.queue,
            catalog=self.catalog,
            clock=self.clock,
            access=self.access,
            admission=self.admission,
            quotas=quotas,
            previewer=ExportPreviewer(
                source=self.source,
                engine=self.engine,
                timeout_seconds=settings.preview_timeout_seconds,
            ),
            dry_runs=self.dry_runs,
            dry_run_places=FairPlaces(settings.max_dry_runs, settings.dry_run_wait_seconds),
            source_columns=SourceColumns(self.source),
            audit=self.audit,
        )
        family = family or new_family()
        self.streams = ExportStreams(
            exports=self.exports,
            admission=self.admission,
            dry_runs=self.dry_runs,
            source=self.source,
            leases=self.leases,
            repository=self.repository,
            quotas=quotas,
            settings=settings,
            family=family,
        )
        self.delivery = ResultDelivery(
            self.engine,
            exports=self.exports,
            audit=self.audit,
            policy=DownloadPolicy(
                max_downloads=settings.max_downloads,
                window=timedelta(seconds=settings.download_window_seconds),
            ),
        )
        self.changes = ExportChanges(
            settings.database_dsn,
            self.repository.find_many,
            max_watchers=settings.max_watchers,
        )
        self.cleanup = ResultCleanup(
            repository=self.repository,
            storages=self.storages,
            clock=self.clock,
            policy=CleanupPolicy(
                download_grace=timedelta(seconds=settings.download_grace_seconds),
                job_retention=timedelta(days=settings.job_retention_days),
                replay_window=timedelta(days=settings.replay_days),
            ),
        )
        self.orphans = OrphanSweep(
            repository=self.repository,
            storages=self.storages,
            clock=self.clock,
            prefix=settings.s3_prefix,
            stale_upload_age=timedelta(hours=settings.stale_upload_hours),
            rest_seconds=settings.storage_sweep_seconds,
            grace=timedelta(
                seconds=settings.download_grace_seconds
                if settings.orphan_grace_seconds is None
                else settings.orphan_grace_seconds
            ),
        )
        self.mover = FallbackMover(
            self.engine,
            source=self.storages[FALLBACK],
            target=self.storage,
            download_grace=timedelta(seconds=settings.download_grace_seconds),
            rest_seconds=settings.storage_sweep_seconds,
        )
        self.adoption = ResultAdoption(
            leases=self.leases,
            storages=self.storages,
            clock=self.clock,
            prefix=settings.s3_prefix,
            result_ttl=timedelta(days=settings.result_ttl_days),
        )
        self.sweeper = Sweeper(
            repository=self.repository,
            leases=self.leases,
            turns=self.turns,
            queue=self.queue,
            cleanup=self.cleanup,
            orphans=self.orphans,
            mover=self.mover,
            admission=self.admission,
            dry_runs=self.dry_runs,
            adoption=self.adoption,
            audit=self.audit,
            settings=settings,
        )
        self.monitor = ExportMonitor(
            self.engine,
            MonitorBounds(
                queued_seconds=settings.stuck_queued_seconds,
                running_seconds=settings.stuck_running_seconds,
            ),
        )
        self.dead_letters = DeadLetters(
            self.repository, self.queue, max_attempts=settings.max_attempts
        )
        self.administration = ExportAdministration(
            self.engine,
            access=self.access,
            repository=self.repository,
            dead_letters=self.dead_letters,
            audit=self.audit,
        )
        self.runner = ExportRunner(
            leases=self.leases,
            turns=self.turns,
            queue=self.queue,
            catalog=self.catalog,
            producer=ExportProducer(
                source=self.source,
                storage=self.storage,
                fallback=self.storages[FALLBACK] if settings.fallback_max_bytes else None,
                settings=settings,
            ),
            storages=self.storages,
            adoption=self.adoption,
            clock=self.clock,
            settings=settings,
            family=family,
            shutdown=shutdown,
        )

    def storage_of(self, job: ExportJob) -> Storage:
        """Return the storage that holds a job's object.

        Raises:
            ResultUnreadable: it is none of the settings' (``WAYBILL_FORMER_STORAGES``).
        """
        if job.storage is None or job.storage in self.storages:
            return self.storages[job.storage or self.storage.name]
        log.error("storage.not_configured", storage=job.storage, export_id=str(job.id))
        raise ResultUnreadable

    async def check(self) -> dict[str, str]:
        """Ask every dependency; ``ok``, or a word that is safe to show."""
        names = ("database", "broker", "storage")
        results = await asyncio.gather(
            *(
                asyncio.wait_for(check, _CHECK_SECONDS)
                for check in (
                    self._check_database(),
                    self.queue.depth(),
                    asyncio.to_thread(self.storage.check),
                )
            ),
            return_exceptions=True,
        )
        return {name: _word(result) for name, result in zip(names, results, strict=True)}

    async def warm_up(self, *, with_queue: bool) -> None:
        """Do now what the first request or job would wait for: connections, and clients.

        What is not there yet is no failure here; whoever needs it finds out.
        """
        work = [self._check_database(), asyncio.to_thread(self.storage.warm_up)]
        if with_queue:
            work.append(self.queue.warm_up())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_WARM_UP_SECONDS):
                await asyncio.gather(*work, return_exceptions=True)

    async def _check_database(self) -> None:
        async with self.engine.connect() as connection:
            await connection.execute(text("SELECT 1 FROM export_jobs LIMIT 1"))

    async def close(self) -> None:
        """Close the connections of this process."""
        self.streams.shut_down()
        await self.changes.close()
        await self.engine.dispose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


def _word(result: object) -> str:
    if isinstance(result, TimeoutError):
        return "does not answer"
    if isinstance(result, WaybillError):
        return result.code
    return "unavailable" if isinstance(result, BaseException) else "ok"


def service_factory(
    settings: Settings, *, celery: Celery | None = None, shutdown: ShutdownFlag | None = None
) -> Callable[[], Services]:
    """Return a function that builds the services, for processes that fork first."""
    family = new_family()
    return lambda: Services(settings, celery=celery, shutdown=shutdown, family=family)


def create_engine(settings: Settings) -> AsyncEngine:
    """Return the engine of waybill's own database."""
    return create_async_engine(
        settings.sqlalchemy_url,
        pool_size=10,
        max_overflow=10,
        # A restart of the database must not fail the first request after it.
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": 5,
            "keepalives": 1,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            # A peer that vanished without a word is noticed in 30 s, inside a lease of 60 s.
            "tcp_user_timeout": 30_000,
            "application_name": "waybill",
            # Our own statements are small; one that waits is a fault to see, not to sit out.
            "options": "-c statement_timeout=15000 -c lock_timeout=5000",
        },
    )
