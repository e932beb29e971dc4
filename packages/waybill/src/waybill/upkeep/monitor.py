"""Figures on how the service does, and an alert for every bound they pass."""

from __future__ import annotations

import functools
import time
from dataclasses import dataclass, fields
from typing import Any, Final

from sqlalchemy import BigInteger, Float, Select, cast, func, select, true
from sqlalchemy.ext.asyncio import AsyncEngine

from waybill.jobs.job import ExportStatus
from waybill.jobs.reach import EVERYTHING, Reach
from waybill.jobs.tables import export_jobs as jobs
from waybill.log import get_logger
from waybill.metrics import definitions as m
from waybill.metrics.recording import record
from waybill.notify.tables import notifications

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class MonitorBounds:
    """Beyond these, somebody should look."""

    queued_seconds: float
    running_seconds: float


@dataclass(frozen=True, slots=True)
class MonitorFigures:
    """The state of jobs at one instant, by the database's clock."""

    queued: int
    """Jobs that wait: for a worker, or for their next attempt."""
    due: int
    """Jobs that wait for a worker."""
    running: int
    dead_letters: int
    without_heartbeat: int
    """Jobs whose lease is over: the sweeper frees them within seconds, if it runs."""
    oldest_due_seconds: float
    """For how long the first in the queue has been waiting; 0 when none is."""
    longest_silence_seconds: float
    """For how long the first of the leases that are over has been so; 0 when none is."""
    leftovers: int
    """Files out of reach whose objects are not yet deleted."""
    in_fallback: int
    """Files that lie in the database, as object storage was away."""
    fallback_bytes: int
    """The bytes of those files."""
    oldest_snapshot_seconds: float
    """For how long the oldest attempt that runs has kept its snapshot of the source; 0 without."""
    notifications_pending: int
    """Notifications not yet delivered, of all tenants' exports within reach."""


GAUGES: Final = {
    "queued": m.QUEUED,
    "due": m.DUE,
    "running": m.RUNNING,
    "dead_letters": m.DEAD_LETTERS,
    "without_heartbeat": m.STUCK,
    "oldest_due_seconds": m.OLDEST_DUE,
    "longest_silence_seconds": m.LONGEST_SILENCE,
    "leftovers": m.LEFTOVERS,
    "in_fallback": m.FALLBACK_FILES,
    "fallback_bytes": m.FALLBACK_BYTES,
    "oldest_snapshot_seconds": m.OLDEST_SNAPSHOT,
    "notifications_pending": m.NOTIFICATIONS_DUE,
}
"""What the figures are counted as, and what they mean: by the names that they have here."""


class ExportMonitor:
    """Looks at all jobs. Cheap: each figure has a partial index behind it."""

    def __init__(self, engine: AsyncEngine, bounds: MonitorBounds) -> None:
        self._engine = engine
        self._bounds = bounds

    async def figures(self, within: Reach) -> MonitorFigures:
        """Return the figures of this instant, of the jobs within a reach."""
        async with self._engine.connect() as connection:
            found = await connection.execute(_statement(within))
            return MonitorFigures(**found.mappings().one())

    async def watch(self) -> tuple[str, ...]:
        """Look once, and log an alert for each bound that is passed. Returns their names."""
        figures = await self.figures(EVERYTHING)
        _record(figures)
        alerts = self.alerts(figures)
        log.info("monitor.figures", **{f.name: getattr(figures, f.name) for f in fields(figures)})
        for alert in alerts:
            log.error(
                "monitor.stuck",
                alert=alert,
                due=figures.due,
                running=figures.running,
                without_heartbeat=figures.without_heartbeat,
                oldest_due_seconds=round(figures.oldest_due_seconds, 1),
                longest_silence_seconds=round(figures.longest_silence_seconds, 1),
            )
        return alerts

    def alerts(self, figures: MonitorFigures) -> tuple[str, ...]:
        """Return the names of the bounds that ``figures`` pass."""
        alerts = []
        if figures.oldest_due_seconds > self._bounds.queued_seconds:
            alerts.append("queued_too_long")
        if figures.longest_silence_seconds > self._bounds.running_seconds:
            alerts.append("running_without_heartbeat")
        return tuple(alerts)


@functools.lru_cache(maxsize=64)
def _statement(within: Reach) -> Select[Any]:
    """Ask for all figures at once. Kept, as to build it takes as long as it runs."""
    is_within = within.condition()
    has_leftover = jobs.c.status.in_(
        [ExportStatus.EXPIRED.value, ExportStatus.DELETED.value]
    ) & jobs.c.object_key.is_not(None)
    in_fallback = (jobs.c.status == ExportStatus.COMPLETED.value) & (jobs.c.storage == "database")

    def age(first: Any) -> Any:
        elapsed = func.extract("epoch", func.now() - first)
        return cast(func.greatest(func.coalesce(elapsed, 0), 0), Float)

    # One pass over each partial index, however many figures it gives.
    waiting = (
        select(
            func.count().label("queued"),
            func.count().filter(jobs.c.next_attempt_at <= func.now()).label("due"),
            age(func.min(jobs.c.next_attempt_at)).label("oldest_due_seconds"),
        )
        .where(jobs.c.status == ExportStatus.QUEUED.value, is_within)
        .subquery()
    )
    silent_since = func.min(jobs.c.lease_expires_at)
    leased = (
        select(
            func.count().label("running"),
            func.count().filter(jobs.c.lease_expires_at < func.now()).label("without_heartbeat"),
            age(silent_since).label("longest_silence_seconds"),
            age(func.min(jobs.c.started_at)).label("oldest_snapshot_seconds"),
        )
        .where(jobs.c.status == ExportStatus.RUNNING.value, is_within)
        .subquery()
    )
    failed = (
        select(func.count().label("dead_letters"))
        .where(jobs.c.status == ExportStatus.FAILED.value, is_within)
        .subquery()
    )
    out_of_reach = select(func.count().label("leftovers")).where(has_leftover, is_within).subquery()
    fallback = (
        select(
            func.count().label("in_fallback"),
            cast(func.coalesce(func.sum(jobs.c.object_bytes), 0), BigInteger).label(
                "fallback_bytes"
            ),
        )
        .where(in_fallback, is_within)
        .subquery()
    )
    untold = (
        select(func.count().label("notifications_pending"))
        .select_from(notifications.join(jobs, jobs.c.id == notifications.c.export_id))
        .where(notifications.c.status == "pending", is_within)
        .subquery()
    )
    # Each is one row.
    parts = (waiting, leased, failed, out_of_reach, fallback, untold)
    every: Any = parts[0]
    for part in parts[1:]:
        every = every.join(part, true())
    return select(*(column for part in parts for column in part.c)).select_from(every)


def _record(figures: MonitorFigures) -> None:
    for field in fields(figures):
        record(GAUGES[field.name], getattr(figures, field.name))
    record(m.LOOKED_AT, time.time())


def exposition(figures: MonitorFigures, *, set_aside: int | None = None) -> str:
    """Return the figures in Prometheus' text format, version 0.0.4.

    Gauges without labels, which is why no client library is needed for it.
    """
    lines = []
    for field in fields(figures):
        name = f"waybill_exports_{field.name}"
        lines += [
            f"# HELP {name} {GAUGES[field.name].help}",
            f"# TYPE {name} gauge",
            f"{name} {getattr(figures, field.name)}",
        ]
    if set_aside is not None:
        name = "waybill_queue_messages_set_aside"
        lines += [
            f"# HELP {name} Messages in the queue that no program of waybill sent.",
            f"# TYPE {name} gauge",
            f"{name} {set_aside}",
        ]
    return "\n".join(lines) + "\n"
