"""The export job: its statuses and the legal moves between them. No I/O here."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from waybill.errors import WaybillError


class ExportStatus(StrEnum):
    """Where a job stands.

    ``queued`` waits (for a worker, or for its next attempt); ``running`` is held by a worker under
    a lease; ``completed`` has a verified file; ``failed`` is in the dead-letter list;
    ``cancelled`` was stopped by a person; ``expired`` and ``deleted`` had a file that is gone, by
    its time to live or by a person.
    """

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    DELETED = "deleted"

    @property
    def is_finished(self) -> bool:
        """Nothing will happen to the job by itself any more (but the expiry of its file)."""
        return self not in _UNFINISHED

    @property
    def had_file(self) -> bool:
        return self in {ExportStatus.EXPIRED, ExportStatus.DELETED}


_UNFINISHED = frozenset({ExportStatus.QUEUED, ExportStatus.RUNNING})

LEGAL_MOVES: dict[ExportStatus, frozenset[ExportStatus]] = {
    ExportStatus.QUEUED: frozenset({ExportStatus.RUNNING, ExportStatus.CANCELLED}),
    ExportStatus.RUNNING: frozenset(
        {
            ExportStatus.COMPLETED,
            ExportStatus.FAILED,
            ExportStatus.QUEUED,
            ExportStatus.CANCELLED,
        }
    ),
    ExportStatus.COMPLETED: frozenset({ExportStatus.EXPIRED, ExportStatus.DELETED}),
    # A dead letter is replayed.
    ExportStatus.FAILED: frozenset({ExportStatus.QUEUED}),
    ExportStatus.CANCELLED: frozenset(),
    ExportStatus.EXPIRED: frozenset(),
    ExportStatus.DELETED: frozenset(),
}


class IllegalMove(WaybillError):
    """A status change that no job may make: a defect of the caller, never of the data."""

    code = "illegal_move"

    def __init__(self, source: ExportStatus, target: ExportStatus) -> None:
        self.source = source
        self.target = target
        super().__init__(f"An export cannot go from {source.value} to {target.value}.")


def check_move(source: ExportStatus, target: ExportStatus) -> None:
    """Raise ``IllegalMove`` unless a job may go from ``source`` to ``target``."""
    if target not in LEGAL_MOVES[source]:
        raise IllegalMove(source, target)


def sources_of(target: ExportStatus) -> tuple[ExportStatus, ...]:
    """Return the statuses from which ``target`` may be reached, for compare-and-set updates."""
    return tuple(source for source in ExportStatus if target in LEGAL_MOVES[source])


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on a job. Every write of a worker names the token (a fencing token: see
    Kleppmann, "How to do distributed locking", 2016), so a worker that lost it changes nothing.

    ``is_more_due``: whether another job could have been claimed in the same moment, where the claim
    was to find out.
    """

    export_id: UUID
    attempt: int
    token: UUID
    is_more_due: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is. ``rows_expected`` is exact if ``is_exact``, else PostgreSQL's estimate."""

    rows: int = 0
    bytes: int = 0
    rows_expected: int | None = None
    is_exact: bool = False


@dataclass(frozen=True, slots=True)
class ExportJob:
    """One row of ``export_jobs``, as a value, but for the manifest, which can be a thousand times
    as large as the rest (``ExportRepository.find_manifest``)."""

    id: UUID
    export_type: str
    format: str
    options: dict[str, Any]
    requested_by: str
    status: ExportStatus
    created_at: datetime
    updated_at: datetime
    tenant: str | None = None
    attempt: int = 0
    max_attempts: int = 3
    next_attempt_at: datetime | None = None
    published_at: datetime | None = None
    lease_token: UUID | None = field(default=None, repr=False)
    lease_expires_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    expires_at: datetime | None = None
    rows_expected: int | None = None
    rows_expected_exact: bool = False
    rows_done: int = 0
    bytes_done: int = 0
    storage: str | None = None
    object_key: str | None = None
    object_folder: str | None = None
    """Below which folder, under the prefix, its attempts write."""
    object_bytes: int | None = None
    object_etag: str | None = None
    sha256: str | None = None
    file_name: str | None = None
    media_type: str | None = None
    file_columns: list[str] | None = None
    """The columns of the source that the file holds."""
    error_code: str | None = None
    error_message: str | None = None
    error_cause: str | None = None

    def percent(self) -> float | None:
        """Return how much is done, 0 to 100; ``None`` while nothing is known.

        Honest by construction: an estimate never shows 100 before the file is verified.
        """
        if self.status is ExportStatus.COMPLETED or self.status.had_file:
            return 100.0
        if self.rows_expected is None:
            return None
        if self.rows_expected == 0:
            return 0.0
        return min(99.0, round(100.0 * self.rows_done / self.rows_expected, 1))

    def rate(self, now: datetime) -> float | None:
        """Return rows per second of the current or last attempt; ``None`` before it began."""
        if self.started_at is None or self.rows_done == 0:
            return None
        elapsed = ((self.finished_at or now) - self.started_at).total_seconds()
        return round(self.rows_done / elapsed, 1) if elapsed > 0 else None

    def eta_seconds(self, now: datetime) -> float | None:
        """Return seconds until the end at the present rate; ``None`` when not running."""
        rate = self.rate(now)
        if self.status is not ExportStatus.RUNNING or not rate or self.rows_expected is None:
            return None
        return round(max(0.0, self.rows_expected - self.rows_done) / rate, 1)
