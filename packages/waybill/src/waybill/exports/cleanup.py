"""The end of files: out of reach first, then the object, then the row's memory of it.

Each step can be killed and run again. The row keeps ``object_key`` until the object is gone, so
that a kill between the two leaves work to do, never an object nobody knows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta

from waybill.clock import Clock
from waybill.errors import RunError
from waybill.exports.job import ExportJob
from waybill.exports.manifest import manifest_key
from waybill.exports.repository import ExportRepository
from waybill.log import get_logger
from waybill.storage.base import StaleUpload, Storage

log = get_logger(__name__)

_BATCH = 100


class ResultCleanup:
    """Expires, deletes and sweeps the results of exports."""

    def __init__(
        self,
        *,
        repository: ExportRepository,
        storages: Mapping[str, Storage],
        clock: Clock,
        stale_upload_age: timedelta,
    ) -> None:
        self._repository = repository
        self._storages = storages
        self._clock = clock
        self._stale_upload_age = stale_upload_age

    async def expire(self) -> int:
        """Take every file past its time to live out of reach. Returns how many."""
        expired = await self._repository.expire(now=self._clock.now(), limit=_BATCH)
        for job in expired:
            log.info("export.expired", export_id=str(job.id))
        return len(expired)

    async def remove_leftovers(self) -> int:
        """Delete the objects of files that are out of reach. Returns how many."""
        removed = 0
        for job in await self._repository.leftovers(limit=_BATCH):
            removed += await self.remove_object(job)
        return removed

    async def remove_object(self, job: ExportJob) -> bool:
        """Delete one job's object and manifest; ``False`` when storage does not let us yet."""
        if job.object_key is None:
            return False
        storage = self._storages[job.storage or ""]
        try:
            await asyncio.to_thread(storage.delete, manifest_key(job.object_key))
            await asyncio.to_thread(storage.delete, job.object_key)
        except RunError as exc:
            # Not lost: the row keeps the key, and the next sweep tries again.
            log.warning("export.object_not_deleted", export_id=str(job.id), error=exc.code)
            return False
        return await self._repository.clear_object(job.id)

    async def abort_stale_uploads(self) -> int:
        """Abort uploads that were begun long ago and never completed. Returns how many."""
        older_than = self._clock.now() - self._stale_upload_age
        aborted = 0
        for storage in self._storages.values():
            for upload in await asyncio.to_thread(_stale_uploads, storage, older_than):
                await asyncio.to_thread(storage.abort_upload, upload.key, upload.upload_id)
                aborted += 1
        if aborted:
            log.info("uploads.aborted", count=aborted)
        return aborted


def _stale_uploads(storage: Storage, older_than: datetime) -> list[StaleUpload]:
    return list(storage.stale_uploads(older_than=older_than))
