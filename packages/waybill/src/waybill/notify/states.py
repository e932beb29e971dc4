"""What became of notifications, and how those that were given up are sent again: for operators and
administrators, within a reach that their caller has to name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, RowMapping, Select, delete, null, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncEngine

from waybill.clock import Clock
from waybill.jobs.reach import Reach
from waybill.jobs.rows import JOB_COLUMNS, JobListener, job_of, tell
from waybill.jobs.tables import export_jobs as jobs
from waybill.log import get_logger
from waybill.notify.delivery import (
    DeliveryState,
    DeliveryStatus,
    DisabledEndpoint,
    NotificationFilter,
)
from waybill.notify.events import EventType
from waybill.notify.tables import disabled_webhooks as disabled
from waybill.notify.tables import notifications as table

log = get_logger(__name__)

MAX_REPLAYED = 1_000

_COLUMNS = [table.c[name] for name in DeliveryState.__dataclass_fields__]


class NotificationStates:
    """Lists and replays notifications; enables endpoints again.

    Args:
        engine: waybill's own database.
        clock: by which a replayed notification is due at once.
    """

    def __init__(self, engine: AsyncEngine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    async def list(
        self, wanted: NotificationFilter | None = None, *, within: Reach, limit: int
    ) -> Sequence[DeliveryState]:
        """Return what became of notifications, the newest first."""
        statement = (
            _within(select(*_COLUMNS), wanted or NotificationFilter(), within)
            .order_by(table.c.created_at.desc(), table.c.id.desc())
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            return [_state(row) for row in (await connection.execute(statement)).mappings()]

    async def replay(
        self,
        wanted: NotificationFilter,
        *,
        within: Reach,
        limit: int = MAX_REPLAYED,
        audit: Sequence[JobListener] = (),
    ) -> Sequence[DeliveryState]:
        """Send those that were given up again, with as many attempts as a new one has, under the
        same event id: a receiver that took it after all drops it.

        ``audit`` are told of each export in the same transaction. Returns those that are due again,
        the latest to be given up first if there are more than ``limit``.
        """
        candidates = (
            _within(select(table.c.id), wanted, within)
            .where(table.c.status == DeliveryStatus.DEAD.value)
            .order_by(table.c.settled_at.desc(), table.c.id)
            .limit(min(limit, MAX_REPLAYED))
            .with_for_update(of=table, skip_locked=True)
            .cte("candidates")
        )
        statement = (
            update(table)
            .where(table.c.id == candidates.c.id)
            .values(
                status=DeliveryStatus.PENDING.value,
                attempts=0,
                next_attempt_at=self._clock.now(),
                last_error_code=null(),
                settled_at=null(),
            )
            .returning(*_COLUMNS)
        )
        async with self._engine.begin() as connection:
            found = [_state(row) for row in (await connection.execute(statement)).mappings()]
            theirs = select(*JOB_COLUMNS).where(jobs.c.id.in_({each.export_id for each in found}))
            for row in (await connection.execute(theirs)).mappings().all() if found else ():
                await tell(audit, connection, job_of(row))
        log.info("notification.replayed", count=len(found))
        return found

    async def disabled_endpoints(self) -> Sequence[DisabledEndpoint]:
        """Return the webhook endpoints that answered 410 Gone, by name."""
        statement = select(disabled.c.name, disabled.c.disabled_at).order_by(disabled.c.name)
        async with self._engine.connect() as connection:
            return [DisabledEndpoint(*row) for row in await connection.execute(statement)]

    async def enable_endpoint(self, name: str) -> bool:
        """Tell an endpoint of what happens from now on. ``False``: it was not disabled."""
        statement = delete(disabled).where(disabled.c.name == name)
        async with self._engine.begin() as connection:
            return (await connection.execute(statement)).rowcount > 0


def _within(statement: Select[Any], wanted: NotificationFilter, within: Reach) -> Select[Any]:
    found = statement.join(jobs, jobs.c.id == table.c.export_id).where(within.condition())
    equal: dict[ColumnElement[Any], str | UUID | None] = {
        table.c.export_id: wanted.export_id,
        table.c.status: wanted.status and wanted.status.value,
        table.c.channel: wanted.channel,
        table.c.target: wanted.target,
        table.c.last_error_code: wanted.code,
    }
    for column, value in equal.items():
        if value is not None:
            found = found.where(column == value)
    if wanted.before is not None:
        found = found.where(tuple_(table.c.created_at, table.c.id) < tuple_(*wanted.before))
    return found


def _state(row: RowMapping) -> DeliveryState:
    values = dict(row)
    values["event"] = EventType(values["event"])
    values["status"] = DeliveryStatus(values["status"])
    return DeliveryState(**values)
