"""Results that went to the database while object storage was away, on their way back.

Object before row: the copy is complete and proven before the job refers to it. The bytes in the
database outlive the move by the grace for downloads under way. Each step can be killed and run
again.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from waybill.errors import RunError, StorageCorrupted
from waybill.jobs.job import ExportJob, ExportStatus
from waybill.jobs.rows import JOB_COLUMNS, job_of
from waybill.jobs.tables import export_jobs as jobs
from waybill.log import get_logger
from waybill.manifest import Manifest, manifest_key
from waybill.results.stored_tables import stored_objects
from waybill.storage.base import PartReceipt, Storage, StoredObject

log = get_logger(__name__)

_STEP_SECONDS = 5.0
_BATCH = 20


class FallbackMover:
    """Moves completed results from the database to object storage.

    Args:
        engine: waybill's own database.
        source: the storage in the database.
        target: object storage.
        download_grace: how long the bytes stay in the database after the move.
        rest_seconds: how long object storage is left alone after it was found away.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        source: Storage,
        target: Storage,
        download_grace: timedelta,
        rest_seconds: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._source = source
        self._target = target
        self._download_grace = download_grace
        self._rest_seconds = rest_seconds
        self._monotonic = monotonic
        self._next_try_at = 0.0

    async def step(self) -> int:
        """Move what can be moved in a few seconds. Returns how many results were moved."""
        await self._forget_moved()
        if self._monotonic() < self._next_try_at:
            return 0
        waiting = await self._waiting()
        if not waiting:
            return 0
        moved = 0
        # It shares its process with the sweeper, so it stops early and goes on next time.
        ends_at = self._monotonic() + _STEP_SECONDS
        try:
            await asyncio.to_thread(self._target.check)
            for job in waiting:
                moved += await self._move(job)
                if self._monotonic() >= ends_at:
                    break
        except RunError as exc:
            self._next_try_at = self._monotonic() + self._rest_seconds
            log.warning("storage.still_away", error=exc.code, waiting=len(waiting) - moved)
        return moved

    async def _move(self, job: ExportJob) -> bool:
        try:
            stored = await asyncio.to_thread(self._copy, job, await self._manifest(job))
        except (StorageCorrupted, FileNotFoundError) as exc:
            # The others are moved all the same; this one stays where it is, as it is.
            log.error(  # noqa: TRY400 - expected, and its class says it
                "storage.not_moved", export_id=str(job.id), error=type(exc).__name__
            )
            return False
        if await self._refer(job, stored):
            log.info("storage.moved_back", export_id=str(job.id), bytes=stored.bytes)
            return True
        # The job was expired, deleted or moved by somebody else meanwhile. The copy may be theirs,
        # so it is left to those who clear objects away by what the row says.
        return False

    async def _manifest(self, job: ExportJob) -> Manifest:
        async with self._engine.connect() as connection:
            document = await connection.scalar(select(jobs.c.manifest).where(jobs.c.id == job.id))
        return Manifest.load(document or {})

    def _copy(self, job: ExportJob, manifest: Manifest) -> StoredObject:
        key = job.object_key or ""
        target = self._target.labelled(tenant=job.tenant, export_type=job.export_type)
        stored = target.find(key)
        if stored is not None and not self._is_whole(key, manifest):
            # Of an attempt whose commit was never confirmed.
            target.delete(key)
            stored = None
        if stored is None:
            stored = self._upload(target, key, manifest)
        target.put(manifest_key(key), manifest.to_json().encode(), content_type="application/json")
        return stored

    def _is_whole(self, key: str, manifest: Manifest) -> bool:
        digest = hashlib.sha256()
        for chunk in self._target.read(key):
            digest.update(chunk)
        return digest.hexdigest() == manifest.sha256

    def _upload(self, target: Storage, key: str, manifest: Manifest) -> StoredObject:
        whole = hashlib.sha256()
        receipts: list[PartReceipt] = []
        with target.open_upload(key, content_type=manifest.media_type) as upload:
            for part in manifest.parts:
                data = b"".join(
                    self._source.read(key, start=part.offset, stop=part.offset + part.bytes)
                )
                if hashlib.sha256(data).hexdigest() != part.sha256:
                    raise StorageCorrupted("The database holds other bytes than the manifest says.")
                whole.update(data)
                receipts.append(upload.write_part(part.number, data, part.sha256))
            if whole.hexdigest() != manifest.sha256:
                raise StorageCorrupted("The parts are not the file that the manifest names.")
            return upload.complete(receipts)

    async def _refer(self, job: ExportJob, stored: StoredObject) -> bool:
        """Let the job refer to the copy, if it still refers to the original."""
        statement = (
            update(jobs)
            .where(
                jobs.c.id == job.id,
                jobs.c.status == ExportStatus.COMPLETED.value,
                jobs.c.storage == self._source.name,
                jobs.c.object_key == stored.key,
            )
            .values(storage=self._target.name, object_etag=stored.etag, updated_at=func.now())
        )
        async with self._engine.begin() as connection:
            if not (await connection.execute(statement)).rowcount:
                return False
            await connection.execute(
                update(stored_objects)
                .where(stored_objects.c.key.in_([stored.key, manifest_key(stored.key)]))
                .values(moved_at=func.now())
            )
        return True

    async def _waiting(self) -> Sequence[ExportJob]:
        statement = (
            select(*JOB_COLUMNS)
            .where(
                jobs.c.status == ExportStatus.COMPLETED.value,
                jobs.c.storage == self._source.name,
            )
            .order_by(jobs.c.finished_at)
            .limit(_BATCH)
        )
        async with self._engine.connect() as connection:
            return [job_of(row) for row in (await connection.execute(statement)).mappings()]

    async def _forget_moved(self) -> None:
        statement = delete(stored_objects).where(
            stored_objects.c.moved_at < func.now() - self._download_grace
        )
        async with self._engine.begin() as connection:
            await connection.execute(statement)
