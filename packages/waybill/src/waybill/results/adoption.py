"""Results that are whole in storage while the job's row does not know of them.

A worker commits the object, then its manifest, then the row. Where it died before the last step, or
where the last step was lost (our database failed over to a standby that had not received it, while
the person had been told and holds a link), the file is finished all the same. Whoever would end the
attempt looks here first, and writes down under the attempt's own lease what the attempt did.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Final

from waybill.clock import Clock
from waybill.errors import RunError
from waybill.jobs.completing import Result
from waybill.jobs.job import ExportJob, Lease
from waybill.jobs.leases import LeaseRepository
from waybill.log import get_logger
from waybill.manifest import InvalidManifest, Manifest, manifest_key
from waybill.results.object_keys import object_key
from waybill.storage.base import Storage

log = get_logger(__name__)

_LOOK_SECONDS: Final = 5.0
_REST_SECONDS: Final = 30.0
_MOST_MANIFEST_BYTES: Final = 16 * 1024 * 1024
"""A manifest of 10,000 parts and 1,600 columns has 2 MiB."""


class StorageUndecided(Exception):
    """Storage does not say whether the attempt's file is whole."""


class ResultAdoption:
    """Finds and takes over finished results.

    Args:
        leases: completes jobs.
        storages: where objects may lie.
        clock: says when a file expires.
        prefix: where keys begin.
        result_ttl: how long a file can be fetched.
    """

    def __init__(
        self,
        *,
        leases: LeaseRepository,
        storages: Mapping[str, Storage],
        clock: Clock,
        prefix: str,
        result_ttl: timedelta,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._leases = leases
        self._storages = storages
        self._clock = clock
        self._prefix = prefix
        self._result_ttl = result_ttl
        self._monotonic = monotonic
        self._rests_until = 0.0
        # One thread: a storage that hangs holds up one look, and whoever asks goes on without.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="waybill-adoption")

    async def adopt(self, job: ExportJob, lease: Lease, checkpoint_key: str | None = None) -> bool:
        """Complete a job whose attempt under ``lease`` left a whole file; returns whether it did.

        ``checkpoint_key`` is where a resumable export's attempts write, if it has begun to.

        Raises:
            StorageUndecided: storage is away or silent.
        """
        if self._monotonic() < self._rests_until:
            raise StorageUndecided
        keys = [
            object_key(self._prefix, job.object_folder, lease),
            *([checkpoint_key] if checkpoint_key else []),
        ]
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                result = await loop.run_in_executor(self._thread, self._find, job, keys)
        except (TimeoutError, RunError) as exc:
            self._rests_until = self._monotonic() + _REST_SECONDS
            log.warning("result.undecided", export_id=str(job.id), error=type(exc).__name__)
            raise StorageUndecided from exc
        if result is None or not await self._leases.complete(lease, result):
            return False
        log.warning("result.adopted", export_id=str(job.id), attempt=lease.attempt)
        return True

    def _find(self, job: ExportJob, keys: list[str]) -> Result | None:
        for key in keys:
            for name, storage in self._storages.items():
                if (result := self._read(job, name, storage, key)) is not None:
                    return result
        return None

    def _read(self, job: ExportJob, name: str, storage: Storage, key: str) -> Result | None:
        """Return an object as a result, if its manifest stands beside it and is of this job.

        The manifest is stored last, when storage has confirmed every part and the whole.
        """
        stored, described = storage.find(key), storage.find(manifest_key(key))
        if stored is None or described is None or described.bytes > _MOST_MANIFEST_BYTES:
            return None
        with contextlib.suppress(InvalidManifest, UnicodeDecodeError, FileNotFoundError):
            manifest = Manifest.from_json(b"".join(storage.read(manifest_key(key))).decode())
            if manifest.export_id != str(job.id) or manifest.bytes != stored.bytes:
                return None
            return Result(
                storage=name,
                object_key=key,
                object_bytes=stored.bytes,
                object_etag=stored.etag,
                manifest=manifest.model_dump(mode="json"),
                sha256=manifest.sha256,
                rows=manifest.rows,
                expires_at=self._clock.now() + self._result_ttl,
            )
        return None
