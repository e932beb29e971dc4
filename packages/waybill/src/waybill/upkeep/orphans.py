"""Finds what is in storage and belongs to no job: objects of lost attempts, uploads left open.

Safe beside running attempts. What makes an object an orphan is that its key's lease token is not
live and that neither its job nor the job's checkpoint refers to it; a token that was once lost
never comes back, and no checkpoint refers to a key again that it let go, so that the answer cannot
become wrong between the look and the deletion. An object written later still,
by a zombie, is found by the next search.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice

from waybill.clock import Clock
from waybill.errors import RunError
from waybill.jobs.repository import ExportRepository, JobState
from waybill.log import get_logger
from waybill.results.object_keys import ObjectOwner, owner_of
from waybill.storage.base import StaleUpload, Storage

log = get_logger(__name__)

_KEYS_PER_STEP = 5_000
"""Five requests of S3, about a second: the search shares its process with the sweeper."""
_LOOKUP_KEYS = 500


class OrphanSweep:
    """Searches storage step by step; ``rest_seconds`` lie between two searches.

    An object that was committed within ``grace`` is left for the next search: after a failover of
    waybill's database somebody may be downloading what the database has forgotten.

    Keys that no attempt of waybill's could have written are left alone, and so are those of jobs
    that this database does not know: another service may share the bucket, and have its prefix
    below ours.
    """

    def __init__(
        self,
        *,
        repository: ExportRepository,
        storages: Mapping[str, Storage],
        clock: Clock,
        prefix: str,
        stale_upload_age: timedelta,
        rest_seconds: float,
        grace: timedelta = timedelta(0),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._repository = repository
        self._storages = storages
        self._clock = clock
        self._prefix = prefix
        self._stale_upload_age = stale_upload_age
        self._rest_seconds = rest_seconds
        self._grace = grace
        self._monotonic = monotonic
        self._search: Iterator[tuple[Storage, str]] | None = None
        self._next_search_at = 0.0

    async def step(self) -> int:
        """Go on with the search, or begin one when it is time. Returns how much was removed.

        Raises:
            StorageUnavailable, StorageRejected: the search begins anew next time.
        """
        removed = 0
        if self._search is None:
            if self._monotonic() < self._next_search_at:
                return 0
            removed += await self.abort_uploads()
            self._search = self._list()
        try:
            found = await asyncio.to_thread(lambda s: list(islice(s, _KEYS_PER_STEP)), self._search)
        except RunError:
            self._search = None
            raise
        if len(found) < _KEYS_PER_STEP:
            self._search = None
            self._next_search_at = self._monotonic() + self._rest_seconds
        for start in range(0, len(found), _LOOKUP_KEYS):
            removed += await self._remove_orphans(found[start : start + _LOOKUP_KEYS])
        return removed

    async def search(self, *, within_seconds: float) -> int:
        """Search from the first key to the last, however long ago the last search was, where the
        process may not live to go on with it. Returns how much was removed.

        Args:
            within_seconds: after this long it stops where it is.

        Raises:
            StorageUnavailable, StorageRejected: what is left is for the next search.
        """
        until = self._monotonic() + within_seconds
        self._search, self._next_search_at = None, self._monotonic()
        removed = await self.step()
        while self._is_under_way() and self._monotonic() < until:
            removed += await self.step()
        return removed

    def _is_under_way(self) -> bool:
        return self._search is not None

    async def abort_uploads(self) -> int:
        """Abort uploads that nobody will finish. Returns how many.

        Those of jobs that are over at once; others when they are old and no live lease is theirs.
        """
        now = self._clock.now()
        aborted = 0
        for storage in self._storages.values():
            uploads = await asyncio.to_thread(_uploads, storage, now)
            for upload in await self._hopeless(uploads, now):
                await asyncio.to_thread(storage.abort_upload, upload.key, upload.upload_id)
                log.info("upload.aborted", key=upload.key)
                aborted += 1
        return aborted

    async def _hopeless(
        self, uploads: Sequence[StaleUpload], now: datetime
    ) -> Sequence[StaleUpload]:
        owners = {upload.key: owner_of(self._prefix, upload.key) for upload in uploads}
        states = await self._repository.states_of(
            {owner.export_id for owner in owners.values() if owner is not None}
        )
        hopeless = []
        for upload in uploads:
            owner = owners[upload.key]
            if owner is None:
                continue
            state = states.get(owner.export_id)
            if not _lies_where_it_should(owner, state):
                continue
            is_old = upload.initiated_at < now - self._stale_upload_age
            is_live = state is not None and state.lease_token == owner.token
            is_over = state is not None and state.status.is_finished
            # A resumable export's next attempt resumes it, however old it is by then.
            is_kept = (
                state is not None
                and not is_over
                and (state.checkpoint_key, state.checkpoint_upload_id)
                == (upload.key, upload.upload_id)
            )
            if not is_live and not is_kept and (is_over or is_old):
                hopeless.append(upload)
        return hopeless

    def _list(self) -> Iterator[tuple[Storage, str]]:
        for storage in self._storages.values():
            for key in storage.list_keys(f"{self._prefix}/"):
                yield storage, key

    def _is_past_grace(self, storage: Storage, object_key: str) -> bool:
        if not self._grace:
            return True
        committed_at = storage.modified_at(object_key)
        # None: a manifest whose object is gone.
        return committed_at is None or committed_at < self._clock.now() - self._grace

    async def _remove_orphans(self, found: Sequence[tuple[Storage, str]]) -> int:
        owned = [
            (storage, key, owner)
            for storage, key in found
            if (owner := owner_of(self._prefix, key)) is not None
        ]
        states = await self._repository.states_of({owner.export_id for *_, owner in owned})
        removed = unknown = 0
        for storage, key, owner in owned:
            state = states.get(owner.export_id)
            if state is None:
                unknown += 1
            elif not _lies_where_it_should(owner, state):
                continue
            elif state.lease_token != owner.token and owner.object_key not in {
                state.object_key,
                # Committed by a later attempt than the one it is named for, or about to be.
                state.checkpoint_key,
            }:
                if not await asyncio.to_thread(self._is_past_grace, storage, owner.object_key):
                    continue
                await asyncio.to_thread(storage.delete, key)
                log.info("object.orphan_deleted", key=key)
                removed += 1
        if unknown:
            log.warning("objects.of_unknown_jobs", count=unknown)
        return removed


def _lies_where_it_should(owner: ObjectOwner, state: JobState | None) -> bool:
    """Whether an object's folder is its job's; a worker of a version that knew of no folders wrote
    without. In a folder, what belongs to no job that is known may be another service's."""
    return owner.folder is None or (state is not None and owner.folder == state.object_folder)


def _uploads(storage: Storage, now: datetime) -> list[StaleUpload]:
    # From tomorrow's point of view: every upload, whatever the storage's clock says.
    return list(storage.stale_uploads(older_than=now + timedelta(days=1)))
