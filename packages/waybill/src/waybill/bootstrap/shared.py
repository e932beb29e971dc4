"""Parts that two of the long-running roles have: a function each, so that a role names those that
it uses and has no others."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from waybill.bootstrap.core import CoreParts
from waybill.bootstrap.parts import ProcessParts
from waybill.jobs.source_use import SourceUse
from waybill.requests.admission import Admission
from waybill.requests.dry_runs import DryRunBudget
from waybill.results.adoption import ResultAdoption
from waybill.sessions.portal_links import PortalLinks
from waybill.sessions.sessions import Sessions
from waybill.source.named import NamedSources, source_dsns
from waybill.source.source import SourceSettings
from waybill.upkeep.cleanup import CleanupPolicy, ResultCleanup
from waybill.upkeep.monitor import ExportMonitor, MonitorBounds


def create_source(parts: ProcessParts) -> NamedSources:
    """For the API (streams, dry runs)."""
    settings = parts.settings
    return NamedSources(
        source_dsns(parts.catalog, settings), SourceSettings(max_row_bytes=settings.max_row_bytes)
    )


def create_admission(parts: CoreParts) -> Admission:
    """For the API, and the scheduler, which forgets old keys."""
    settings = parts.settings
    return Admission(
        parts.engine,
        audit=parts.audit,
        max_attempts=settings.max_attempts,
        key_retention=timedelta(hours=settings.idempotency_hours),
        max_keys=settings.max_idempotency_keys,
        outbox=parts.outbox,
    )


def create_dry_runs(parts: CoreParts) -> DryRunBudget:
    """For the API, and the scheduler, which forgets what is past."""
    settings = parts.settings
    return DryRunBudget(
        parts.engine, calls=settings.dry_runs_per_day, rows=settings.dry_run_rows_per_day
    )


def create_portal_links(parts: CoreParts) -> PortalLinks:
    """For the API, and the scheduler, which forgets those that are over."""
    return PortalLinks(parts.engine, seconds=parts.settings.portal_link_seconds)


def create_sessions(parts: CoreParts) -> Sessions:
    """For the API, and the scheduler, which forgets those that are over."""
    settings = parts.settings
    return Sessions(
        parts.engine,
        seconds=settings.session_hours * 3600,
        idle_seconds=settings.session_idle_minutes * 60,
    )


def create_cleanup(parts: ProcessParts) -> ResultCleanup:
    """For the API (discarded files) and the scheduler."""
    settings = parts.settings
    return ResultCleanup(
        repository=parts.repository,
        storages=parts.storages,
        clock=parts.clock,
        on_expired=partial(parts.hooks.call, "on_expired"),
        policy=CleanupPolicy(
            download_grace=timedelta(seconds=settings.download_grace_seconds),
            job_retention=timedelta(days=settings.job_retention_days),
            replay_window=timedelta(days=settings.replay_days),
        ),
    )


def create_monitor(parts: CoreParts) -> ExportMonitor:
    """For the API (figures) and the scheduler (alerts)."""
    settings = parts.settings
    return ExportMonitor(
        parts.engine,
        MonitorBounds(
            queued_seconds=settings.stuck_queued_seconds,
            running_seconds=settings.stuck_running_seconds,
        ),
    )


def create_source_use(parts: ProcessParts) -> SourceUse:
    """For the API (streams) and the worker: whoever reads sources."""
    return SourceUse(parts.engine, parts.catalog)


def create_adoption(parts: ProcessParts) -> ResultAdoption:
    """For the worker and the scheduler: whoever finds an attempt without its process."""
    settings = parts.settings
    return ResultAdoption(
        leases=parts.leases,
        storages=parts.storages,
        clock=parts.clock,
        prefix=settings.s3_prefix,
        result_ttl=timedelta(days=settings.result_ttl_days),
    )
