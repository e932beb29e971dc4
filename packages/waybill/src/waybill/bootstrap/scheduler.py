"""The parts of the scheduler."""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property

from waybill.bootstrap import shared
from waybill.bootstrap.core import CoreParts
from waybill.bootstrap.parts import ProcessParts
from waybill.notify.notifications import Notifications, build_notifications
from waybill.storage.registry import FALLBACK
from waybill.upkeep.fallback import FallbackMover
from waybill.upkeep.orphans import OrphanSweep
from waybill.upkeep.sweeper import Sweeper


class SchedulerParts(ProcessParts):
    """Sweeps and alerts."""

    role = "scheduler"
    is_audited = False

    admission = cached_property(shared.create_admission)
    dry_runs = cached_property(shared.create_dry_runs)
    cleanup = cached_property(shared.create_cleanup)
    monitor = cached_property(shared.create_monitor)
    portal_links = cached_property(shared.create_portal_links)
    sessions = cached_property(shared.create_sessions)
    adoption = cached_property(shared.create_adoption)

    @cached_property
    def orphans(self) -> OrphanSweep:
        settings = self.settings
        return OrphanSweep(
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

    @cached_property
    def mover(self) -> FallbackMover:
        return FallbackMover(
            self.engine,
            source=self.storages[FALLBACK],
            target=self.storage,
            download_grace=timedelta(seconds=self.settings.download_grace_seconds),
            rest_seconds=self.settings.storage_sweep_seconds,
        )

    @cached_property
    def sweeper(self) -> Sweeper:
        return Sweeper(
            repository=self.repository,
            leases=self.leases,
            turns=self.turns,
            queue=self.queue,
            cleanup=self.cleanup,
            orphans=self.orphans,
            mover=self.mover,
            admission=self.admission,
            dry_runs=self.dry_runs,
            portal_links=self.portal_links,
            sessions=self.sessions,
            adoption=self.adoption,
            audit=self.audit,
            settings=self.settings,
        )


class DeliveryParts(CoreParts):
    """Notifications, which the scheduler sends in a thread of their own."""

    is_audited = False

    @cached_property
    def notifications(self) -> Notifications:
        return build_notifications(self.settings, self.channels, self.engine, clock=self.clock)
