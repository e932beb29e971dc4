"""One notification on its way, and the port it leaves by. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from waybill.notify.events import EventType


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
    channel: str
    target: str
    payload: dict[str, Any] = field(repr=False)
    attempts: int
    lease_token: UUID = field(repr=False)
    requested_by: str = field(repr=False)
    """The subject of the person who asked, for channels of an application that knows its people."""
    tenant: str | None = field(repr=False, default=None)
    email: str | None = field(repr=False, default=None)
    """The address of the person who asked: for the channel ``email`` alone."""


@dataclass(frozen=True, slots=True)
class DeliveryState:
    """What may be shown about a notification: no body, no address, no secret."""

    id: UUID
    event_id: str
    event: EventType
    export_id: UUID
    channel: str
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


@dataclass(frozen=True, slots=True)
class Subscription:
    """Who is told by a channel, and of what.

    Args:
        target: a name, never an address: it is kept and shown.
        events: what it is told.
        fingerprint: of a webhook's address, which may answer that it is gone.
    """

    target: str
    events: frozenset[EventType] = frozenset(EventType)
    fingerprint: str | None = None


class NotificationChannel(Protocol):
    """A way to tell somebody: a folder beside ``email/`` and ``webhook/`` and a line in the
    registry, or an object of the application that embeds us."""

    @property
    def name(self) -> str:
        """What rows call it: for ever, as they are delivered by it."""
        ...

    def subscriptions(self) -> Sequence[Subscription]:
        """Return who is told of what; every process asks, so nothing is connected to for it."""
        ...

    async def deliver(self, delivery: Delivery) -> None:
        """Deliver once; returning means that the receiver took it.

        It ends within its own time limit, which is shorter than the dispatcher's lease.

        What is delivered twice has the same ``event_id``: a process can die between the receiver's
        yes and our noting it.

        Raises:
            DeliveryFailed: the cause may pass.
            DeliveryRefused: trying again cannot help.
            EndpointGone: of webhooks alone.
        """
        ...
