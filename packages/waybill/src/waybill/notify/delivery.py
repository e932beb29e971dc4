"""One notification on its way, and the port it leaves by. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from waybill.notify.events import ChannelName, EventType


class DeliveryStatus(StrEnum):
    """``pending`` is due now or later; ``dead`` was given up and can be replayed."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Delivery:
    """A claimed notification: what is sent, to whom, under which lease."""

    id: UUID
    event_id: str
    event: EventType
    export_id: UUID
    channel: ChannelName
    target: str
    payload: dict[str, Any] = field(repr=False)
    attempts: int
    lease_token: UUID = field(repr=False)
    email: str | None = field(repr=False, default=None)


@dataclass(frozen=True, slots=True)
class DeliveryState:
    """What may be shown about a notification: no body, no address, no secret."""

    id: UUID
    event_id: str
    event: EventType
    export_id: UUID
    channel: ChannelName
    target: str
    status: DeliveryStatus
    attempts: int
    last_error_code: str | None
    created_at: datetime
    next_attempt_at: datetime | None
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class NotificationFilter:
    """Which notifications; a field left ``None`` does not narrow.

    ``before`` pages: the creation time and id of the last one seen.
    """

    export_id: UUID | None = None
    status: DeliveryStatus | None = None
    channel: str | None = None
    target: str | None = None
    code: str | None = None
    before: tuple[datetime, UUID] | None = None


@dataclass(frozen=True, slots=True)
class DisabledEndpoint:
    """A webhook endpoint that answered 410 Gone, and gets nothing more until then."""

    name: str
    disabled_at: datetime


class NotificationChannel(Protocol):
    """A way to tell somebody. Implemented by ``EmailChannel`` and ``WebhookChannel``."""

    async def deliver(self, delivery: Delivery) -> None:
        """Deliver once; returning means that the receiver took it.

        It ends within its own time limit, which is shorter than the dispatcher's lease.

        Raises:
            DeliveryFailed, DeliveryRefused, EndpointGone
        """
        ...
