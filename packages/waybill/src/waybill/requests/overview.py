"""What operators look at: what runs, how it went, what is kept, who works. Within a reach, by a
constant number of statements, however many jobs there are.

What runs and what died is read anew each time. How it went and what is kept takes a look at every
job of the window, if only in indexes that hold all that is asked (``ix_export_jobs_ended``,
``ix_export_jobs_files``): it is kept for seconds, and says of when it is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    Text,
    case,
    cast,
    column,
    func,
    literal,
    select,
    true,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from waybill.jobs.job import ExportStatus
from waybill.jobs.reach import Reach
from waybill.jobs.rows import seconds
from waybill.jobs.tables import export_attempts as attempts
from waybill.jobs.tables import export_jobs as jobs
from waybill.notify.tables import notifications

Window = Literal["hour", "day", "week"]

_STEPS: Final[dict[Window, tuple[timedelta, int]]] = {
    "hour": (timedelta(minutes=2), 30),
    "day": (timedelta(hours=1), 24),
    "week": (timedelta(hours=6), 28),
}
_DELIVERED: Final = frozenset(
    {ExportStatus.COMPLETED.value, ExportStatus.EXPIRED.value, ExportStatus.DELETED.value}
)
_FAILED: Final = ExportStatus.FAILED.value
_INSTANT: Final = DateTime(timezone=True)
MOST_SHOWN: Final = 25
WORKERS_SEEN_SECONDS: Final = 600
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
        self._reading = asyncio.Lock()

    async def look(self, within: Reach, window: Window) -> Overview:
        """Return what is so now, and how the window went. Whose jobs, ``requests.access`` says."""
        history = await self._history(within, window)
        async with self._engine.connect() as connection:
            dead, count = await self._notifications(connection, within)
            return Overview(
                history=history,
                running=await self._running(connection, within),
                workers=await self._workers(connection, within),
                notifications=dead,
                dead_notifications=count,
            )

    def forget(self) -> None:
        """Read everything anew from now on: somebody has changed it."""
        self._kept.clear()

    async def _history(self, within: Reach, window: Window) -> History:
        # One at a time: whoever waits finds what the first has read.
        async with self._reading:
            read_at, kept = self._kept.get((within, window), (0.0, None))
            if kept is not None and self._monotonic() - read_at < self._history_seconds:
                return kept
            found = await self._read_history(within, window)
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            self._kept[within, window] = (self._monotonic(), found)
            return found

    async def _read_history(self, within: Reach, window: Window) -> History:
        async with self._engine.connect() as connection:
            now = (await connection.execute(select(func.now()))).scalar_one()
            files, file_bytes, next_expiry, expiring = await self._files(connection, within)
            return History(
                as_of=now,
                buckets=await self._buckets(connection, within, window, now),
                causes=await self._causes(connection, within, window),
                files=files,
                file_bytes=file_bytes,
                next_expiry=next_expiry,
                expiring=expiring,
                tenants=await self._tenants(connection, within, window),
            )

    async def _running(self, connection: AsyncConnection, within: Reach) -> list[RunningJob]:
        silence = func.extract(
            "epoch", func.now() - (jobs.c.lease_expires_at - seconds(self._lease_seconds))
        )
        statement = (
            select(
                jobs.c.id,
                jobs.c.export_type,
                jobs.c.requested_by,
                jobs.c.tenant,
                attempts.c.worker,
                jobs.c.attempt,
                jobs.c.rows_done,
                jobs.c.rows_expected,
                jobs.c.started_at,
                func.greatest(silence, 0).label("heartbeat_seconds"),
            )
            .join(attempts, attempts.c.lease_token == jobs.c.lease_token, isouter=True)
            .where(jobs.c.status == ExportStatus.RUNNING.value, within.condition())
            .order_by(jobs.c.lease_expires_at)
            .limit(MOST_SHOWN)
        )
        rows = (await connection.execute(statement)).mappings()
        return [
            RunningJob(**{**row, "heartbeat_seconds": float(row["heartbeat_seconds"])})
            for row in rows
        ]

    async def _buckets(
        self, connection: AsyncConnection, within: Reach, window: Window, now: datetime
    ) -> list[Bucket]:
        step, count = _STEPS[window]
        epoch = datetime(2000, 1, 1, tzinfo=now.tzinfo)
        last = epoch + (now - epoch) // step * step
        first = last - (count - 1) * step
        steps = (
            func.generate_series(literal(first, _INSTANT), literal(last, _INSTANT), step)
            .table_valued(column("begins_at", _INSTANT))
            .render_derived()
        )
        begins_at = steps.c.begins_at
        # A range of the index for each step, and by status: to ask of every row which step and
        # which figure it belongs to costs twice as much.
        ended = (
            select(
                jobs.c.status,
                func.count().label("ended"),
                func.sum(jobs.c.rows_done).label("rows"),
                func.count(jobs.c.started_at).label("timed"),
                # A float of each row: ``extract`` would be NUMERIC, ten times as slow.
                func.sum(func.date_part("epoch", jobs.c.finished_at - jobs.c.started_at)).label(
                    "seconds"
                ),
            )
            .where(
                jobs.c.finished_at >= begins_at,
                jobs.c.finished_at < begins_at + step,
                within.condition(),
            )
            .group_by(jobs.c.status)
            .lateral()
        )
        statement = select(begins_at, *ended.c).select_from(steps.join(ended, true()))
        found: dict[datetime, list[Any]] = {}
        for row in await connection.execute(statement):
            found.setdefault(row.begins_at, []).append(row)
        buckets = []
        for number in range(count - 1, -1, -1):
            rows = found.get(last - number * step, [])
            delivered = [row for row in rows if row.status in _DELIVERED]
            failed = [row for row in rows if row.status == _FAILED]
            timed = sum(row.timed for row in (*delivered, *failed))
            ran = sum(row.seconds or 0.0 for row in (*delivered, *failed))
            buckets.append(
                Bucket(
                    last - number * step,
                    completed=sum(row.ended for row in delivered),
                    failed=sum(row.ended for row in failed),
                    rows=int(sum(row.rows for row in delivered)),
                    seconds=ran / timed if timed else None,
                )
            )
        return buckets

    async def _causes(
        self, connection: AsyncConnection, within: Reach, window: Window
    ) -> list[tuple[str, int]]:
        statement = (
            select(func.coalesce(jobs.c.error_code, "internal_error"), func.count())
            .where(
                jobs.c.status == _FAILED,
                within.condition(),
                self._has_ended(window),
            )
            .group_by(jobs.c.error_code)
            .order_by(func.count().desc())
            .limit(MOST_SHOWN)
        )
        return [(code, count) for code, count in await connection.execute(statement)]

    async def _files(
        self, connection: AsyncConnection, within: Reach
    ) -> tuple[int, int, datetime | None, int]:
        kept = (jobs.c.status == ExportStatus.COMPLETED.value, within.condition())
        expires_at = jobs.c.expires_at
        # The first and those of a day lie at the beginning of the index: not asked of every row.
        statement = select(
            func.count(),
            func.coalesce(func.sum(jobs.c.object_bytes), 0),
            select(func.min(expires_at)).where(*kept).scalar_subquery(),
            select(func.count())
            .select_from(jobs)
            .where(*kept, expires_at < func.now() + timedelta(days=1))
            .scalar_subquery(),
        ).where(*kept)
        files, size, next_expiry, expiring = (await connection.execute(statement)).one()
        return files, int(size), next_expiry, expiring

    async def _workers(self, connection: AsyncConnection, within: Reach) -> list[Worker]:
        # An attempt that is under way is heard of by its lease, not by when it began.
        heard = case(
            (
                attempts.c.ended_at.is_(None),
                func.coalesce(
                    jobs.c.lease_expires_at - seconds(self._lease_seconds), attempts.c.started_at
                ),
            ),
            else_=attempts.c.ended_at,
        )
        seen = func.extract("epoch", func.now() - func.max(heard))
        statement = (
            select(
                attempts.c.worker.label("name"),
                func.count().filter(attempts.c.ended_at.is_(None)).label("running"),
                func.greatest(seen, 0).label("seen_seconds"),
            )
            .join(jobs, jobs.c.id == attempts.c.export_id)
            .where(
                within.condition(),
                (jobs.c.status == ExportStatus.RUNNING.value)
                | (jobs.c.finished_at > func.now() - seconds(WORKERS_SEEN_SECONDS)),
                attempts.c.ended_at.is_(None)
                | (attempts.c.ended_at > func.now() - seconds(WORKERS_SEEN_SECONDS)),
            )
            .group_by(attempts.c.worker)
            .order_by(attempts.c.worker)
            .limit(4 * MOST_SHOWN)
        )
        return [
            Worker(row.name, row.running, float(row.seen_seconds))
            for row in await connection.execute(statement)
        ]

    async def _tenants(
        self, connection: AsyncConnection, within: Reach, window: Window
    ) -> list[Tenant]:
        step, count = _STEPS[window]
        queued = jobs.c.status == ExportStatus.QUEUED.value
        running = jobs.c.status == ExportStatus.RUNNING.value
        nobody = literal(0)
        unfinished = (
            select(
                jobs.c.tenant,
                func.count().filter(queued).label("queued"),
                func.count().filter(running).label("running"),
                nobody.label("failed"),
            )
            .where(within.condition(), queued | running)
            .group_by(jobs.c.tenant)
        )
        failed = (
            select(jobs.c.tenant, nobody, nobody, func.count())
            .where(
                within.condition(),
                jobs.c.status == _FAILED,
                jobs.c.finished_at > func.now() - step * count,
            )
            .group_by(jobs.c.tenant)
        )
        # Each by an index of its own: one condition for all three would visit most rows.
        every = unfinished.union_all(failed).subquery()
        total = func.sum(every.c.queued + every.c.running + every.c.failed)
        statement = (
            select(
                every.c.tenant,
                *(
                    cast(func.sum(each), BigInteger).label(each.name)
                    for each in (every.c.queued, every.c.running, every.c.failed)
                ),
            )
            .group_by(every.c.tenant)
            .order_by(total.desc(), cast(every.c.tenant, Text))
            .limit(MOST_SHOWN)
        )
        return [Tenant(**row) for row in (await connection.execute(statement)).mappings()]

    async def _notifications(
        self, connection: AsyncConnection, within: Reach
    ) -> tuple[list[DeadNotification], int]:
        statement = (
            select(
                notifications.c.export_id,
                notifications.c.event,
                notifications.c.channel,
                notifications.c.target,
                notifications.c.attempts,
                notifications.c.last_error_code.label("code"),
                notifications.c.settled_at,
                func.count().over().label("count"),
            )
            .join(jobs, jobs.c.id == notifications.c.export_id)
            .where(notifications.c.status == "dead", within.condition())
            .order_by(notifications.c.settled_at.desc())
            .limit(MOST_SHOWN)
        )
        rows = [dict(row) for row in (await connection.execute(statement)).mappings()]
        count = int(rows[0]["count"]) if rows else 0
        for row in rows:
            del row["count"]
        return [DeadNotification(**row) for row in rows], count

    def _has_ended(self, window: Window) -> ColumnElement[bool]:
        step, count = _STEPS[window]
        return jobs.c.finished_at > func.now() - step * count
