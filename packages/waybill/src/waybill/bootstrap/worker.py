"""The parts of the worker."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from uuid import UUID

from celery import Celery

from waybill.bootstrap import shared
from waybill.bootstrap.parts import ProcessParts
from waybill.catalog import Catalog
from waybill.catalog.computed import load_functions
from waybill.clock import Clock
from waybill.config import Settings
from waybill.notify.delivery import NotificationChannel
from waybill.run.hooks import Hooks
from waybill.run.produce import ExportProducer
from waybill.run.runner import ExportRunner, Outcome
from waybill.run.shutdown import ShutdownFlag
from waybill.source.named import NamedSources, source_dsns
from waybill.source.source import SourceSettings
from waybill.storage.registry import FALLBACK
from waybill.storage.traced import traced

_HOOK_OF = {Outcome.COMPLETED: "on_completed", Outcome.FAILED: "on_failed"}


class WorkerParts(ProcessParts):
    """One message at a time. ``shutdown`` is the order to stop, made before the fork.

    Raises:
        ConfigurationError: as ``ProcessParts``, or the function of a computed column is not there.
    """

    role = "worker"
    is_audited = False
    reads_sources = True

    adoption = cached_property(shared.create_adoption)
    source_use = cached_property(shared.create_source_use)

    def __init__(
        self,
        settings: Settings,
        *,
        catalog: Catalog | None = None,
        clock: Clock | None = None,
        celery: Celery | None = None,
        family: str | None = None,
        shutdown: ShutdownFlag | None = None,
        hooks: Hooks | None = None,
        channels: Sequence[NotificationChannel] = (),
    ) -> None:
        super().__init__(
            settings,
            catalog=catalog,
            clock=clock,
            celery=celery,
            family=family,
            hooks=hooks,
            channels=channels,
        )
        self._shutdown = shutdown
        for export_type in self.catalog.values():
            load_functions(export_type)

    @cached_property
    def source(self) -> NamedSources:
        """The worker's, which keeps its connections from one export to the next."""
        settings = self.settings
        return NamedSources(
            source_dsns(self.catalog, settings),
            SourceSettings(max_row_bytes=settings.max_row_bytes),
            rest_seconds=settings.source_rest_seconds,
            places=settings.small_jobs_together,
        )

    @cached_property
    def runner(self) -> ExportRunner:
        settings = self.settings
        return ExportRunner(
            leases=self.leases,
            turns=self.turns,
            use=self.source_use,
            figures=self.figures,
            queue=self.queue,
            catalog=self.catalog,
            producer=ExportProducer(
                source=self.source,
                storage=traced(self.storage),
                fallback=traced(self.storages[FALLBACK]) if settings.fallback_max_bytes else None,
                settings=settings,
            ),
            storages=self.storages,
            adoption=self.adoption,
            clock=self.clock,
            settings=settings,
            family=self.family,
            shutdown=self._shutdown,
            on_end=self._tell,
        )

    async def _tell(self, export_id: UUID, outcome: Outcome) -> None:
        name = _HOOK_OF.get(outcome)
        if name is None or getattr(self.hooks, name) is None:
            return
        job = await self.repository.find(export_id)
        if job is not None:
            await self.hooks.call(name, job)

    async def close(self) -> None:
        """Close the connections of this process, the source's too."""
        if "source" in vars(self):
            self.source.close()
        await super().close()
