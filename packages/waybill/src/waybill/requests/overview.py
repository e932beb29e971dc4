"""What operators look at: what runs, how it went, what is kept, who works. Within a reach, by a
constant number of statements, however many jobs there are.

What runs and what died is read anew each time. How it went and what is kept takes a look at every
job of the window, if only in indexes that hold all that is asked (``ix_export_jobs_delivered``,
``…_dead_letters``, ``…_files``, ``…_unfinished``): it is kept for seconds, and says of when it is.
Its two halves, and what is so now, are asked at once, each on a connection of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeVar
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from waybill.jobs.reach import Reach
from waybill.requests import overview_statements as statements
from waybill.requests.overview_statements import MOST_SHOWN

A = TypeVar("A")
B = TypeVar("B")
Window = Literal["hour", "day", "week"]

_STEPS: Final[dict[Window, tuple[timedelta, int]]] = {
    "hour": (timedelta(minutes=2), 30),
    "day": (timedelta(hours=1), 24),
    "week": (timedelta(hours=6), 28),
}
HISTORY_SECONDS: Final = 15.0
"""How old a history may be that is shown again."""
_MOST_KEPT: Final = 100
"""Histories that one process keeps: one for each reach and window."""


@dataclass(frozen=True, slots=True)
class RunningJob:
    """A job under a lease. ``heartbeat_seconds`` is how long ago its worker last spoke."""

    id: UUID
    export_type: str
    requested_by: str
    tenant: str | None
    worker: str | None
    attempt: int
    rows_done: int
    rows_expected: int | None
    started_at: datetime | None
    heartbeat_seconds: float


@dataclass(frozen=True, slots=True)
class Bucket:
    """Jobs that ended within one step of time. ``seconds`` is how long they ran on average."""

    begins_at: datetime
    completed: int
    failed: int
    rows: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that ran something lately. ``seen_seconds`` is how long ago it was heard of."""

    name: str
    running: int
    seen_seconds: float


@dataclass(frozen=True, slots=True)
class Tenant:
    """One tenant's jobs: those that wait and run now, and those that failed within the window."""

    tenant: str | None
    queued: int
    running: int
    failed: int


@dataclass(frozen=True, slots=True)
class DeadCause:
    """The dead letters of one cause: how many, and when the first and the last of them failed."""

    code: str | None
    letters: int
    first_at: datetime | None
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class DeadNotification:
    """A notification that was given up."""

    export_id: UUID
    event: str
    channel: str
    target: str
    attempts: int
    code: str | None
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class History:
    """How it went and what is kept. ``causes`` are codes of failures and how many there were."""

    as_of: datetime
    buckets: Sequence[Bucket]
    causes: Sequence[tuple[str, int]]
    files: int
    file_bytes: int
    next_expiry: datetime | None
    expiring: int
    tenants: Sequence[Tenant]


@dataclass(frozen=True, slots=True)
class Overview:
    """One look at the service."""

    history: History
    running: Sequence[RunningJob]
    workers: Sequence[Worker]
    causes: Sequence[DeadCause]
    notifications: Sequence[DeadNotification]
    dead_notifications: int


class OperationsView:
    """Looks.

    Args:
        engine: waybill's own database.
        lease_seconds: how long a lease holds from each word of its worker on.
        history_seconds: how old a history may be that is shown again; 0 reads it each time.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        lease_seconds: float,
        history_seconds: float = HISTORY_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._lease_seconds = lease_seconds
        self._history_seconds = history_seconds
        self._monotonic = monotonic
        self._kept: dict[tuple[Reach, Window], tuple[float, History]] = {}
        self._forgotten = 0
        self._reading = asyncio.Lock()

    async def look(self, within: Reach, window: Window) -> Overview:
        """Return what is so now, and how the window went. Whose jobs, ``requests.access`` says."""
        history, (running, workers, causes, (dead, count)) = await at_once(
            self._history(within, window), self._present(within)
        )
        return Overview(
            history=history,
            running=running,
            workers=workers,
            causes=causes,
            notifications=dead,
            dead_notifications=count,
        )

    def forget(self) -> None:
        """Read everything anew from now on: somebody has changed it."""
        self._kept.clear()
        self._forgotten += 1

    async def _history(self, within: Reach, window: Window) -> History:
        # One at a time: whoever waits finds what the first has read.
        async with self._reading:
            read_at, kept = self._kept.get((within, window), (0.0, None))
            if kept is not None and self._monotonic() - read_at < self._history_seconds:
                return kept
            forgotten = self._forgotten
            found = await self._read_history(within, window)
            if forgotten != self._forgotten:
                return found  # which may be of before the change: for nobody else
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[within, window] = (self._monotonic(), found)
            return found

    async def _read_history(self, within: Reach, window: Window) -> History:
        # Each about half of the work.
        (now, buckets, causes), (files, tenants) = await at_once(
            self._ended(within, window), self._kept_and_waiting(within, window)
        )
        count, size, next_expiry, expiring = files
        return History(
            as_of=now,
            buckets=buckets,
            causes=causes,
            files=count,
            file_bytes=size,
            next_expiry=next_expiry,
            expiring=expiring,
            tenants=tenants,
        )

    async def _kept_and_waiting(
        self, within: Reach, window: Window
    ) -> tuple[tuple[int, int, datetime | None, int], list[Tenant]]:
        async with self._engine.connect() as connection:
            return (
                await self._files(connection, within),
                await self._tenants(connection, within, window),
            )

    async def _present(
        self, within: Reach
    ) -> tuple[list[RunningJob], list[Worker], list[DeadCause], tuple[list[DeadNotification], int]]:
        async with self._engine.connect() as connection:
            return (
                await self._running(connection, within),
                await self._workers(connection, within),
                await self._causes(connection, within),
                await self._notifications(connection, within),
            )

    async def _running(self, connection: AsyncConnection, within: Reach) -> list[RunningJob]:
        statement = statements.running(within, self._lease_seconds)
        return [
            RunningJob(**{**row, "heartbeat_seconds": float(row["heartbeat_seconds"])})
            for row in (await connection.execute(statement)).mappings()
        ]

    async def _ended(
        self, within: Reach, window: Window
    ) -> tuple[datetime, list[Bucket], list[tuple[str, int]]]:
        """Return the database's time, how each step went, and why jobs failed in all of them."""
        step, count = _STEPS[window]
        async with self._engine.connect() as connection:
            now = (await connection.execute(select(func.now()))).scalar_one()
            epoch = datetime(2000, 1, 1, tzinfo=now.tzinfo)
            last = epoch + (now - epoch) // step * step
            first = last - (count - 1) * step
            found: dict[datetime, list[Any]] = {}
            values = {"first": first, "last": last}
            for row in await connection.execute(statements.ended(within, step), values):
                found.setdefault(row.begins_at, []).append(row)
        steps = [first + number * step for number in range(count)]
        causes: Counter[str] = Counter()
        for row in (row for rows in found.values() for row in rows if row.is_failure):
            causes[row.reason or "internal_error"] += row.ended
        # Equal ones by name, so that they do not change places.
        by_number = sorted(causes.items(), key=lambda cause: (-cause[1], cause[0]))
        return now, [_bucket(at, found.get(at, [])) for at in steps], by_number[:MOST_SHOWN]

    async def _files(
        self, connection: AsyncConnection, within: Reach
    ) -> tuple[int, int, datetime | None, int]:
        found = await connection.execute(statements.files(within))
        files, size, next_expiry, expiring = found.one()
        return files, int(size), next_expiry, expiring

    async def _workers(self, connection: AsyncConnection, within: Reach) -> list[Worker]:
        return [
            Worker(row.name, row.running, float(row.seen_seconds))
            for row in await connection.execute(statements.workers(within, self._lease_seconds))
        ]

    async def _causes(self, connection: AsyncConnection, within: Reach) -> list[DeadCause]:
        found = await connection.execute(statements.dead_letters(within))
        return [DeadCause(**row) for row in found.mappings()]

    async def _tenants(
        self, connection: AsyncConnection, within: Reach, window: Window
    ) -> list[Tenant]:
        step, count = _STEPS[window]
        found = await connection.execute(statements.tenants(within, step * count))
        return [Tenant(**row) for row in found.mappings()]

    async def _notifications(
        self, connection: AsyncConnection, within: Reach
    ) -> tuple[list[DeadNotification], int]:
        found = await connection.execute(statements.dead_notifications(within))
        rows = [dict(row) for row in found.mappings()]
        count = int(rows[0]["count"]) if rows else 0
        for row in rows:
            del row["count"]
        return [DeadNotification(**row) for row in rows], count


async def at_once(one: Coroutine[Any, Any, A], other: Coroutine[Any, Any, B]) -> tuple[A, B]:
    """Return what both return. An error of one is raised when the other has ended too, so that
    nothing is left behind."""
    found: list[Any] = await asyncio.gather(one, other, return_exceptions=True)
    for each in found:
        if isinstance(each, BaseException):
            raise each
    return found[0], found[1]


def _bucket(begins_at: datetime, rows: Sequence[Any]) -> Bucket:
    timed = sum(row.timed for row in rows)
    ran = sum(row.seconds or 0.0 for row in rows)
    return Bucket(
        begins_at,
        completed=sum(row.ended for row in rows if not row.is_failure),
        failed=sum(row.ended for row in rows if row.is_failure),
        rows=int(sum(row.rows or 0 for row in rows)),
        seconds=ran / timed if timed else None,
    )
