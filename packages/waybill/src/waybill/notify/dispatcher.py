"""Delivers what the outbox holds: at least once, by any number of schedulers at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta

from waybill.clock import Clock
from waybill.log import get_logger
from waybill.metrics.definitions import NOTIFICATIONS
from waybill.metrics.recording import record
from waybill.notify.delivery import Delivery, NotificationChannel
from waybill.notify.errors import DeliveryError, DeliveryFailed, DeliveryRefused, EndpointGone
from waybill.notify.repository import DeliveryRepository
from waybill.notify.retry import RetrySchedule

log = get_logger(__name__)

# Every channel ends an attempt within half a lease (the settings allow 30 s at most), so no second
# scheduler takes over what the first is still sending.
LEASE_SECONDS = 90.0

_CONCURRENCY = 20
_CONCURRENCY_PER_TARGET = 5


class NotificationDispatcher:
    """Claims due notifications, delivers them side by side, and settles each.

    Args:
        channels: a channel that is missing is not configured (any more): its notifications die
            with the code ``channel_not_configured`` and can be replayed.
    """

    def __init__(
        self,
        *,
        deliveries: DeliveryRepository,
        channels: Mapping[str, NotificationChannel],
        schedule: RetrySchedule,
        clock: Clock,
    ) -> None:
        self._deliveries = deliveries
        self._channels = channels
        self._schedule = schedule
        self._clock = clock

    async def deliver_due(self) -> int:
        """Deliver one batch of due notifications. Returns how many were tried.

        Takes as long as the slowest receiver of the batch, so it does not belong on the thread
        that sweeps exports.
        """
        batch = await self._deliveries.claim(
            now=self._clock.now(),
            lease_seconds=LEASE_SECONDS,
            limit=_CONCURRENCY,
            limit_per_target=_CONCURRENCY_PER_TARGET,
        )
        results = await asyncio.gather(
            *(self._deliver(delivery) for delivery in batch),
            # One that cannot be settled must not cut off the others while they send.
            return_exceptions=True,
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return len(batch)

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            await self._attempt(delivery)
        except EndpointGone as exc:
            given_up = await self._deliveries.disable_endpoint(
                exc.endpoint, fingerprint=exc.fingerprint, code=exc.code
            )
            _count(delivery, "dead")
            log.warning("notification.endpoint_disabled", endpoint=exc.endpoint, given_up=given_up)
        except DeliveryRefused as exc:
            await self._mark_dead(delivery, exc.code)
        except DeliveryFailed as exc:
            await self._retry(delivery, exc)
        else:
            await self._deliveries.mark_delivered(delivery)
            _count(delivery, "delivered")
            log.info("notification.delivered", **_fields(delivery))

    async def _attempt(self, delivery: Delivery) -> None:
        channel = self._channels.get(delivery.channel)
        if channel is None:
            raise DeliveryRefused("channel_not_configured", f"No channel {delivery.channel!r}.")
        if delivery.attempts > self._schedule.max_attempts:
            raise DeliveryRefused("attempts_lost", "Its attempts ended with their processes.")
        try:
            await channel.deliver(delivery)
        except DeliveryError:
            raise
        except Exception as exc:
            # A defect in one channel must not stop the deliveries of all; it stays visible as
            # an error with its class. Its text may quote the body.
            log.error(  # noqa: TRY400
                "notification.defect", error=type(exc).__name__, **_fields(delivery)
            )
            raise DeliveryFailed("internal_error", "The channel has a defect.") from exc

    async def _retry(self, delivery: Delivery, exc: DeliveryFailed) -> None:
        delay = self._schedule.delay_seconds(
            delivery.attempts, retry_after_seconds=exc.retry_after_seconds
        )
        if delay is None:
            await self._mark_dead(delivery, exc.code)
            return
        until = self._clock.now() + timedelta(seconds=delay)
        await self._deliveries.postpone(delivery, until=until, code=exc.code)
        _count(delivery, "postponed")
        log.info("notification.postponed", code=exc.code, seconds=round(delay), **_fields(delivery))

    async def _mark_dead(self, delivery: Delivery, code: str) -> None:
        await self._deliveries.mark_dead(delivery, code=code)
        _count(delivery, "dead")
        log.warning("notification.dead", code=code, **_fields(delivery))


def _count(delivery: Delivery, outcome: str) -> None:
    record(NOTIFICATIONS, channel=delivery.channel, outcome=outcome)


def _fields(delivery: Delivery) -> dict[str, object]:
    return {
        "notification_id": str(delivery.id),
        "export_id": str(delivery.export_id),
        "event_type": delivery.event.value,
        "channel": delivery.channel,
        "target": delivery.target,
        "attempt": delivery.attempts,
    }
