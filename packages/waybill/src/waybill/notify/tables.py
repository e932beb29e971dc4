"""The tables of notifications, beside those of exports."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from waybill.metadata import metadata
from waybill.notify.events import EventType

_TIMESTAMP = DateTime(timezone=True)
_EVENTS = ", ".join(f"'{event.value}'" for event in EventType)

notifications = Table(
    "notifications",
    metadata,
    Column("id", UUID(as_uuid=True), primary_key=True),
    # One event goes to many targets; receivers deduplicate by its id.
    Column("event_id", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column(
        "export_id",
        UUID(as_uuid=True),
        ForeignKey("export_jobs.id", ondelete="CASCADE"),
        nullable=False,
    ),
    # By name, of those of the registry and of the application that embeds us.
    Column("channel", Text, nullable=False),
    # The name of a webhook endpoint, or "requester"; never an address.
    Column("target", Text, nullable=False),
    Column("payload", JSONB, nullable=False),
    Column("status", Text, nullable=False, server_default="pending"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_attempt_at", _TIMESTAMP),
    # The lease lives on the database server's clock, like that of exports.
    Column("lease_token", UUID(as_uuid=True)),
    Column("lease_expires_at", _TIMESTAMP),
    Column("last_error_code", Text),
    Column("created_at", _TIMESTAMP, nullable=False, server_default=func.now()),
    Column("settled_at", _TIMESTAMP),
    UniqueConstraint("event_id", "channel", "target", name="uq_notifications_event_id"),
    CheckConstraint(f"event IN ({_EVENTS})", name="event"),
    CheckConstraint("status IN ('pending', 'delivered', 'dead')", name="status"),
    CheckConstraint(
        "(status = 'pending') = (next_attempt_at IS NOT NULL)"
        " AND (status = 'pending') = (settled_at IS NULL)",
        name="due_while_pending",
    ),
)

Index(
    "ix_notifications_due",
    notifications.c.next_attempt_at,
    postgresql_where=text("status = 'pending'"),
)
Index(
    "ix_notifications_settled",
    notifications.c.settled_at,
    postgresql_where=text("status <> 'pending'"),
)
Index("ix_notifications_export_id", notifications.c.export_id, notifications.c.event)

# The one place that holds a person's address, and only while there is something left to tell.
notification_contacts = Table(
    "notification_contacts",
    metadata,
    Column(
        "export_id",
        UUID(as_uuid=True),
        ForeignKey("export_jobs.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("email", Text, nullable=False),
)

# Endpoints that answered 410 Gone. The fingerprint is of the URL: a new URL is a new chance.
disabled_webhooks = Table(
    "disabled_webhooks",
    metadata,
    Column("name", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("disabled_at", _TIMESTAMP, nullable=False, server_default=func.now()),
)
