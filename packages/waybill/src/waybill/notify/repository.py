"""All SQL on the delivery side of ``notifications``: claim, settle, clear.

Due times are waybill's own clock (a rehearsal can move it); leases are the database server's, so
that two schedulers never disagree about who is sending.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import RowMapping, Update, delete, func, null, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from waybill.jobs.tables import export_jobs as jobs
from waybill.notify.delivery import Delivery, DeliveryStatus
from waybill.notify.events import EMAIL, WEBHOOK, EventType
from waybill.notify.tables import disabled_webhooks as disabled
from waybill.notify.tables import notification_contacts as contacts
from waybill.notify.tables import notifications as table


class DeliveryRepository:
    """Notifications in PostgreSQL, as the dispatcher sees them."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def claim(
        self, *, now: datetime, lease_seconds: float, limit: int, limit_per_target: int
    ) -> Sequence[Delivery]:
        """Take due notifications, each under a fresh lease, and count the attempt.

        Counted before it is made: a delivery that kills its process is not tried for ever.

        Args:
            limit_per_target: so that one slow receiver with a long queue cannot hold up the rest.
        """
        due = (
            table.c.status == DeliveryStatus.PENDING.value,
            table.c.next_attempt_at <= now,
            or_(table.c.lease_expires_at.is_(None), table.c.lease_expires_at < func.now()),
        )
        rank = (
            func.row_number()
            .over(partition_by=[table.c.channel, table.c.target], order_by=table.c.next_attempt_at)
            .label("rank")
        )
        ranked = select(table.c.id, rank).where(*due).subquery()
        candidates = (
            select(table.c.id)
            # Asked again: PostgreSQL re-reads these conditions after it got the lock.
            .where(
                table.c.id.in_(select(ranked.c.id).where(ranked.c.rank <= limit_per_target)), *due
            )
            .order_by(table.c.next_attempt_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
            .cte("candidates")
        )
        email = (
            select(contacts.c.email)
            .where(
                contacts.c.export_id == table.c.export_id,
                table.c.channel == EMAIL,
            )
            .scalar_subquery()
            .label("email")
        )
        statement = (
            update(table)
            .where(table.c.id == candidates.c.id, jobs.c.id == table.c.export_id)
            .values(
                attempts=table.c.attempts + 1,
                # One token for the batch is enough: a row is in one batch at a time.
                lease_token=uuid4(),
                lease_expires_at=func.now() + timedelta(seconds=lease_seconds),
            )
            .returning(
                table.c.id,
                table.c.event_id,
                table.c.event,
                table.c.export_id,
                table.c.channel,
                table.c.target,
                table.c.payload,
                table.c.attempts,
                table.c.lease_token,
                jobs.c.requested_by,
                jobs.c.tenant,
                email,
            )
        )
        async with self._engine.begin() as connection:
            return [_delivery(row) for row in (await connection.execute(statement)).mappings()]

    # -- the end of an attempt --------------------------------------------------------------------

    async def mark_delivered(self, delivery: Delivery) -> bool:
        """Settle a notification the receiver took. ``False``: the lease was lost."""
        return await self._settle(delivery, DeliveryStatus.DELIVERED, None)

    async def postpone(self, delivery: Delivery, *, until: datetime, code: str) -> bool:
        """Try again at ``until``. ``False``: the lease was lost."""
        return await self._execute(
            _held(delivery).values(**_UNLEASED, next_attempt_at=until, last_error_code=code)
        )

    async def mark_dead(self, delivery: Delivery, *, code: str) -> bool:
        """Give a notification up. ``False``: the lease was lost."""
        return await self._settle(delivery, DeliveryStatus.DEAD, code)

    async def disable_endpoint(self, name: str, *, fingerprint: str, code: str) -> int:
        """Send nothing more to an endpoint's present URL; give up what waits for it.

        Returns how many notifications that were.
        """
        statement = insert(disabled).values(name=name, fingerprint=fingerprint)
        async with self._engine.begin() as connection:
            await connection.execute(
                statement.on_conflict_do_update(
                    index_elements=[disabled.c.name],
                    set_={"fingerprint": fingerprint, "disabled_at": func.now()},
                )
            )
            result = await connection.execute(
                update(table)
                .where(
                    table.c.channel == WEBHOOK,
                    table.c.target == name,
                    table.c.status == DeliveryStatus.PENDING.value,
                )
                .values(**_settled(DeliveryStatus.DEAD), last_error_code=code)
            )
            return result.rowcount

    # -- for the scheduler ------------------------------------------------------------------------

    async def purge(self, *, older_than: timedelta) -> int:
        """Delete notifications settled that long ago, by the server's clock: a rehearsed one would
        delete the memory of what was announced a moment ago. Returns how many."""
        statement = delete(table).where(
            table.c.status != DeliveryStatus.PENDING.value,
            table.c.settled_at < func.now() - older_than,
        )
        async with self._engine.begin() as connection:
            return (await connection.execute(statement)).rowcount

    # -- plumbing ---------------------------------------------------------------------------------

    async def _settle(self, delivery: Delivery, status: DeliveryStatus, code: str | None) -> bool:
        return await self._execute(
            _held(delivery).values(**_settled(status), last_error_code=code or null())
        )

    async def _execute(self, statement: Update) -> bool:
        async with self._engine.begin() as connection:
            return (await connection.execute(statement)).rowcount > 0


_UNLEASED: dict[str, Any] = {"lease_token": null(), "lease_expires_at": null()}


def _settled(status: DeliveryStatus) -> dict[str, Any]:
    return {
        **_UNLEASED,
        "status": status.value,
        "next_attempt_at": null(),
        "settled_at": func.now(),
    }


def _held(delivery: Delivery) -> Update:
    return update(table).where(
        table.c.id == delivery.id, table.c.lease_token == delivery.lease_token
    )


def _delivery(row: RowMapping) -> Delivery:
    values = dict(row)
    values["event"] = EventType(values["event"])
    return Delivery(**values)
