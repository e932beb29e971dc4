"""The outbox: what is to be told is written in the transaction that makes it true.

A worker that dies right after ``completed`` has left the notification behind; one whose
transaction is rolled back has left none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, and_, delete, exists, func, literal, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from waybill.clock import Clock
from waybill.jobs.job import ExportJob, ExportStatus
from waybill.jobs.rows import JOB_COLUMNS, job_of
from waybill.jobs.tables import export_jobs as jobs
from waybill.log import get_logger
from waybill.notify.delivery import DeliveryStatus
from waybill.notify.events import ChannelName, EventType, ExportLinks, event_id, event_payload
from waybill.notify.mail_address import parse_address
from waybill.notify.tables import disabled_webhooks as disabled
from waybill.notify.tables import notification_contacts as contacts
from waybill.notify.tables import notifications
from waybill.notify.targets import WebhookEndpoint

log = get_logger(__name__)

REQUESTER = "requester"

_BATCH = 100
# A dead letter that is replayed within this time still finds the person who asked for it.
_FAILED_CONTACT_DAYS = 7
_WITHOUT_FILE = (ExportStatus.CANCELLED, ExportStatus.EXPIRED, ExportStatus.DELETED)


@dataclass(frozen=True, slots=True)
class Subscriptions:
    """Who wants to know what: the requester by mail, and each endpoint."""

    mail_events: frozenset[EventType] = frozenset()
    endpoints: tuple[WebhookEndpoint, ...] = ()


class NotificationOutbox:
    """Writes notifications; ``NotificationDispatcher`` delivers them."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        subscriptions: Subscriptions,
        links: ExportLinks,
        clock: Clock,
        expiring_notice: timedelta,
    ) -> None:
        self._engine = engine
        self._subscriptions = subscriptions
        self._links = links
        self._clock = clock
        self._expiring_notice = expiring_notice

    # -- in the transactions of exports -----------------------------------------------------------

    async def subscribe(
        self, connection: AsyncConnection, export_id: UUID, email: str | None
    ) -> bool:
        """Remember where to write about an export; in the transaction that creates its row.

        Returns whether anything was kept: not without mail events, and not an address nobody can
        write to (a claim of a token may hold anything; it never fails the request).
        """
        if email is None or not self._subscriptions.mail_events:
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
        statements = []
        if event in self._subscriptions.mail_events:
            statements.append(
                self._insert(job, event, ChannelName.EMAIL, REQUESTER, _has_contact(job.id))
            )
        statements += [
            self._insert(job, event, ChannelName.WEBHOOK, endpoint.name, _is_enabled(endpoint))
            for endpoint in self._subscriptions.endpoints
            if event in endpoint.events
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
        subscriptions = self._subscriptions
        if EventType.EXPIRING in subscriptions.mail_events:
            seen += await self._announce(
                ChannelName.EMAIL, REQUESTER, exists().where(contacts.c.export_id == jobs.c.id)
            )
        for endpoint in subscriptions.endpoints:
            if EventType.EXPIRING in endpoint.events:
                seen += await self._announce(
                    ChannelName.WEBHOOK, endpoint.name, _is_enabled(endpoint)
                )
        return seen

    async def forget_contacts(self) -> int:
        """Delete the addresses of people who have been told everything. Returns how many."""
        told = notifications.alias()
        pending = exists().where(
            told.c.export_id == jobs.c.id,
            told.c.channel == ChannelName.EMAIL.value,
            told.c.status == DeliveryStatus.PENDING.value,
        )
        announced = exists().where(
            told.c.export_id == jobs.c.id,
            told.c.channel == ChannelName.EMAIL.value,
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
                announced
                if EventType.EXPIRING in self._subscriptions.mail_events
                else jobs.c.id.is_not(None),
            ),
        )
        statement = delete(contacts).where(
            contacts.c.export_id == jobs.c.id, nothing_more, ~pending
        )
        async with self._engine.begin() as connection:
            return (await connection.execute(statement)).rowcount

    # -- plumbing ---------------------------------------------------------------------------------

    async def _announce(
        self, channel: ChannelName, target: str, condition: ColumnElement[bool]
    ) -> int:
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
                condition,
                ~exists().where(
                    notifications.c.export_id == jobs.c.id,
                    notifications.c.event == EventType.EXPIRING.value,
                    notifications.c.channel == channel.value,
                    notifications.c.target == target,
                ),
            )
            .order_by(jobs.c.expires_at)
            .limit(_BATCH)
        )
        async with self._engine.begin() as connection:
            rows = (await connection.execute(statement)).mappings().all()
            for row in rows:
                await connection.execute(
                    self._insert(job_of(row), EventType.EXPIRING, channel, target, condition)
                )
        return len(rows)

    def _insert(
        self,
        job: ExportJob,
        event: EventType,
        channel: ChannelName,
        target: str,
        condition: ColumnElement[bool],
    ) -> Any:
        now = self._clock.now()
        occurred_at = now if event is EventType.EXPIRING else job.finished_at or now
        values = {
            "id": uuid4(),
            "event_id": event_id(job, event),
            "event": event.value,
            "export_id": job.id,
            "channel": channel.value,
            "target": target,
            "payload": event_payload(job, event, occurred_at=occurred_at, links=self._links),
            "next_attempt_at": now,
        }
        columns = [notifications.c[name] for name in values]
        source = select(*_literals(values)).select_from(jobs).where(jobs.c.id == job.id, condition)
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


def _has_contact(export_id: UUID) -> ColumnElement[bool]:
    return exists().where(contacts.c.export_id == export_id)


def _is_enabled(endpoint: WebhookEndpoint) -> ColumnElement[bool]:
    return ~exists().where(
        disabled.c.name == endpoint.name, disabled.c.fingerprint == endpoint.fingerprint
    )
