"""The outbox: what is to be told is written in the transaction that makes it true.

A worker that dies right after ``completed`` has left the notification behind; one whose
transaction is rolled back has left none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, and_, delete, exists, func, literal, or_, select, true
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from waybill.clock import Clock
from waybill.jobs.job import ExportJob, ExportStatus
from waybill.jobs.rows import JOB_COLUMNS, job_of
from waybill.jobs.tables import export_jobs as jobs
from waybill.log import get_logger
from waybill.notify.delivery import DeliveryStatus, NotificationChannel, Subscription
from waybill.notify.email.address import parse_address
from waybill.notify.events import EMAIL, EventType, ExportLinks, event_id, event_payload
from waybill.notify.tables import disabled_webhooks as disabled
from waybill.notify.tables import notification_contacts as contacts
from waybill.notify.tables import notifications

log = get_logger(__name__)

_BATCH = 100
# A dead letter that is replayed within this time still finds the person who asked for it.
_FAILED_CONTACT_DAYS = 7
_WITHOUT_FILE = (ExportStatus.CANCELLED, ExportStatus.EXPIRED, ExportStatus.DELETED)


class NotificationOutbox:
    """Writes notifications; ``NotificationDispatcher`` delivers them.

    Args:
        engine: waybill's own database.
        channels: they say who is told of what.
        links: the addresses that payloads name.
        clock: by which files expire, and notifications are due.
        expiring_notice: how long before its end a file is announced as expiring.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        channels: Iterable[NotificationChannel],
        links: ExportLinks,
        clock: Clock,
        expiring_notice: timedelta,
    ) -> None:
        self._engine = engine
        self._subscriptions = [
            (channel.name, each) for channel in channels for each in channel.subscriptions()
        ]
        self._links = links
        self._clock = clock
        self._expiring_notice = expiring_notice

    @property
    def has_subscriptions(self) -> bool:
        """Whether anybody is ever told anything."""
        return bool(self._subscriptions)

    # -- in the transactions of exports -----------------------------------------------------------

    async def subscribe(
        self, connection: AsyncConnection, export_id: UUID, email: str | None
    ) -> bool:
        """Remember where to write about an export; in the transaction that creates its row.

        Returns whether anything was kept: not without mail events, and not an address nobody can
        write to (a claim of a token may hold anything; it never fails the request).
        """
        if email is None or not self._mail_events():
            return False
        try:
            address = parse_address(email)
        except ValueError:
            log.warning("notification.bad_address", export_id=str(export_id))
            return False
        statement = insert(contacts).values(export_id=export_id, email=address)
        written = statement.on_conflict_do_nothing().returning(contacts.c.export_id)
        return await self._guarded(connection, [written], export_id)

    async def enqueue(
        self, connection: AsyncConnection, job: ExportJob, event: EventType | None = None
    ) -> bool:
        """Write what ``job`` as it is now has to tell; in the transaction that changed it.

        Telling the same end twice writes nothing the second time. A failure undoes only this
        (a savepoint), because a notification must never fail an export.

        Args:
            event: what happened; by the job's status when omitted.
        """
        event = event or EventType.of_status(job.status)
        if event is None:
            return False
        statements = [
            self._insert(job, event, channel, subscription)
            for channel, subscription in self._subscriptions
            if event in subscription.events
        ]
        if not statements:
            return False
        return await self._guarded(connection, statements, job.id)

    # -- in the scheduler -------------------------------------------------------------------------

    async def enqueue_expiring(self) -> int:
        """Announce, once, the files that will soon be deleted. Returns how many it looked at.

        A file that lives less than twice the notice is not announced: the mail that it was ready
        has just said until when.
        """
        seen = 0
        for channel, subscription in self._subscriptions:
            if EventType.EXPIRING in subscription.events:
                seen += await self._announce(channel, subscription)
        return seen

    async def forget_contacts(self) -> int:
        """Delete the addresses of people who have been told everything. Returns how many."""
        told = notifications.alias()
        pending = exists().where(
            told.c.export_id == jobs.c.id,
            told.c.channel == EMAIL,
            told.c.status == DeliveryStatus.PENDING.value,
        )
        announced = exists().where(
            told.c.export_id == jobs.c.id,
            told.c.channel == EMAIL,
            told.c.event == EventType.EXPIRING.value,
        )
        nothing_more: ColumnElement[bool] = or_(
            jobs.c.status.in_([status.value for status in _WITHOUT_FILE]),
            and_(
                jobs.c.status == ExportStatus.FAILED.value,
                jobs.c.finished_at < func.now() - timedelta(days=_FAILED_CONTACT_DAYS),
            ),
            and_(
                jobs.c.status == ExportStatus.COMPLETED.value,
                announced if EventType.EXPIRING in self._mail_events() else jobs.c.id.is_not(None),
            ),
        )
        statement = delete(contacts).where(
            contacts.c.export_id == jobs.c.id, nothing_more, ~pending
        )
        async with self._engine.begin() as connection:
            return (await connection.execute(statement)).rowcount

    # -- plumbing ---------------------------------------------------------------------------------

    def _mail_events(self) -> frozenset[EventType]:
        found = [each.events for channel, each in self._subscriptions if channel == EMAIL]
        return frozenset().union(*found)

    async def _announce(self, channel: str, subscription: Subscription) -> int:
        now, notice = self._clock.now(), self._expiring_notice
        # Per target, with the condition inside: what is never written for a target would
        # otherwise be found again at every sweep and crowd out the rest.
        statement = (
            select(*JOB_COLUMNS)
            .where(
                jobs.c.status == ExportStatus.COMPLETED.value,
                jobs.c.expires_at > now,
                jobs.c.expires_at <= now + notice,
                jobs.c.expires_at - jobs.c.finished_at > 2 * notice,
                _condition(channel, subscription),
                ~exists().where(
                    notifications.c.export_id == jobs.c.id,
                    notifications.c.event == EventType.EXPIRING.value,
                    notifications.c.channel == channel,
                    notifications.c.target == subscription.target,
                ),
            )
            .order_by(jobs.c.expires_at)
            .limit(_BATCH)
        )
        async with self._engine.begin() as connection:
            rows = (await connection.execute(statement)).mappings().all()
            for row in rows:
                await connection.execute(
                    self._insert(job_of(row), EventType.EXPIRING, channel, subscription)
                )
        return len(rows)

    def _insert(
        self,
        job: ExportJob,
        event: EventType,
        channel: str,
        subscription: Subscription,
    ) -> Any:
        now = self._clock.now()
        occurred_at = now if event is EventType.EXPIRING else job.finished_at or now
        values = {
            "id": uuid4(),
            "event_id": event_id(job, event),
            "event": event.value,
            "export_id": job.id,
            "channel": channel,
            "target": subscription.target,
            "payload": event_payload(job, event, occurred_at=occurred_at, links=self._links),
            "next_attempt_at": now,
        }
        columns = [notifications.c[name] for name in values]
        source = (
            select(*_literals(values))
            .select_from(jobs)
            .where(jobs.c.id == job.id, _condition(channel, subscription))
        )
        statement = insert(notifications).from_select(columns, source).on_conflict_do_nothing()
        return statement.returning(notifications.c.id)

    @staticmethod
    async def _guarded(
        connection: AsyncConnection, statements: Sequence[Any], export_id: UUID
    ) -> bool:
        try:
            async with connection.begin_nested():
                written = 0
                for statement in statements:
                    written += len((await connection.execute(statement)).all())
        except SQLAlchemyError as exc:
            # The class alone: a database's message may quote the row.
            log.error(  # noqa: TRY400
                "notification.not_written",
                export_id=str(export_id),
                error=type(exc).__name__,
            )
            return False
        return written > 0


def _literals(values: Mapping[str, Any]) -> Collection[ColumnElement[Any]]:
    return [
        literal(value, notifications.c[name].type).label(name) for name, value in values.items()
    ]


def _condition(channel: str, subscription: Subscription) -> ColumnElement[bool]:
    """Return whether there is somebody to tell of the row of ``export_jobs`` at hand."""
    if channel == EMAIL:
        return exists().where(contacts.c.export_id == jobs.c.id)
    if subscription.fingerprint is not None:
        return ~exists().where(
            disabled.c.name == subscription.target,
            disabled.c.fingerprint == subscription.fingerprint,
        )
    return true()
