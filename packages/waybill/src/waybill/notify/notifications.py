"""The parts of notifications, put together from settings. ``waybill.bootstrap`` calls this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from waybill.clock import Clock
from waybill.notify.delivery import NotificationChannel
from waybill.notify.dispatcher import NotificationDispatcher
from waybill.notify.events import ExportLinks
from waybill.notify.outbox import NotificationOutbox
from waybill.notify.repository import DeliveryRepository
from waybill.notify.settings import NotificationSettings


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
    settings: NotificationSettings,
    channels: Mapping[str, NotificationChannel],
    engine: AsyncEngine,
    *,
    clock: Clock,
) -> NotificationOutbox:
    """Build what remembers whom to tell; nothing is sent by it."""
    return NotificationOutbox(
        engine,
        channels=channels.values(),
        links=ExportLinks(settings.public_url, settings.page_path),
        clock=clock,
        expiring_notice=timedelta(hours=settings.notify_expiring_hours),
    )


def build_notifications(
    settings: NotificationSettings,
    channels: Mapping[str, NotificationChannel],
    engine: AsyncEngine,
    *,
    clock: Clock,
) -> Notifications:
    """Build the parts. Nothing connects before it is used."""
    deliveries = DeliveryRepository(engine)
    return Notifications(
        outbox=build_outbox(settings, channels, engine, clock=clock),
        deliveries=deliveries,
        dispatcher=NotificationDispatcher(
            deliveries=deliveries,
            channels=channels,
            schedule=settings.retry_schedule(),
            clock=clock,
        ),
        retention=timedelta(days=settings.notify_retention_days),
    )
