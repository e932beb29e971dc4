"""The table of idempotency keys."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Table,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from waybill.metadata import metadata

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("requested_by", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column(
        "export_id",
        UUID(as_uuid=True),
        ForeignKey("export_jobs.id", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("answer", JSONB, nullable=False),
    Column("is_new", Boolean, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    UniqueConstraint("tenant", "requested_by", "key", name="uq_idempotency_keys_key"),
)

Index(
    "ix_idempotency_keys_person",
    idempotency_keys.c.tenant,
    idempotency_keys.c.requested_by,
    idempotency_keys.c.created_at,
)
Index("ix_idempotency_keys_created_at", idempotency_keys.c.created_at)
Index("ix_idempotency_keys_export_id", idempotency_keys.c.export_id)
