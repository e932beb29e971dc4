"""The storage port. Implementations pass one contract suite (``tests/contracts``).

Every method is synchronous: the worker calls it from the pipeline's threads, the API through a
thread pool. Implementations translate vendor exceptions into ``StorageUnavailable``,
``StorageRejected`` or ``StorageCorrupted`` and are safe to use from several threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, Self


@dataclass(frozen=True, slots=True)
class PartReceipt:
    """Proof that storage holds part ``number`` (from 1): its size, SHA-256 (hex) and ETag."""

    number: int
    bytes: int
    sha256: str
    etag: str


@dataclass(frozen=True, slots=True)
class StoredObject:
    """A committed object: ``etag`` without quotes, ``bytes`` its size."""

    key: str
    bytes: int
    etag: str


@dataclass(frozen=True, slots=True)
class StaleUpload:
    """An upload begun and neither completed nor aborted."""

    key: str
    upload_id: str
    initiated_at: datetime


@dataclass(frozen=True, slots=True)
class HeldPart:
    """A part of an open upload as storage lists it; ``etag`` as in its ``PartReceipt``."""

    bytes: int
    etag: str


class Upload(Protocol):
    """An upload under way. Nothing is visible under ``key`` until ``complete`` returns."""

    @property
    def key(self) -> str: ...

    @property
    def upload_id(self) -> str: ...

    def write_part(self, number: int, data: bytes | bytearray, sha256: str) -> PartReceipt:
        """Store one part; may run in several threads at once. ``sha256`` is the hex digest of
        ``data``, so that nothing is hashed twice. Verifies what storage says it received."""
        ...

    def complete(self, parts: list[PartReceipt]) -> StoredObject:
        """Commit the parts in order; verifies size and ETag of the result."""
        ...

    def abort(self) -> None:
        """Give the upload up; idempotent."""
        ...


class SharedUpload(Upload, Protocol):
    """An upload that another process may resume."""

    @property
    def is_shared(self) -> bool: ...

    def share(self) -> None:
        """Abort and delete nothing from here on: a later attempt may resume this upload, and
        this process may be the one that is no longer asked. The sweep clears what nobody needs."""
        ...


class Continuation(Protocol):
    """What resumable exports need of a storage beyond ``Storage``."""

    def list_parts(self, key: str, upload_id: str) -> Mapping[int, HeldPart] | None:
        """Return the parts of an open upload by number; ``None`` if it is not open any more."""
        ...

    def begin_upload(self, key: str, *, content_type: str) -> AbstractContextManager[SharedUpload]:
        """As ``Storage.open_upload``, for an upload that may be shared."""
        ...

    def open_upload(self, key: str, upload_id: str) -> AbstractContextManager[SharedUpload]:
        """Resume an upload; it is shared, so leaving the block aborts nothing."""
        ...

    def put_once(self, key: str, data: bytes, *, content_type: str) -> StoredObject:
        """Store a small object where none stands; the same bytes there already are as good.

        Raises:
            StorageUnavailable: another writer was first. The attempt begins anew, elsewhere.
        """
        ...


class Storage(Protocol):
    """Objects by key."""

    @property
    def name(self) -> str:
        """The registry name that is stored in the job's row (``s3``, ``database``)."""
        ...

    @property
    def continuation(self) -> Continuation | None:
        """What resumable exports need; ``None`` where every attempt begins anew."""
        ...

    def labelled(self, *, tenant: str | None, export_type: str) -> Self:
        """Return this storage for the objects of one export, where it keeps labels of them."""
        ...

    def open_upload(self, key: str, *, content_type: str) -> AbstractContextManager[Upload]:
        """Begin an upload. Leaving the block by an exception, or without ``complete``, aborts."""
        ...

    def put(self, key: str, data: bytes, *, content_type: str) -> StoredObject:
        """Store a small object (a manifest) in one request."""
        ...

    def read(self, key: str, *, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the bytes ``start`` (inclusive) to ``stop`` (exclusive) in chunks.

        Raises:
            FileNotFoundError: there is no such object (before the first chunk).
        """
        ...

    def find(self, key: str) -> StoredObject | None:
        """Return the object's facts, or ``None``."""
        ...

    def modified_at(self, key: str) -> datetime | None:
        """Return when the object was committed, by the storage's clock; ``None`` if there is none.
        Reads nothing of it."""
        ...

    def delete(self, key: str) -> None:
        """Delete an object; deleting what is not there is no error."""
        ...

    def presign(
        self, key: str, *, expires_seconds: int, filename: str, content_type: str
    ) -> str | None:
        """Return a link that lives ``expires_seconds`` and answers with ``Content-Disposition:
        attachment`` and ``Cache-Control: no-store``; ``None`` where the storage has none."""
        ...

    def list_keys(self, prefix: str) -> Iterator[str]:
        """Yield the keys that start with ``prefix``."""
        ...

    def stale_uploads(self, *, older_than: datetime) -> Iterator[StaleUpload]:
        """Yield uploads begun before ``older_than`` and still open."""
        ...

    def abort_upload(self, key: str, upload_id: str) -> None:
        """Abort an upload found by ``stale_uploads``; idempotent."""
        ...

    def check(self) -> None:
        """Raise a storage error when the storage cannot be used (readiness)."""
        ...

    def warm_up(self) -> None:
        """Do now what the first use would wait for; need not connect, and fails silently."""
        ...
