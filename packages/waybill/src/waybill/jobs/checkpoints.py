"""What a killed attempt of a resumable export leaves to its successor: the parts that are stored.

Every write is fenced: one transaction that begins by locking the job's row under the lease token.
Written from the pipeline's thread, hence synchronous, on a connection of the attempt's own (as
``DatabaseStorage`` is); what ends a job deletes its checkpoint in the same transaction.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg.types.json import Jsonb

from waybill.errors import LeaseLost
from waybill.jobs.job import Lease
from waybill.keep_alive import keep_alive
from waybill.log import get_logger
from waybill.manifest import ManifestSnapshot
from waybill.own_database import SCHEMA, connection_arguments, opening
from waybill.storage.base import PartReceipt

log = get_logger(__name__)

_LOAD_TRIES = 3


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """Where a file can be resumed: behind ``rows`` rows, the last of which has ``key``."""

    rows: int
    key: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CheckpointPart:
    """A part that storage confirmed, and the snapshot its rows were read from.

    ``resume_point`` is ``None`` where the part does not end a row, or its last key was not looked
    up.
    """

    receipt: PartReceipt
    snapshot: ManifestSnapshot
    resume_point: ResumePoint | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An upload that can be resumed, and its parts from the first on.

    ``fingerprint`` is equal as long as everything is that decides the file's bytes but the data.
    """

    object_key: str
    upload_id: str
    fingerprint: str
    parts: tuple[CheckpointPart, ...] = ()

    @property
    def resume_point(self) -> ResumePoint | None:
        """Where the last part ends."""
        return self.parts[-1].resume_point if self.parts else None

    def to_last_resume_point(self) -> Checkpoint | None:
        """Return the checkpoint up to its last part that ends at a resume point, or ``None``."""
        parts = list(self.parts)
        while parts and parts[-1].resume_point is None:
            parts.pop()
        if not parts:
            return None
        return Checkpoint(self.object_key, self.upload_id, self.fingerprint, tuple(parts))


class CheckpointLog:
    """The checkpoint of one job, as one attempt reads and writes it. For one thread.

    Leaving the block closes its connection, which is made at first use.
    """

    def __init__(self, dsn: str, lease: Lease, *, schema: str = SCHEMA) -> None:
        self._dsn = dsn
        self._schema = schema
        self._lease = lease
        self._connection: psycopg.Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()

    def load(self) -> Checkpoint | None:
        """Return what earlier attempts left; ``None`` where there is nothing.

        Raises:
            psycopg.OperationalError: the database does not answer.
        """
        for attempt in range(1, _LOAD_TRIES + 1):
            try:
                return self._load()
            except psycopg.OperationalError:
                self._close()
                if attempt == _LOAD_TRIES:
                    raise
        raise AssertionError("unreachable")

    def record(self, checkpoint: Checkpoint, added: Sequence[CheckpointPart]) -> bool:
        """Keep ``added``, the newest parts of ``checkpoint``; whatever stood behind them goes.

        Returns whether they are kept. If not, the next call may bring them again.

        Raises:
            LeaseLost: the job is somebody else's.
        """
        try:
            with self._fenced() as connection:
                connection.execute(
                    "INSERT INTO export_checkpoints (export_id, object_key, upload_id, fingerprint)"
                    " VALUES (%s, %s, %s, %s) ON CONFLICT (export_id) DO NOTHING",
                    (
                        self._lease.export_id,
                        checkpoint.object_key,
                        checkpoint.upload_id,
                        checkpoint.fingerprint,
                    ),
                )
                connection.execute(
                    "DELETE FROM export_checkpoint_parts WHERE export_id = %s AND number >= %s",
                    (self._lease.export_id, added[0].receipt.number),
                )
                with connection.cursor() as cursor:
                    cursor.executemany(_INSERT_PART, [self._values(part) for part in added])
        except psycopg.OperationalError as exc:
            log.warning("checkpoint.not_written", error=type(exc).__name__)
            self._close()
            return False
        return True

    def discard(self) -> None:
        """Forget the checkpoint, so that a new upload can take its place.

        Raises:
            LeaseLost: the job is somebody else's.
            psycopg.OperationalError: the database does not answer.
        """
        with self._fenced() as connection:
            connection.execute(
                "DELETE FROM export_checkpoints WHERE export_id = %s", (self._lease.export_id,)
            )

    def _load(self) -> Checkpoint | None:
        with self._transaction() as connection:
            found = connection.execute(
                "SELECT object_key, upload_id, fingerprint FROM export_checkpoints"
                " WHERE export_id = %s",
                (self._lease.export_id,),
            ).fetchone()
            if found is None:
                return None
            rows = connection.execute(
                "SELECT number, bytes, sha256, etag, snapshot, rows, last_key"
                " FROM export_checkpoint_parts WHERE export_id = %s ORDER BY number",
                (self._lease.export_id,),
            ).fetchall()
        object_key, upload_id, fingerprint = found
        return Checkpoint(object_key, upload_id, fingerprint, tuple(_part(row) for row in rows))

    def _values(self, part: CheckpointPart) -> tuple[Any, ...]:
        receipt, point = part.receipt, part.resume_point
        return (
            self._lease.export_id,
            receipt.number,
            receipt.bytes,
            receipt.sha256,
            receipt.etag,
            Jsonb(part.snapshot.model_dump(mode="json")),
            point.rows if point else None,
            Jsonb(list(point.key)) if point else None,
        )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[psycopg.Connection]:
        connection = self._connected()
        # Less than the heartbeat, which waits for the same row.
        own = opening(self._dsn, self._schema, statement_timeout_ms=5_000, lock_timeout_ms=5_000)
        with connection.transaction():
            connection.execute(own.encode())
            yield connection

    @contextlib.contextmanager
    def _fenced(self) -> Iterator[psycopg.Connection]:
        with self._transaction() as connection:
            held = connection.execute(
                "SELECT 1 FROM export_jobs"
                " WHERE id = %s AND lease_token = %s AND status = 'running' FOR NO KEY UPDATE",
                (self._lease.export_id, self._lease.token),
            ).fetchone()
            if held is None:
                raise LeaseLost("The lease was lost.")
            yield connection

    def _connected(self) -> psycopg.Connection:
        if self._connection is None:
            arguments = connection_arguments(
                self._dsn, application_name="waybill checkpoints", **keep_alive(seconds=10)
            )
            self._connection = psycopg.connect(autocommit=True, **arguments)
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


_INSERT_PART = """
    INSERT INTO export_checkpoint_parts
        (export_id, number, bytes, sha256, etag, snapshot, rows, last_key)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"""


def _part(row: tuple[Any, ...]) -> CheckpointPart:
    number, size, sha256, etag, snapshot, rows, last_key = row
    return CheckpointPart(
        PartReceipt(number, size, sha256, etag),
        ManifestSnapshot.model_validate(snapshot),
        None if rows is None else ResumePoint(rows, tuple(last_key)),
    )
