"""What the long-running roles have besides. Parts are built at their first use, once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TypeVar

from celery import Celery

from waybill import tracing
from waybill.bootstrap.core import CoreParts
from waybill.catalog import Catalog, load
from waybill.clock import Clock
from waybill.config import Settings
from waybill.errors import ResultUnreadable
from waybill.jobs.figures import JobFigures
from waybill.jobs.job import ExportJob
from waybill.jobs.leases import LeaseRepository
from waybill.jobs.turns import RunningLimits, Turns
from waybill.log import get_logger
from waybill.notify.delivery import NotificationChannel
from waybill.requests.object_folder import load_folder_of
from waybill.run.hooks import Hooks, load_hooks
from waybill.run.identity import new_family
from waybill.source.named import source_dsns
from waybill.storage.base import Storage
from waybill.storage.registry import create_storages

log = get_logger(__name__)

_WARM_UP_SECONDS = 2.0


class ProcessParts(CoreParts):
    """What the long-running roles have besides: catalog, leases and storages.

    Args:
        settings, clock, celery, channels: as ``CoreParts``.
        catalog: what may be exported; the settings' unless given.
        family: the name of this process and those it forks, for the history.
        hooks: of an application that embeds us; the settings' unless given.

    Raises:
        ConfigurationError: the catalog, its sources, the hooks, the naming of folders or a
            storage's settings do not hold, or OpenTelemetry is wanted and not installed.
    """

    role = "service"
    """What traces call it."""
    reads_sources = False
    """Whether it reads what is exported."""
    takes_requests = False
    """Whether exports are requested of it: then it names the folders of their files."""

    def __init__(
        self,
        settings: Settings,
        *,
        catalog: Catalog | None = None,
        clock: Clock | None = None,
        celery: Celery | None = None,
        family: str | None = None,
        hooks: Hooks | None = None,
        channels: Sequence[NotificationChannel] = (),
    ) -> None:
        tracing.use(settings.traces_endpoint, service=f"waybill-{self.role}")
        self.hooks = load_hooks(settings.hooks) if hooks is None else hooks
        self._folder_of = load_folder_of(settings.object_key) if self.takes_requests else None
        super().__init__(settings, clock=clock, celery=celery, channels=channels)
        self.family = family or new_family()
        self.catalog = load(settings.catalog) if catalog is None else catalog
        if self.reads_sources:
            source_dsns(self.catalog, settings)  # one without an address is found at the start
        self.figures = JobFigures(self.catalog)
        self._listeners.append(self.figures.job_ended)
        self.storages = create_storages(settings)
        self.storage = self.storages[settings.storage]

    @cached_property
    def turns(self) -> Turns:
        return Turns(
            self.engine,
            RunningLimits.of(
                self.catalog,
                per_tenant=self.settings.max_running_per_tenant,
                per_person=self.settings.max_running_per_person,
            ),
            schema=self.settings.own_schema,
        )

    @cached_property
    def leases(self) -> LeaseRepository:
        return LeaseRepository(self.engine, listeners=self._listeners, turns=self.turns)

    def storage_of(self, job: ExportJob) -> Storage:
        """Return the storage that holds a job's object.

        Raises:
            ResultUnreadable: it is none of the settings' (``WAYBILL_FORMER_STORAGES``).
        """
        if job.storage is None or job.storage in self.storages:
            return self.storages[job.storage or self.storage.name]
        log.error("storage.not_configured", storage=job.storage, export_id=str(job.id))
        raise ResultUnreadable

    async def warm_up(self, *, with_queue: bool) -> None:
        """Do now what the first request or job would wait for: connections, and clients.

        What is not there yet is no failure here; whoever needs it finds out.
        """
        work = [self.ping_database(), asyncio.to_thread(self.storage.warm_up)]
        if with_queue:
            work.append(self.queue.warm_up())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_WARM_UP_SECONDS):
                await asyncio.gather(*work, return_exceptions=True)

    async def close(self) -> None:
        """Close the connections of this process, and send what spans are left."""
        await super().close()
        if tracing.is_on():
            await asyncio.to_thread(tracing.close)


P = TypeVar("P", bound=ProcessParts)


def parts_factory(
    role: Callable[..., P], settings: Settings, **arguments: object
) -> Callable[[], P]:
    """Return a function that builds a role's parts, for processes that fork first: all of them are
    of one family."""
    family = new_family()
    return lambda: role(settings, family=family, **arguments)
