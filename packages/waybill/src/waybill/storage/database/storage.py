"""Objects in waybill's own PostgreSQL, for the time in which object storage is away.

A part is a number of chunks of 256 KiB, written with one binary COPY and proven by a SHA-256 that
PostgreSQL computes of what it holds. Every operation has a connection of its own: there are few of
them, they come from threads and forked processes, and a slow download must not hold one for hours.

The tables are ``waybill.results.stored_tables``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self
from uuid import UUID, uuid4

import psycopg
from psycopg import errors

from waybill.config import Settings
from waybill.errors import (
    RunError,
    StorageCorrupted,
    StorageFull,
    StorageRejected,
    StorageUnavailable,
)
from waybill.own_database import SCHEMA, connection_arguments, opening
from waybill.storage.base import PartReceipt, StaleUpload, StoredObject

_CHUNK_BYTES = 256 * 1024
_CHUNKS_PER_READ = 16
_COMMIT_TRIES = 3
_MAX_PRESIGN_SECONDS = 60
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class DatabaseOptions:
    """``max_object_bytes``: the largest object taken. ``max_total_bytes``: of all objects together,
    so that an outage of object storage does not fill the disk of the database as well (checked
    after each part, so parts under way at the same moment may exceed it)."""

    dsn: str = field(repr=False)
    max_object_bytes: int = 256 * MIB
    max_total_bytes: int = 2048 * MIB
    schema: str = SCHEMA


class DatabaseStorage:
    """Implements ``Storage``. Safe for threads and across a fork."""

    name = "database"
    # It holds results for as long as object storage is away; those are written in one attempt.
    continuation = None

    def __init__(self, options: DatabaseOptions) -> None:
        self.options = options

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        return cls(
            DatabaseOptions(
                dsn=settings.database_dsn,
                max_object_bytes=settings.fallback_max_bytes,
                max_total_bytes=settings.fallback_total_bytes,
                schema=settings.own_schema,
            )
        )

    def labelled(self, *, tenant: str | None, export_type: str) -> Self:
        return self  # it keeps none

    @contextmanager
    def open_upload(self, key: str, *, content_type: str) -> Iterator[DatabaseUpload]:
        upload_id = uuid4()
        with self._connection("begin an upload") as connection:
            connection.execute(
                "INSERT INTO stored_objects (upload_id, key, content_type) VALUES (%s, %s, %s)",
                (upload_id, key, content_type),
            )
        upload = DatabaseUpload(self, key, upload_id)
        try:
            yield upload
            if not upload.is_complete:
                upload.abort()
        except BaseException:
            # The first failure is the one to report; what could not be aborted is swept later.
            with suppress(RunError):
                upload.abort()
            raise

    def put(self, key: str, data: bytes, *, content_type: str) -> StoredObject:
        upload_id, etag = uuid4(), hashlib.sha256(data).hexdigest()
        self._check_size(len(data))
        with self._connection("store an object") as connection:
            connection.execute(
                "DELETE FROM stored_objects WHERE key = %s AND completed_at IS NOT NULL", (key,)
            )
            connection.execute(
                "INSERT INTO stored_objects"
                " (upload_id, key, content_type, bytes, etag, completed_at)"
                " VALUES (%s, %s, %s, %s, %s, now())",
                (upload_id, key, content_type, len(data), etag),
            )
            _store_chunks(connection, upload_id, 1, data, etag)
        return StoredObject(key, len(data), etag)

    def read(self, key: str, *, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        with self._connection("read an object") as connection:
            found = connection.execute(
                "SELECT upload_id, bytes FROM stored_objects"
                " WHERE key = %s AND completed_at IS NOT NULL",
                (key,),
            ).fetchone()
            if found is None:
                raise FileNotFoundError(f"There is no object {key!r}.")
            upload_id, size = found
            chunks = _locate_chunks(connection, upload_id)
        if sum(chunk.bytes for chunk in chunks) != size:
            raise StorageCorrupted("The database holds fewer bytes of an object than it took.")
        stop = size if stop is None else min(stop, size)
        if start >= stop:
            return
        wanted = [c for c in chunks if c.start < stop and c.start + c.bytes > start]
        for first in range(0, len(wanted), _CHUNKS_PER_READ):
            for chunk, data in self._read_chunks(
                upload_id, wanted[first : first + _CHUNKS_PER_READ]
            ):
                yield data[max(0, start - chunk.start) : stop - chunk.start]

    def find(self, key: str) -> StoredObject | None:
        with self._connection("look for an object") as connection:
            found = connection.execute(
                "SELECT bytes, etag FROM stored_objects"
                " WHERE key = %s AND completed_at IS NOT NULL",
                (key,),
            ).fetchone()
        return None if found is None else StoredObject(key, *found)

    def modified_at(self, key: str) -> datetime | None:
        with self._connection("look for an object") as connection:
            found = connection.execute(
                "SELECT completed_at FROM stored_objects"
                " WHERE key = %s AND completed_at IS NOT NULL",
                (key,),
            ).fetchone()
        return None if found is None else found[0]

    def delete(self, key: str) -> None:
        with self._connection("delete an object") as connection:
            connection.execute(
                "DELETE FROM stored_objects WHERE key = %s AND completed_at IS NOT NULL", (key,)
            )

    def presign(
        self, key: str, *, expires_seconds: int, filename: str, content_type: str
    ) -> str | None:
        if not 1 <= expires_seconds <= _MAX_PRESIGN_SECONDS:
            raise ValueError(f"expires_seconds must be 1 to {_MAX_PRESIGN_SECONDS}")
        return None  # the API streams the bytes

    def list_keys(self, prefix: str) -> Iterator[str]:
        """Yield the keys that start with ``prefix``; not of objects that were moved, whose bytes
        only stay for downloads under way."""
        with self._connection("list objects") as connection:
            found = connection.execute(
                "SELECT key FROM stored_objects WHERE starts_with(key, %s)"
                " AND completed_at IS NOT NULL AND moved_at IS NULL ORDER BY key",
                (prefix,),
            ).fetchall()
        for (key,) in found:
            yield key

    def stale_uploads(self, *, older_than: datetime) -> Iterator[StaleUpload]:
        with self._connection("list uploads") as connection:
            found = connection.execute(
                "SELECT key, upload_id, created_at FROM stored_objects"
                " WHERE completed_at IS NULL AND created_at < %s ORDER BY created_at",
                (older_than,),
            ).fetchall()
        for key, upload_id, created_at in found:
            yield StaleUpload(key, str(upload_id), created_at)

    def abort_upload(self, key: str, upload_id: str) -> None:
        with self._connection("abort an upload") as connection:
            connection.execute(
                "DELETE FROM stored_objects"
                " WHERE upload_id = %s AND key = %s AND completed_at IS NULL",
                (UUID(upload_id), key),
            )

    def check(self) -> None:
        with self._connection("find its tables") as connection:
            connection.execute("SELECT 1 FROM stored_objects LIMIT 1")

    def warm_up(self) -> None:
        """Nothing to do: every operation makes its own connection."""

    def store_part(
        self, upload_id: UUID, number: int, data: bytes | bytearray, sha256: str
    ) -> None:
        """Store one part; for ``DatabaseUpload``."""
        with self._connection(f"store part {number}") as connection:
            # A part that is sent again takes the place of the first.
            replaced = _part_bytes(connection, upload_id).get(number, 0)
            connection.execute(
                "DELETE FROM stored_chunks WHERE upload_id = %s AND part = %s", (upload_id, number)
            )
            _store_chunks(connection, upload_id, number, data, sha256)
            # Last, as parts written at the same time wait here for each other.
            grown = connection.execute(
                "UPDATE stored_objects SET bytes = bytes + %s"
                " WHERE upload_id = %s AND completed_at IS NULL RETURNING bytes",
                (len(data) - replaced, upload_id),
            ).fetchone()
            if grown is None:
                raise StorageUnavailable("The upload is gone: it was aborted.")
            self._check_size(grown[0])
            self._check_total(connection)

    def join_parts(self, key: str, upload_id: UUID, parts: Sequence[PartReceipt]) -> StoredObject:
        """Commit an upload; for ``DatabaseUpload``. Doing it twice is doing it once."""
        etag = _joined_etag(parts)
        listed = {part.number: part.bytes for part in parts if part.bytes}
        size = sum(listed.values())
        with self._connection("commit an upload") as connection:
            upload = connection.execute(
                "SELECT etag, bytes FROM stored_objects WHERE upload_id = %s FOR UPDATE",
                (upload_id,),
            ).fetchone()
            if upload is None:
                raise StorageUnavailable("The upload is gone: it was aborted.")
            if upload != (etag, size):
                if upload[0] is not None or _part_bytes(connection, upload_id) != listed:
                    raise StorageCorrupted("The database holds other parts than were listed.")
                connection.execute(
                    "UPDATE stored_objects SET etag = %s, bytes = %s, completed_at = now()"
                    " WHERE upload_id = %s",
                    (etag, size, upload_id),
                )
        return StoredObject(key, size, etag)

    def _read_chunks(
        self, upload_id: UUID, chunks: Sequence[_Chunk]
    ) -> Sequence[tuple[_Chunk, bytes]]:
        with self._connection("read an object") as connection:
            found = connection.execute(
                "SELECT data FROM stored_chunks WHERE upload_id = %s"
                " AND (part, part_offset) >= (%s, %s) AND (part, part_offset) <= (%s, %s)"
                " ORDER BY part, part_offset",
                (
                    upload_id,
                    chunks[0].part,
                    chunks[0].part_offset,
                    chunks[-1].part,
                    chunks[-1].part_offset,
                ),
                binary=True,
            ).fetchall()
        if [len(data) for (data,) in found] != [chunk.bytes for chunk in chunks]:
            raise StorageUnavailable("The object was deleted while it was read.")
        return [(chunk, data) for chunk, (data,) in zip(chunks, found, strict=True)]

    def _check_size(self, size: int) -> None:
        limit = self.options.max_object_bytes
        if size > limit:
            raise StorageFull(
                f"The file is larger than the {limit} bytes that the database keeps while object "
                "storage is away. Restore object storage and replay the export, or raise "
                "WAYBILL_FALLBACK_MAX_BYTES."
            )

    def _check_total(self, connection: psycopg.Connection) -> None:
        total = connection.execute("SELECT sum(bytes) FROM stored_objects").fetchone()
        if total is not None and (total[0] or 0) > self.options.max_total_bytes:
            raise StorageFull(
                f"The database keeps {self.options.max_total_bytes} bytes of files already, as "
                "object storage is away. Restore object storage and replay the export, or raise "
                "WAYBILL_FALLBACK_TOTAL_BYTES."
            )

    @contextmanager
    def _connection(self, action: str) -> Iterator[psycopg.Connection]:
        with _translated(action):
            connection = psycopg.connect(
                autocommit=True,
                **connection_arguments(self.options.dsn, application_name="waybill storage"),
            )
            own = opening(
                self.options.dsn,
                self.options.schema,
                statement_timeout_ms=60_000,
                lock_timeout_ms=15_000,
            )
            try:
                with connection.transaction():
                    connection.execute(own.encode())
                    yield connection
            finally:
                connection.close()


class DatabaseUpload:
    """One upload."""

    def __init__(self, storage: DatabaseStorage, key: str, upload_id: UUID) -> None:
        self._storage = storage
        self._id = upload_id
        self.key = key
        self.upload_id = str(upload_id)
        self.is_complete = False

    def write_part(self, number: int, data: bytes | bytearray, sha256: str) -> PartReceipt:
        self._storage.store_part(self._id, number, data, sha256)
        return PartReceipt(number, len(data), sha256, sha256)

    def complete(self, parts: list[PartReceipt]) -> StoredObject:
        for attempt in range(1, _COMMIT_TRIES + 1):
            try:
                stored = self._storage.join_parts(self.key, self._id, parts)
            except StorageUnavailable:
                # A connection that breaks inside COMMIT does not tell; asking again does.
                if attempt == _COMMIT_TRIES:
                    raise
            else:
                self.is_complete = True
                return stored
        raise AssertionError("unreachable")

    def abort(self) -> None:
        if not self.is_complete:
            self._storage.abort_upload(self.key, self.upload_id)


@dataclass(frozen=True, slots=True)
class _Chunk:
    part: int
    part_offset: int
    start: int
    bytes: int


def _locate_chunks(connection: psycopg.Connection, upload_id: UUID) -> list[_Chunk]:
    located, start = [], 0
    for part, part_offset, size in connection.execute(
        # The length of a value that is not compressed is known without reading it.
        "SELECT part, part_offset, length(data) FROM stored_chunks WHERE upload_id = %s"
        " ORDER BY part, part_offset",
        (upload_id,),
    ):
        located.append(_Chunk(part, part_offset, start, size))
        start += size
    return located


def _part_bytes(connection: psycopg.Connection, upload_id: UUID) -> dict[int, int]:
    return {
        part: int(size)
        for part, size in connection.execute(
            "SELECT part, sum(length(data)) FROM stored_chunks WHERE upload_id = %s GROUP BY part",
            (upload_id,),
        )
    }


def _store_chunks(
    connection: psycopg.Connection,
    upload_id: UUID,
    part: int,
    data: bytes | bytearray,
    sha256: str,
) -> None:
    """Write one part, and have the server prove it. An empty part has no chunks."""
    if not data:
        return
    view = memoryview(data)
    with connection.cursor() as cursor:
        with cursor.copy(
            "COPY stored_chunks (upload_id, part, part_offset, data) FROM STDIN (FORMAT BINARY)"
        ) as copy:
            copy.set_types(["uuid", "int4", "int8", "bytea"])
            for offset in range(0, len(view), _CHUNK_BYTES):
                chunk = bytes(view[offset : offset + _CHUNK_BYTES])
                copy.write_row((upload_id, part, offset, chunk))
        received = cursor.execute(
            "SELECT encode(sha256(string_agg(data, ''::bytea ORDER BY part_offset)), 'hex')"
            " FROM stored_chunks WHERE upload_id = %s AND part = %s",
            (upload_id, part),
        ).fetchone()
    if received is None or received[0] != sha256:
        raise StorageCorrupted("PostgreSQL computed another SHA-256 than that of the bytes sent.")


def _joined_etag(parts: Sequence[PartReceipt]) -> str:
    """Return a name for exactly these parts in this order, in the manner of S3."""
    digests = b"".join(bytes.fromhex(part.sha256) for part in parts)
    return f"{hashlib.sha256(digests).hexdigest()}-{len(parts)}"


@contextmanager
def _translated(action: str) -> Iterator[None]:
    """Raise this package's errors for psycopg's inside the block."""
    try:
        yield
    except errors.UniqueViolation as exc:
        raise StorageRejected(f"The database refused to {action}: the key is taken.") from exc
    except errors.ForeignKeyViolation as exc:
        raise StorageUnavailable(f"Could not {action}: the upload was aborted.") from exc
    except (errors.DiskFull, errors.InsufficientResources) as exc:
        raise StorageUnavailable(
            f"The database has no room to {action}. Make room on its disk."
        ) from exc
    except (errors.UndefinedTable, errors.InsufficientPrivilege) as exc:
        raise StorageRejected(
            f"The database refused to {action} ({type(exc).__name__}). Run `waybill migrate`, as "
            "the role of WAYBILL_DATABASE_URL."
        ) from exc
    except (psycopg.OperationalError, psycopg.InterfaceError) as exc:
        raise StorageUnavailable(
            f"The database could not {action} at the moment ({type(exc).__name__})."
        ) from exc
