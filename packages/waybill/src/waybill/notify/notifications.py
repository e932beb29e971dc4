"""The parts of notifications, put together from settings. ``waybill.bootstrap`` calls this."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from waybill.clock import Clock, SystemClock
from waybill.notify.delivery import NotificationChannel
from waybill.notify.dispatcher import NotificationDispatcher
from waybill.notify.events import ChannelName, ExportLinks
from waybill.notify.outbox import NotificationOutbox, Subscriptions
from waybill.notify.repository import DeliveryRepository
from waybill.notify.settings import NotificationSettings
from waybill.notify.smtp import EmailChannel
from waybill.notify.webhook import WebhookChannel


@dataclass(frozen=True, slots=True)
class Notifications:
    """What the scheduler runs."""

    outbox: NotificationOutbox
    deliveries: DeliveryRepository
    dispatcher: NotificationDispatcher
    retention: timedelta

    async def housekeep(self) -> None:
        """Announce files about to expire; forget addresses and old rows. Idempotent; for the
        scheduler, every half minute or so."""
        await self.outbox.enqueue_expiring()
        await self.outbox.forget_contacts()
        await self.deliveries.purge(older_than=self.retention)


def build_outbox(
    settings: NotificationSettings, engine: AsyncEngine, *, clock: Clock
) -> NotificationOutbox:
    """Build what remembers whom to tell; nothing is sent by it."""
    return NotificationOutbox(
        engine,
        subscriptions=Subscriptions(
            mail_events=frozenset(settings.mail_events) if settings.smtp_options() else frozenset(),
            endpoints=tuple(webhook.endpoint() for webhook in settings.webhooks),
        ),
        links=ExportLinks(settings.public_url, settings.page_path),
        clock=clock,
        expiring_notice=timedelta(hours=settings.notify_expiring_hours),
    )


def build_notifications(
    settings: NotificationSettings, engine: AsyncEngine, *, clock: Clock
) -> Notifications:
    """Build the parts. Nothing connects before it is used."""
    endpoints = tuple(webhook.endpoint() for webhook in settings.webhooks)
    smtp = settings.smtp_options()
    channels: dict[ChannelName, NotificationChannel] = {}
    if smtp is not None:
        channels[ChannelName.EMAIL] = EmailChannel(smtp, clock=SystemClock())
    if endpoints:
        channels[ChannelName.WEBHOOK] = WebhookChannel(
            endpoints,
            policy=settings.egress_policy(),
            # Receivers refuse a rehearsed clock's timestamps.
            clock=SystemClock(),
            timeout_seconds=settings.webhook_timeout_seconds,
            ssl_context=ssl.create_default_context(cafile=str(settings.webhook_ca_file))
            if settings.webhook_ca_file
            else None,
        )
    deliveries = DeliveryRepository(engine)
    return Notifications(
        outbox=build_outbox(settings, engine, clock=clock),
        deliveries=deliveries,
        dispatcher=NotificationDispatcher(
            deliveries=deliveries,
            channels=channels,
            schedule=settings.retry_schedule(),
            clock=clock,
        ),
        retention=timedelta(days=settings.notify_retention_days),
    )
