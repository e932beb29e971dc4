"""The tables of the audit trail and of downloads. A test holds them and the migrations equal."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import UUID

from waybill.metadata import metadata

_TIMESTAMP = DateTime(timezone=True)

# Append-only: triggers refuse UPDATE, TRUNCATE, and DELETE but of what is past its time (by
# ``AuditLog.forget``), and of that what is younger than 30 days. Deliberately without a foreign
# key: the trail outlives the jobs it tells of.
audit_events = Table(
    "audit_events",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    # When it happened, not when its transaction began.
    Column("at", _TIMESTAMP, nullable=False, server_default=func.clock_timestamp()),
    # NULL: nobody was authenticated.
    Column("actor", Text),
    Column("tenant", Text),
    Column("action", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    # The code of the error for a refusal, otherwise how it was done (redirect, stream, …).
    Column("code", Text),
    Column("export_id", UUID(as_uuid=True)),
    Column("export_type", Text),
    Column("client", Text),
    # Whose the export is. No owner: there was no such export.
    Column("export_tenant", Text),
    Column("export_owner", Text),
    # How many refusals of strangers a row sums up; 1 otherwise.
    Column("count", Integer, nullable=False, server_default="1"),
    CheckConstraint("outcome IN ('allowed', 'refused')", name="outcome"),
)

Index("ix_audit_events_at", audit_events.c.at)
Index("ix_audit_events_actor", audit_events.c.actor, audit_events.c.id)
Index(
    "ix_audit_events_export_id",
    audit_events.c.export_id,
    audit_events.c.id,
    postgresql_where=text("export_id IS NOT NULL"),
)

Index("ix_audit_events_tenant", audit_events.c.tenant, audit_events.c.id)
Index(
    "ix_audit_events_export_tenant",
    audit_events.c.export_tenant,
    audit_events.c.id,
    postgresql_where=text("export_owner IS NOT NULL"),
)

# One row per download: a person's requests for one file within the window that the first opened,
# so that resuming and parallel ranges count once.
export_downloads = Table(
    "export_downloads",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column(
        "export_id",
        UUID(as_uuid=True),
        ForeignKey("export_jobs.id", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("subject", Text, nullable=False),
    Column("tenant", Text),
    Column("opened_at", _TIMESTAMP, nullable=False, server_default=func.now()),
    Column("requests", Integer, nullable=False, server_default="1"),
)

Index("ix_export_downloads_export_id", export_downloads.c.export_id, export_downloads.c.subject)
