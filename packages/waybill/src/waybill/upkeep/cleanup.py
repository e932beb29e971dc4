"""The end of files: out of reach first, then the object, then the row's memory of it.

Each step can be killed and run again. The row keeps ``object_key`` until the object is gone, so
that a kill between the two leaves work to do, never an object nobody knows. Jobs are cleaned up
by what their rows say: whether the catalog still has their type does not matter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from waybill.clock import Clock
from waybill.errors import RunError
from waybill.jobs.job import ExportJob
from waybill.jobs.repository import ExportRepository
from waybill.log import get_logger
from waybill.manifest import manifest_key
from waybill.storage.base import Storage

log = get_logger(__name__)

_BATCH = 100


@dataclass(frozen=True, slots=True)
class CleanupPolicy:
    """How long things are kept once nobody can ask for them any more.

    ``download_grace``: an expired file is out of reach at once, but its object stays this long, so
    that a download under way can end. A file that a person deleted goes at once.
    ``replay_window``: what a failed job filters by, without which it cannot be replayed, counted
    from its end.
    ``job_retention``: rows of jobs that are over, counted from their last change.
    """

    download_grace: timedelta
    job_retention: timedelta
    replay_window: timedelta


class ResultCleanup:
    """Expires and deletes the results of exports, and at last their rows."""

    def __init__(
        self,
        *,
        repository: ExportRepository,
        storages: Mapping[str, Storage],
        clock: Clock,
        policy: CleanupPolicy,
        on_expired: Callable[[ExportJob], Awaitable[None]] | None = None,
    ) -> None:
        self._on_expired = on_expired
        self._repository = repository
        self._storages = storages
        self._clock = clock
        self._policy = policy

    async def expire(self) -> int:
        """Take every file past its time to live out of reach. Returns how many."""
        expired = await self._repository.expire(now=self._clock.now(), limit=_BATCH)
        for job in expired:
            log.info("export.expired", export_id=str(job.id))
            if self._on_expired is not None:
                await self._on_expired(job)
        return len(expired)

    async def remove_leftovers(self) -> int:
        """Delete the objects of files that are out of reach. Returns how many."""
        removed = 0
        for job in await self._repository.leftovers(
            expired_before=self._clock.now() - self._policy.download_grace, limit=_BATCH
        ):
            removed += await self.remove_object(job)
        return removed

    async def remove_object(self, job: ExportJob) -> bool:
        """Delete one job's object and manifest; ``False`` when storage does not let us yet."""
        if job.object_key is None:
            return False
        if job.storage is not None and job.storage not in self._storages:
            # Nothing is forgotten that is still there: the row keeps the key.
            log.error(
                "storage.not_configured",
                storage=job.storage,
                export_id=str(job.id),
                remedy="name it in WAYBILL_FORMER_STORAGES",
            )
            return False
        # Its own storage first, then the others, where a move may have left a copy.
        for name in sorted(self._storages, key=lambda name: name != job.storage):
            storage = self._storages[name]
            try:
                try:
                    await asyncio.to_thread(storage.delete, job.object_key)
                finally:
                    # Both are asked for, whatever becomes of one: a bucket may keep versions.
                    await asyncio.to_thread(storage.delete, manifest_key(job.object_key))
                if await asyncio.to_thread(storage.modified_at, job.object_key) is not None:
                    # It said yes and has it still: the row keeps the key until it is gone.
                    log.warning("export.object_still_there", export_id=str(job.id), storage=name)
                    return False
            except RunError as exc:
                # Not lost: the row keeps the key, and the next sweep tries again.
                log.warning(
                    "export.object_not_deleted",
                    export_id=str(job.id),
                    storage=name,
                    error=exc.code,
                )
                return False
        return await self._repository.clear_object(job.id)

    async def forget_values(self) -> int:
        """Forget what rows were compared with, of jobs that have no file and will have none.
        Returns how many."""
        forgotten = await self._repository.forget_values(
            failed_before=self._clock.now() - self._policy.replay_window, limit=_BATCH
        )
        if forgotten:
            log.info("exports.values_forgotten", count=forgotten)
        return forgotten

    async def purge(self) -> int:
        """Delete the rows of jobs that were over long ago. Returns how many."""
        purged = await self._repository.purge(
            ended_before=self._clock.now() - self._policy.job_retention, limit=_BATCH
        )
        if purged:
            log.info("exports.purged", count=purged)
        return purged
